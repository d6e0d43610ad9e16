#!/usr/bin/env bash
# What a release is made of beside its tag: `make release`, `make sbom`. It is made of the commit that is checked out, never of what
# lies around in the working copy, and no path and no clock of the machine goes in, so that it can be made again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

usage() {
  cat <<'USAGE'
usage: release.sh archive [FOLDER] | sbom [FILE]

archive: builds the program and puts it into FOLDER (dist), as an archive for those without a compiler: the program without symbols,
its bill of materials, its licence and those of all that is in it, the CHANGELOG; and the checksums of archive and bill beside it.
sbom: writes the bill of materials alone (CycloneDX 1.5, JSON), to FILE (belay.cdx.json).
USAGE
}

say() { printf 'release.sh: %s\n' "$*" >&2; }

cd "$top"
commit=$(git rev-parse HEAD)
epoch=$(git log -1 --format=%ct)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
machine=$(rustc -vV | sed -n 's/^host: //p')
export SOURCE_DATE_EPOCH=$epoch

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The sources of the commit, by themselves.
export_sources() {
  [[ -z $(git status --porcelain) ]] || say "what is not committed is not in it"
  mkdir "$scratch/belay"
  git archive HEAD | tar -x -C "$scratch/belay"
}

# write_bill FILE
write_bill() {
  local cyclonedx
  cyclonedx=$("$here/tools.sh" cargo-cyclonedx)
  (cd "$scratch/belay" && "$cyclonedx" cyclonedx --quiet --manifest-path server/Cargo.toml --format json --spec-version 1.5 \
    --target "$machine" --no-build-deps --override-filename bill)
  # Where they lay while the bill was made is nobody's business.
  sed "s|path+file://$scratch/belay|path+file:///belay|g" "$scratch/belay/server/bill.json" >"$1"
}

write_licences() {
  local about
  about=$("$here/tools.sh" cargo-about)
  (cd "$scratch/belay" && "$about" generate --locked --fail --target "$machine" --config server/dev/about.toml \
    --manifest-path server/Cargo.toml --output-file "$1" server/dev/about.hbs)
}

# The folder of cargo's output, which is kept: the next release needs to build only what has changed.
build() {
  local output=${CARGO_TARGET_DIR:-$top/target}/dist cargo_home=${CARGO_HOME:-$HOME/.cargo} place map= maps=
  for place in "$scratch/belay=/belay" "$output=/output" "$cargo_home=/cargo" "$(rustc --print sysroot)=/rust"; do
    map+=" --remap-path-prefix=$place"
    maps+=" -ffile-prefix-map=$place"
  done
  (cd "$scratch/belay" && RUSTFLAGS="${map# }" CFLAGS="${maps# }" CARGO_TARGET_DIR=$output BELAY_BUILD_COMMIT=$commit \
    CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo build --release --locked --package belay-server --bin belay)
  built=$output/release/belay
}

case ${1:-} in
  sbom)
    export_sources
    write_bill "${2:-belay.cdx.json}"
    say "the bill of materials is in ${2:-belay.cdx.json}"
    ;;
  archive)
    folder=${2:-dist}
    name=belay-$version
    if [[ $(git tag --points-at HEAD --list "v$version") ]]; then
      grep -q "^## $version — " CHANGELOG.md || { say "the CHANGELOG has no section of $version"; exit 1; }
    else
      # Not the release itself, and called so.
      name+=-${commit:0:12}
    fi
    name+=-$machine
    export_sources
    build
    mkdir -p "$folder" "$scratch/$name"
    folder=$(cd "$folder" && pwd)
    cp "$built" "$scratch/belay/LICENSE" "$scratch/belay/CHANGELOG.md" "$scratch/$name"
    write_licences "$scratch/$name/LICENSES-OF-OTHERS.txt"
    write_bill "$scratch/$name/belay.cdx.json"
    cp "$scratch/$name/belay.cdx.json" "$folder/$name.cdx.json"
    tar -C "$scratch" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - "$name" |
      gzip -9n >"$folder/$name.tar.gz"
    (cd "$folder" && sha256sum "$name.tar.gz" "$name.cdx.json" >"$name.sha256")
    say "$("$built" version): $(du -h "$folder/$name.tar.gz" | cut -f1) in $folder/$name.tar.gz, $(du -h "$built" | cut -f1) unpacked; it needs" \
      "glibc $(grep -ao 'GLIBC_2\.[0-9]*' "$built" | sort -uV | tail -n 1 | cut -d_ -f2) or newer"
    ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
