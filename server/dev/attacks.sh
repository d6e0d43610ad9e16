#!/usr/bin/env bash
# Does to a running server what was done to it when its security was tried, and prints what came, with figures: `make attacks`.
# docs/attacks.md has the table. It builds Belay with optimizations, or tries the program that BELAY_TEST_PROGRAM names. Arguments go to
# the program, for instance ARGS='--only 15:'. BELAY_BENCH_CARGO_ARGS goes to the build, as in bench.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

programs=(--package belay-tests --bin attacks)
[ -n "${BELAY_TEST_PROGRAM:-}" ] || programs+=(--package belay-server --bin belay)
# shellcheck disable=SC2086 # several arguments
cargo build --release ${BELAY_BENCH_CARGO_ARGS:-} "${programs[@]}"
target=$(realpath "${CARGO_TARGET_DIR:-target}")
# Beside the build and not under /tmp, which may be memory: a commit has to reach a disk.
scratch=$(mktemp -d "$target/attacks.XXXXXX")
stop_database() {
    "$here/mysql.sh" stop "$scratch" >&2 || true
    rm -rf "$scratch"
}
trap stop_database EXIT
BELAY_TEST_DATABASE_URL=$("$here/mysql.sh" start "$scratch" -- --max-connections=500)
export BELAY_TEST_DATABASE_URL
"$target/release/attacks" "$@"
