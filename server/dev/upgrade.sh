#!/usr/bin/env bash
# The release before and this one on one database, under load: `make upgrade REVISION=v0.1.0`. The other revision is built in a
# worktree below target/. Its servers serve while this one's migrations run, are replaced by this one's, and come back where they
# know --allow-newer-schema. It fails if a call failed, if anything that was acknowledged is lost or doubled, or an invariant is broken.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

[ $# -eq 1 ] && [ -n "$1" ] || {
    echo "usage: upgrade.sh REVISION, such as the tag of the release before" >&2
    exit 2
}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
revision=$(git rev-parse --verify "$1^{commit}")
tree=$target/upgrade/$revision
[ -d "$tree" ] || git worktree add --detach "$tree" "$revision" >&2
# A folder for all revisions: what they depend on is mostly the same.
(cd "$tree" && CARGO_TARGET_DIR=$target/upgrade/target cargo build --quiet --package belay-server --bin belay)
before=$target/upgrade/belay-$revision
cp "$target/upgrade/target/debug/belay" "$before"

HAPROXY=$("$here/tools.sh" haproxy)
export HAPROXY
"$here/mysql.sh" find
cargo build --quiet --package belay-server --bin belay --package belay-tests --bin upgrade
exec "$target/debug/upgrade" --before "$before" --after "$target/debug/belay"
