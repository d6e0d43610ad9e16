#!/usr/bin/env bash
# Builds the site into docs/book: `make docs`. The tests build it too, and follow its links (tests/tests/site.rs).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

mdbook=$("$here/tools.sh" mdbook)
"$mdbook" build "$here/../../docs" "$@"
