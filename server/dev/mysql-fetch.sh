#!/usr/bin/env bash
# mysql-fetch.sh CACHE: unpacks MySQL from the Debian archive into CACHE/mysql-VERSION-ARCH, without installing
# anything and without root. Called by mysql.sh, which holds a lock on CACHE meanwhile.
#
# Debian's stable releases carry MariaDB only; the unstable suite has MySQL. Its programs are newer than the system's
# libc, so they come with all of their libraries and run under the loader that came with them.
# shellcheck disable=SC2016 # $(…) and $p in single quotes are for the wrappers to expand
set -euo pipefail

cache=${1:?usage: mysql-fetch.sh CACHE}
# shellcheck source=server/dev/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
programs=(usr/sbin/mysqld usr/bin/mysql usr/bin/mysqladmin usr/bin/mysqldump usr/bin/mysqlbinlog)

say() { printf 'mysql.sh: %s\n' "$*" >&2; }
missing() { say "$1"; exit 3; }
unobtainable() {
  missing "$1. Set BELAY_DATABASE_URL to a MySQL 8.4 or newer, or try it on MariaDB: apt-get install -y mariadb-server-core && export BELAY_ALLOW_MARIADB=1"
}

# With an empty package status apt resolves the whole tree down to libc.
download() {
  : >"$tmp/status"
  debian_download "$tmp/apt" "$1" unstable "$tmp/status" "$tmp/log" mysql-server-core mysql-client-core
}

# What the given programs and plugins load, one library a line (below $all).
libraries_of() {
  local file
  for file in "$@"; do
    (cd "$all" && "$loader" --inhibit-cache --library-path "$libs:usr/lib/mysql/private" --list "$file")
  done | awk '$2 == "=>" && $3 ~ /^usr/ { print $3 }' | sort -u
}

# exec, so that the process started is the daemon itself and its pid can be signalled.
write_wrapper() {
  local wrapper=$keep/bin/${1##*/} here='$(cd "$(dirname "$0")/.." && pwd)' options=''
  [[ $1 != */mysqld ]] ||
    options='--basedir="$p/usr" --lc-messages-dir="$p/usr/share/mysql" --plugin-dir="$p/usr/lib/mysql/plugin"'
  cat >"$wrapper" <<WRAPPER
#!/bin/sh
p=$here
exec "\$p/$loader" --inhibit-cache --library-path "\$p/$libs:\$p/usr/lib/mysql/private" "\$p/$1" "\$@" $options
WRAPPER
  chmod 755 "$wrapper"
}

# Keeps only what mysqld and the client load (410 MB become 165), and renames it into place once it runs.
unpack() {
  local deb item version plugins
  all=$tmp/all keep=$tmp/keep
  mkdir "$all" "$keep"
  for deb in "$tmp"/apt/archives/*.deb; do dpkg -x "$deb" "$all"; done
  rm -f "$all"/usr/lib/mysql/plugin/{authentication_*,*telemetry*}
  loader=$(cd "$all" && echo usr/lib/*/ld-linux-*.so.*)
  libs=${loader%/*}
  mkdir -p "$keep/bin" "$keep/$libs"
  cp "$all/$loader" "$keep/$libs/"
  for item in "${programs[@]}" usr/lib/mysql usr/share/mysql/{charsets,english}; do
    mkdir -p "$keep/${item%/*}"
    cp -a "$all/$item" "$keep/$item"
  done
  mapfile -t plugins < <(cd "$all" && find usr/lib/mysql -name '*.so*' -type f)
  for item in $(libraries_of "${programs[@]}" "${plugins[@]}"); do
    mkdir -p "$keep/${item%/*}"
    [[ -e $keep/$item ]] || cp "$all/$item" "$keep/$item"
  done
  for item in "${programs[@]}"; do write_wrapper "$item"; done
  version=$("$keep/bin/mysqld" --no-defaults --version 2>"$tmp/log" | sed -n 's/.* Ver \([^ ]*\).*/\1/p') && [[ -n $version ]] || {
    unobtainable "the MySQL of the Debian archive does not run on this machine ($(tail -n 1 "$tmp/log"))"
  }
  chmod 755 "$keep"
  rm -rf "$cache/mysql-$version-$arch" # there only if it does not run
  mv "$keep" "$cache/mysql-$version-$arch"
}

for need in apt-get dpkg; do
  command -v "$need" >/dev/null || unobtainable "no mysqld on PATH, and this machine has no $need to fetch one with"
done
[[ -r $debian_keyring ]] || missing "the Debian archive cannot be verified without its keys. Install them: apt-get install -y debian-archive-keyring"
arch=$(dpkg --print-architecture)
found=$(debian_mirrors)
[[ -n $found ]] || unobtainable "no mysqld on PATH, and apt has no Debian mirror configured to fetch one from"

rm -rf "$cache"/.fetch.* # left by a run that was killed; with the lock held nobody else uses one
tmp=$(mktemp -d "$cache/.fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
say "fetching MySQL from the Debian archive, once (80 MB; kept in $cache)"
for mirror in $found; do
  if download "$mirror"; then
    unpack
    exit
  fi
done
reason=$(grep -E '^(E|W): ' "$tmp/log" | head -n 1)
unobtainable "MySQL could not be fetched from the unstable suite of this machine's mirrors, ${found//$'\n'/ } (${reason#?: })"
