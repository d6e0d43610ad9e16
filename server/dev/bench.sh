#!/usr/bin/env bash
# Measures Belay beside a bare client on the same durable MySQL: `make bench`. Arguments go to the load generator, for instance
# ARGS='--seconds 5 --callers 1,16,64,256 --rounds 3'; `--help` lists them. The last line printed is one JSON object.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

cargo build --release --package belay-server --bin belay --package belay-tests --bin bench
target=$(realpath "${CARGO_TARGET_DIR:-target}")
case " $* " in *" --help "* | *" -h "*) exec "$target/release/bench" --help ;; esac

# Beside the build and not under /tmp, which may be memory: a commit has to reach a disk.
scratch=$(mktemp -d "$target/bench.XXXXXX")
stop_database() {
    "$here/mysql.sh" stop "$scratch" >&2 || true
    rm -rf "$scratch"
}
trap stop_database EXIT
export BELAY_MYSQL_BUFFER_POOL=${BELAY_MYSQL_BUFFER_POOL:-2G} BELAY_MYSQL_REDO_LOG=${BELAY_MYSQL_REDO_LOG:-1G}
url=$("$here/mysql.sh" start "$scratch" -- --max-connections=500)

# What a release logs in operation, without a line for every call.
BELAY_DATABASE_URL="$url/belay_bench" RUST_LOG=${RUST_LOG:-warn} \
    "$target/release/bench" --belay "$target/release/belay" --mysqld-pid-file "$scratch/mysqld.pid" "$@"
