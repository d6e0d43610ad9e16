#!/usr/bin/env bash
# Everything that must hold before a change lands: `make test`. Ends with the test runner's own summary.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

# What is tested is what is built here.
[ -z "${BELAY_TEST_PROGRAM+set}" ] || {
    echo "test.sh: BELAY_TEST_PROGRAM is set, which has tests try another program: unset it" >&2
    exit 2
}

step() { printf '\n== %s\n' "$*" >&2; }

step "format"
cargo fmt --all --check

step "protos"
BUF=$("$here/tools.sh" buf)
export BUF
"$BUF" format --diff --exit-code proto
"$BUF" lint proto
"$here/images.sh" check

# The advisories are fetched, so they are asked by hand: `cargo deny check advisories`.
step "dependencies"
"$("$here/tools.sh" cargo-deny)" --locked check bans licenses sources

step "lints"
cargo clippy --workspace --all-targets -- --deny warnings

# Tests have all features of the client; its users may have none.
step "the client as it is by default"
cargo check --quiet --package belay-client --lib

step "documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

step "database"
GRPCURL=$("$here/tools.sh" grpcurl)
# Calls without gRPC, by the name that the manual has for it.
PATH=$PATH:$(dirname "$("$here/tools.sh" curl)")
# The proxies that Belay is tried behind.
NGINX=$("$here/tools.sh" nginx)
HAPROXY=$("$here/tools.sh" haproxy)
ENVOY=$("$here/tools.sh" envoy)
# The checker of the rules of alerts.
PROMTOOL=$("$here/tools.sh" promtool)
# What renders and lints deploy/.
PYTHON_DEPLOY=$("$here/tools.sh" python-deploy)
# The languages of the generated clients, and of a consumer of the feed.
PYTHON_GRPC=$("$here/tools.sh" python-grpc)
NODE=$("$here/tools.sh" node)
NODE_PACKAGES=$("$here/tools.sh" node-packages)
# What looks at the console, and the browser that it looks with.
CONSOLE_PACKAGES=$("$here/tools.sh" console-packages)
CHROMIUM=$("$here/tools.sh" chromium)
# What builds the site.
MDBOOK=$("$here/tools.sh" mdbook)
export MDBOOK GRPCURL NGINX HAPROXY ENVOY PROMTOOL PYTHON_DEPLOY PYTHON_GRPC NODE NODE_PACKAGES CONSOLE_PACKAGES CHROMIUM
scratch=$(mktemp -d)
stop_database() {
    "$here/mysql.sh" stop "$scratch" >&2 || true
    rm -rf "$scratch"
}
trap stop_database EXIT
# Each test has a server with a pool of its own. Nobody pulls this instance's plug: it need not reach the disk at each commit.
# The tests that kill a server start one of their own, at full durability.
BELAY_TEST_DATABASE_URL=$("$here/mysql.sh" start "$scratch" -- --max-connections=1000 \
    --sync-binlog=0 --innodb-flush-log-at-trx-commit=2)
export BELAY_TEST_DATABASE_URL

# A failing test does not hide the others.
failed=
step "examples in the documentation"
cargo test --workspace --doc --quiet --no-fail-fast || failed=yes

step "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast || failed=yes
else
    cargo test --workspace --all-targets --no-fail-fast || failed=yes
fi
[ -z "$failed" ]
