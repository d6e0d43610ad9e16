#!/usr/bin/env bash
# Measures Belay beside a bare client on the same durable MySQL: `make bench`. Arguments go to the load generator, for instance
# ARGS='--seconds 5 --callers 1,16,64,256 --rounds 3'; `--help` lists them. The last line printed is one JSON object.
# `--baseline REV` first builds that revision in a worktree below target/, and sets it beside this one.
# `--secondary-reads` starts another mysqld that follows the first, and measures lists that it answers.
# BELAY_BENCH_CARGO_ARGS goes to every build, for instance '--config profile.release.lto=false'.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

build() {
    # shellcheck disable=SC2086 # several arguments
    cargo build --release ${BELAY_BENCH_CARGO_ARGS:-} --package belay-server --bin belay --package belay-tests --bin bench
}
build
target=$(realpath "${CARGO_TARGET_DIR:-target}")
case " $* " in *" --help "* | *" -h "*) exec "$target/release/bench" --help ;; esac

arguments=() secondary=false
while [ $# -gt 0 ]; do
    case $1 in
    --baseline)
        revision=$(git rev-parse --verify "$2^{commit}")
        tree=$target/baseline/$revision
        [ -d "$tree" ] || git worktree add --detach "$tree" "$revision" >&2
        (cd "$tree" && CARGO_TARGET_DIR=$tree/target build)
        arguments+=(--baseline-built "$tree/target/release")
        shift 2
        ;;
    --secondary-reads)
        secondary=true
        shift
        ;;
    *)
        arguments+=("$1")
        shift
        ;;
    esac
done
set -- "${arguments[@]}"

# Beside the build and not under /tmp, which may be memory: a commit has to reach a disk.
scratch=$(mktemp -d "$target/bench.XXXXXX")
stop_database() {
    "$here/mysql.sh" stop "$scratch" >&2 || true
    if $secondary; then "$here/mysql.sh" stop "$scratch/secondary" >&2 || true; fi
    rm -rf "$scratch"
}
trap stop_database EXIT
export BELAY_MYSQL_BUFFER_POOL=${BELAY_MYSQL_BUFFER_POOL:-2G} BELAY_MYSQL_REDO_LOG=${BELAY_MYSQL_REDO_LOG:-1G}
gtid=()
if $secondary; then gtid=(--gtid-mode=ON --enforce-gtid-consistency=ON); fi
url=$("$here/mysql.sh" start "$scratch" -- --max-connections=500 "${gtid[@]}")
if $secondary; then
    set -- "$@" --secondary "$("$here/mysql.sh" start "$scratch/secondary" -- --server-id=2 "${gtid[@]}")"
fi

# What a release logs in operation, without a line for every call.
BELAY_DATABASE_URL="$url/belay_bench" RUST_LOG=${RUST_LOG:-warn} \
    "$target/release/bench" --belay "$target/release/belay" --mysqld-pid-file "$scratch/mysqld.pid" "$@"
