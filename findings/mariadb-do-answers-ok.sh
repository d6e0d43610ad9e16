#!/usr/bin/env bash
# MariaDB answers DO with OK, whatever fails in its expressions: the error is among the warnings, the message goes on with its next
# statement, and the transaction can be committed. So a DO that is to stop a transaction (`DO IF(ROW_COUNT() = 1, 0, EXP(1000))` behind a
# guarded UPDATE) stops nothing. The same expression in SELECT or SET fails with error 1690, and so does DO on MySQL (9.7.4).
#
# Most expect of DO what its page says: that it evaluates as SELECT does, and gives no rows. Those are hit who bring statements from MySQL
# that check themselves, and who call a function by DO for what it does: its failure is not told either. The tests of such a check
# pass where they try it on MySQL alone.
#
# Seen with MariaDB 10.11.18 (Debian 12). Needs apt, 60 MB.
set -euo pipefail
umask 022
suite=bookworm mariadb=1:10.11.18-0+deb12u1

tmp=$(mktemp -d)
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
  rm -rf "$tmp"
}
trap clean EXIT

# MariaDB with all of its libraries, from the Debian mirror that this machine uses; apt checks the signatures. An empty
# package status makes it bring everything down to the loader, whatever this machine's libc is.
# shellcheck disable=SC2016 # $(REPO_URI) is for apt to expand
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | { grep -v security || :; } | head -n 1)
mkdir -p "$tmp"/apt/{lists,archives}/partial "$tmp/root" "$tmp/data"
: >"$tmp/apt/status"
echo "deb [target=Packages signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$tmp/apt/list"
cat >"$tmp/apt/conf" <<CONF
Dir::State "$tmp/apt"; Dir::State::lists "$tmp/apt/lists"; Dir::State::status "$tmp/apt/status";
Dir::Cache "$tmp/apt"; Dir::Cache::archives "$tmp/apt/archives";
Dir::Etc::sourcelist "$tmp/apt/list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
CONF
{
  apt-get -c "$tmp/apt/conf" -qy update
  apt-get -c "$tmp/apt/conf" -qy --download-only install "mariadb-server=$mariadb"
} >"$tmp/apt/log" 2>&1 || { echo "cannot fetch mariadb-server=$mariadb:" && tail -n 3 "$tmp/apt/log" && exit 2; } >&2
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done

loader=$(find "$tmp/root" -name 'ld-linux-*.so.*' | head -n 1)
libraries=$(find "$tmp/root" -name 'lib*.so*' -printf '%h\n' | sort -u | grep -v plugin | paste -sd :)
run() { "$loader" --inhibit-cache --library-path "$libraries" "$@"; }
mariadbd=("$tmp/root/usr/sbin/mariadbd" --no-defaults "--user=$(id -un)" "--basedir=$tmp/root/usr"
  "--lc-messages-dir=$tmp/root/usr/share/mysql" "--character-sets-dir=$tmp/root/usr/share/mysql/charsets" "--datadir=$tmp/data")
{
  printf '%s\n' 'CREATE DATABASE mysql;' 'USE mysql;'
  cat "$tmp"/root/usr/share/mysql/{mysql_system_tables,mysql_system_tables_data}.sql
} | run "${mariadbd[@]}" --bootstrap >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2 && exit 2; }
# Not by the function: what is killed at the end is then the server itself.
"$loader" --inhibit-cache --library-path "$libraries" "${mariadbd[@]}" --skip-networking --skip-grant-tables "--socket=$tmp/s" >"$tmp/log" 2>&1 &
pid=$!
sql() { run "$tmp/root/usr/bin/mariadb" --no-defaults "--socket=$tmp/s" --batch --skip-column-names "$@"; }
until sql --execute 'DO 0' 2>/dev/null; do
  kill -0 "$pid" 2>/dev/null || { cat "$tmp/log" >&2 && exit 2; }
  sleep 0.2
done
echo "MariaDB $(sql --execute 'SELECT version()')"

# A transaction in one message: stock is taken where some is left, which is checked, and then the parcel is noted.
# Says what the client was told, and how many parcels there are afterwards.
transaction() {
  sql --execute 'DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.stock (sku INT PRIMARY KEY, n INT);
    CREATE TABLE d.parcels (id INT PRIMARY KEY); INSERT INTO d.stock VALUES (1, 0)'
  printf 'delimiter $$\nBEGIN; UPDATE stock SET n = n - 1 WHERE sku = 1 AND n > 0; %s; INSERT INTO parcels VALUES (1); COMMIT$$\n' "$1" |
    sql d >"$tmp/told" 2>&1 || true
  echo "$(grep -o 'ERROR [0-9]*' "$tmp/told" || echo OK); $(sql --execute 'SELECT COUNT(*) FROM d.parcels')"
}

echo "expected of a check that fails: error 1690 and no parcel (ERROR 1690; 0)"
check='IF(ROW_COUNT() = 1, 0, EXP(1000))'
by_select=$(transaction "SELECT $check")
echo "seen where it is a SELECT: $by_select"
by_set=$(transaction "SET @checked = $check")
echo "seen where it is a SET: $by_set"
by_do=$(transaction "DO $check")
echo "seen where it is a DO: $by_do"
warned=$(sql --execute 'DO EXP(1000); SHOW WARNINGS' | cut -f 1,2 | tr '\t' ' ')
echo "seen among the warnings of DO: $warned"
if [[ $by_select == 'ERROR 1690; 0' && $by_set == 'ERROR 1690; 0' && $by_do == 'OK; 1' && $warned == 'Error 1690' ]]; then
  echo "as described"
else
  echo "NOT as described any more"
  exit 1
fi
