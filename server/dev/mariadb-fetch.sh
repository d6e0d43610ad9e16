#!/usr/bin/env bash
# mariadb-fetch.sh: unpacks MariaDB 10.11 with Galera 4 from Debian 12 into the cache folder, once, without installing anything and
# without root; prints the folder of its programs. With it, everything here runs on MariaDB:
#   export PATH="$(server/dev/mariadb-fetch.sh):$PATH" BELAY_ALLOW_MARIADB=1
#   server/dev/mysql.sh start DIR
# The programs use the machine's libc, so it must be Debian 12 or newer, or as new as that.
# shellcheck disable=SC2016 # $p in single quotes is for the wrappers to expand
set -euo pipefail

cache=${BELAY_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/belay}
suite=bookworm
# shellcheck source=server/dev/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

say() { printf 'mariadb-fetch.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 3; }

found() { find "$cache" -maxdepth 1 -name "mariadb-$suite-*" 2>/dev/null | sort -V | tail -n 1; }

# wrapper NAME PROGRAM OPTIONS: exec, so that the process started is the daemon itself.
wrapper() {
  {
    echo '#!/bin/sh'
    echo 'p=$(cd "$(dirname "$0")/.." && pwd)'
    # What a node of Galera runs to copy its data to another one is found here too.
    echo 'export LD_LIBRARY_PATH="$p/lib" PATH="$p/usr/bin:$PATH"'
    echo "exec \"\$p/$2\" $3"
  } >"$keep/bin/$1"
  chmod 755 "$keep/bin/$1"
}

# rsync as root gives up its rights before it writes, and the data folder is root's.
wrap_rsync() {
  mkdir "$keep/libexec"
  mv "$keep/usr/bin/rsync" "$keep/libexec/rsync"
  cat >"$keep/usr/bin/rsync" <<'WRAPPER'
#!/bin/sh
p=$(cd "$(dirname "$0")/../.." && pwd)
case " $* " in
  *" --daemon "*) [ "$(id -u)" != 0 ] || set -- "$@" --dparam=uid=0 --dparam=gid=0 ;;
esac
exec "$p/libexec/rsync" "$@"
WRAPPER
  chmod 755 "$keep/usr/bin/rsync"
}

unpack() {
  local deb file library version messages='--basedir="$p/usr" --lc-messages-dir="$p/usr/share/mysql"'
  all=$tmp/all keep=$tmp/keep
  mkdir -p "$all" "$keep/bin" "$keep/lib"
  for deb in "$tmp"/apt/archives/lib*.deb; do dpkg -x "$deb" "$all"; done
  for deb in "$tmp"/apt/archives/{mariadb,galera,rsync}*.deb; do dpkg -x "$deb" "$keep"; done
  # What they load and the machine need not have. libc itself is the machine's.
  for file in usr/sbin/mariadbd usr/bin/mariadb usr/bin/rsync usr/lib/galera/libgalera_smm.so; do
    while read -r library; do
      file=$(find "$all" -name "$library" | head -n 1)
      [[ -z $file || $library =~ ^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\. ]] || cp -L "$file" "$keep/lib/$library"
    done < <(ldd "$keep/$file" | awk '{ print $1 }')
  done
  wrapper mysqld usr/sbin/mariadbd "\"\$@\" $messages --plugin-dir=\"\$p/usr/lib/mysql/plugin\" --character-sets-dir=\"\$p/usr/share/mysql/charsets\""
  wrapper mariadb-install-db usr/bin/mariadb-install-db "\"\$@\" $messages"
  for file in mariadb:mysql mariadb-dump:mysqldump mariadb-binlog:mysqlbinlog; do
    wrapper "${file#*:}" "usr/bin/${file%:*}" '"$@"'
  done
  wrap_rsync
  version=$("$keep/bin/mysqld" --no-defaults --version 2>"$tmp/log" | sed -n 's/.* Ver \([0-9.]*\).*/\1/p') && [[ -n $version ]] ||
    die "MariaDB of Debian 12 does not run on this machine ($(tail -n 1 "$tmp/log"))"
  chmod 755 "$keep"
  mv "$keep" "$cache/mariadb-$suite-$version"
}

fetch() {
  local mirror
  [[ -z $(found) ]] || return 0
  rm -rf "$cache"/.mariadb.*
  tmp=$(mktemp -d "$cache/.mariadb.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  say "fetching MariaDB and Galera from the Debian archive, once (46 MB; kept in $cache)"
  for mirror in $(debian_mirrors); do
    : >"$tmp/status"
    if debian_download "$tmp/apt" "$mirror" "$suite" "$tmp/status" "$tmp/log" mariadb-server galera-4; then
      unpack
      return
    fi
  done
  die "MariaDB could not be fetched from the suite $suite of this machine's mirrors: $(grep -E '^(E|W): ' "$tmp/log" | head -n 1)"
}

for need in apt-get dpkg ldd flock; do
  command -v "$need" >/dev/null || die "this machine has no $need to fetch MariaDB with"
done
mkdir -p "$cache"
(flock 9 && fetch) 9>>"$cache/lock-mariadb"
echo "$(found)/bin"
