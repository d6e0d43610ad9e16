#!/usr/bin/env bash
# The images of the protos, one of each release, and the check that clients of these releases still understand the server.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
usage: images.sh add VERSION | check [FOLDER]

add: writes the image of VERSION, such as 0.1.0, from the protos as they are.
check: compares the protos of FOLDER, by default those of this checkout, with each image. Exit code 100 where they break it.
USAGE
}

buf=${BUF:-$("$here/tools.sh" buf)}
cd "$here/../../proto"
case ${1:-} in
  add)
    [[ ${2:-} =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "images.sh: a version is three numbers with dots in between, such as 0.1.0" >&2; exit 2; }
    # Without comments and places in files: neither is on the wire, and the same protos give the same bytes.
    "$buf" build --path belay --exclude-source-info --output "image/$2.binpb"
    ;;
  check)
    images=("$PWD"/image/*.binpb)
    [[ -f ${images[0]} ]] || { echo "images.sh: there is no image in proto/image" >&2; exit 2; }
    cd "${2:-.}"
    for image in "${images[@]}"; do "$buf" breaking --path belay --against "$image"; done
    ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
