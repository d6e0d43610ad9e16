#!/usr/bin/env bash
# A group of MySQL servers and two Belay servers on this machine, whose primaries are taken away under load: `make cluster`.
# Arguments go to the program, for instance ARGS='--kill 5 --switch 20'; `--help` lists them. ARGS='--partition 3' cuts the
# network, which wants root or user namespaces; ARGS='--galera' takes MariaDB with Galera instead. It fails if anything was
# lost, doubled, read stale or told as INTERNAL, and where it may not do what was asked for.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

"$here/mysql.sh" find
exec cargo run --quiet --package belay-tests --bin cluster -- "$@"
