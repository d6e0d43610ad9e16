#!/usr/bin/env bash
# Runs Belay on this machine with a database of its own: `make run`.
# Ctrl-C stops the server first and then the database, so that both end cleanly; the data stays for the next run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
data=${BELAY_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/belay/dev}

database_started=
stop_database() {
    if [ -n "$database_started" ]; then
        "$here/mysql.sh" stop "$data" >&2 || true
    fi
}
trap stop_database EXIT
# The signal reaches the server too. It is the server's end that ends this script.
trap : INT TERM

if [ -z "${BELAY_DATABASE_URL:-}" ]; then
    # Exit code 3 and its message pass through where no MySQL can be had.
    url=$("$here/mysql.sh" start "$data")
    database_started=yes
    export BELAY_DATABASE_URL="$url/belay"
fi
# The tour needs a client. Where none can be had the server runs all the same, and its lines say plain `grpcurl`.
if [ -z "${BELAY_GRPCURL:-}" ] && BELAY_GRPCURL=$("$here/tools.sh" grpcurl); then
    export BELAY_GRPCURL
fi

cd "$top"
cargo build --package belay-server --bin belay
"${CARGO_TARGET_DIR:-target}/debug/belay" dev "$@" &
server=$!
# `wait` returns early when a signal comes; the server may still be draining then.
status=0
while kill -0 "$server" 2>/dev/null; do
    wait "$server" && status=0 || status=$?
done
exit "$status"
