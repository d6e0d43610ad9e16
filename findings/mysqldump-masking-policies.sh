#!/usr/bin/env bash
# mysqldump 9.7 asks the server for masking policies, and it does so by default, also where the server has no such thing: the table that
# it asks for, mysql.column_masking_policy, is not there. An account that may read the database that is dumped, and nothing of the
# schema mysql, is denied that table before anybody finds out that it is missing. mysqldump says "Error" for it, writes the whole dump
# all the same, and exits with 0; an account that reads everything sees nothing of it. So a job that takes a word on the standard error
# for a failure fails with a good dump, and one that looks at the exit code alone would not notice if there were policies and they were
# left out. What else is missing, such as the right to see a view, ends with exit code 2. --skip-masking-policies is silent, and as
# --loose-skip-masking-policies no error in programs that do not know it.
#
# Seen with MySQL 9.7.4 (Debian 9.7.4-2, unstable suite). Needs apt, 80 MB.
set -euo pipefail
umask 022
package=9.7.4-2

tmp=$(mktemp -d)
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
  rm -rf "$tmp"
}
trap clean EXIT

# MySQL with all of its libraries, from the Debian mirror that this machine uses; apt checks the signatures. An empty
# package status makes it bring everything down to the loader, as the programs are newer than the system's libc.
# shellcheck disable=SC2016 # $(REPO_URI) is for apt to expand
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | { grep -v security || :; } | head -n 1)
mkdir -p "$tmp"/apt/{lists,archives}/partial "$tmp/root" "$tmp/data"
: >"$tmp/apt/status"
echo "deb [target=Packages signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$tmp/apt/list"
cat >"$tmp/apt/conf" <<CONF
Dir::State "$tmp/apt"; Dir::State::lists "$tmp/apt/lists"; Dir::State::status "$tmp/apt/status";
Dir::Cache "$tmp/apt"; Dir::Cache::archives "$tmp/apt/archives";
Dir::Etc::sourcelist "$tmp/apt/list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
CONF
{
  apt-get -c "$tmp/apt/conf" -qy update
  apt-get -c "$tmp/apt/conf" -qy --download-only install "mysql-server-core=$package" "mysql-client-core=$package"
} >"$tmp/apt/log" 2>&1 || { echo "cannot fetch MySQL $package:" && tail -n 3 "$tmp/apt/log" && exit 2; } >&2
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done
loader=$(echo "$tmp"/root/usr/lib/*/ld-linux-*.so.*)
mysqld=("$loader" --inhibit-cache --library-path "${loader%/*}:$tmp/root/usr/lib/mysql/private" "$tmp/root/usr/sbin/mysqld"
  --no-defaults "--user=$(id -un)" "--basedir=$tmp/root/usr" "--lc-messages-dir=$tmp/root/usr/share/mysql"
  "--plugin-dir=$tmp/root/usr/lib/mysql/plugin" "--datadir=$tmp/data" --secure-file-priv=NULL)
"${mysqld[@]}" --initialize-insecure >"$tmp/log" 2>&1
"${mysqld[@]}" --skip-networking --mysqlx=OFF "--socket=$tmp/s" "--pid-file=$tmp/pid" >"$tmp/log" 2>&1 &
pid=$!
until grep -q 'ready for connections' "$tmp/log"; do
  kill -0 "$pid" 2>/dev/null || { cat "$tmp/log" >&2 && exit 2; }
  sleep 0.2
done

run() {
  local program=$1
  shift
  "$loader" --inhibit-cache --library-path "${loader%/*}:$tmp/root/usr/lib/mysql/private" "$tmp/root/usr/bin/$program" --no-defaults \
    "--socket=$tmp/s" "$@"
}
run mysql --user=root <<'SQL'
CREATE DATABASE shop;
CREATE TABLE shop.orders (id INT PRIMARY KEY);
INSERT INTO shop.orders VALUES (1);
CREATE VIEW shop.open_orders AS SELECT id FROM shop.orders;
CREATE USER backup, no_views, everything;
GRANT SELECT, SHOW VIEW ON shop.* TO backup;
GRANT SELECT ON shop.* TO no_views;
GRANT SELECT, SHOW VIEW ON *.* TO everything;
GRANT RELOAD ON *.* TO backup, no_views, everything;
SQL
there=$(run mysql --user=root --batch --skip-column-names \
  --execute="SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'mysql' AND table_name LIKE '%masking%'")

# What a dump of the database ends with, what it says, and whether it is whole.
dump() {
  local code=0 said whole=incomplete
  run mysqldump "--user=$1" --single-transaction --no-tablespaces "${@:2}" shop >"$tmp/dump" 2>"$tmp/said" || code=$?
  said=$(grep -c 'masking' "$tmp/said" || :)
  if grep -q 'INSERT INTO `orders` VALUES (1)' "$tmp/dump" && grep -q '^-- Dump completed' "$tmp/dump"; then whole=whole; fi
  echo "exit code $code, $said lines about masking, $whole"
}
run mysqldump --version
echo "expected: an account that may read all of a database dumps it without a word; or what cannot be dumped is an error and an exit code"
echo "tables of the server about masking: $there"
seen=("$(dump backup)" "$(dump everything)" "$(dump backup --skip-masking-policies)" "$(dump no_views --skip-masking-policies)")
echo "seen with SELECT on the database: ${seen[0]}: $(dump backup >/dev/null; grep -m 1 masking "$tmp/said")"
echo "seen with SELECT on everything: ${seen[1]}"
echo "seen with --skip-masking-policies: ${seen[2]}"
echo "seen where a view may not be shown: ${seen[3]}"
if [[ $there == 0 && ${seen[0]} == "exit code 0, 1 lines about masking, whole" && ${seen[1]} == "exit code 0, 0 lines about masking, whole" &&
  ${seen[2]} == "exit code 0, 0 lines about masking, whole" && ${seen[3]} == "exit code 2,"* ]]; then
  echo "as described"
else
  echo "NOT as described any more"
  exit 1
fi
