#!/usr/bin/env bash
# MySQL 9.7 has no MD5(), SHA1() and SHA() any more: "FUNCTION d.md5 does not exist". The component that brings them back,
# component_classic_hashing, brings back loadable functions and not built-in ones. So what a schema of 8.4 may hold cannot be
# made again even with it: a generated column, an index on an expression, a default or a CHECK that hashes with MD5 is
# refused as a "disallowed function". And they take strings alone: MD5(id) of an integer, with which rows were sampled and
# hashed for twenty years, fails. Whoever moves to 9.7 must rewrite such tables and queries, not only install the component;
# a dump of the old schema does not load. SHA2() is still built in and does all of it.
#
# Seen with MySQL 9.7.4 (Debian 9.7.4-2, unstable suite) and mysql-connector-python 26.10.0. Needs apt, python3, 80 MB.
set -euo pipefail
umask 022
package=9.7.4-2 connector=26.10.0

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
  apt-get -c "$tmp/apt/conf" -qy --download-only install "mysql-server-core=$package"
} >"$tmp/apt/log" 2>&1 || { echo "cannot fetch mysql-server-core=$package:" && tail -n 3 "$tmp/apt/log" && exit 2; } >&2
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q "mysql-connector-python==$connector"

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

"$tmp/venv/bin/python" - "$tmp/s" <<'PY'
import sys, mysql.connector

connection = mysql.connector.connect(unix_socket=sys.argv[1], user="root", use_pure=True, autocommit=True)
cursor = connection.cursor()
def ask(statement):
    try:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.with_rows else "done"
    except mysql.connector.Error as error:
        return error

[(version,)] = ask("SELECT version()")
print(f"MySQL {version}, mysql-connector-python {mysql.connector.__version__}")
ask("CREATE DATABASE d")
ask("USE d")
surprised = True
def see(statement, errno):
    """Shows what comes of a statement; errno is that of the error that was seen, None where it was done."""
    global surprised
    seen = ask(statement)
    failed = isinstance(seen, Exception)
    print(f"  {statement:66}", f"error {seen.errno}: {seen.msg}" if failed else seen)
    surprised = surprised and (seen.errno if failed else None) == errno

def tables(hashed):
    return [f"CREATE TABLE t1 (a VARCHAR(9), h CHAR(64) AS ({hashed}) STORED)",
            f"CREATE TABLE t2 (a VARCHAR(9), KEY (({hashed})))",
            f"CREATE TABLE t3 (a VARCHAR(9), h CHAR(64), CHECK (h = {hashed}))"]

print("expected: MD5 and SHA1, as in every MySQL since 4.1, or the same from the component that has them now")
print("seen without the component:")
see("SELECT MD5('a')", 1305)
see("SELECT SHA1('a')", 1305)
see("INSTALL COMPONENT 'file://component_classic_hashing'", None)
print("seen with it:")
see("SELECT MD5('a')", None)
see("SELECT SHA1('a')", None)
see("SELECT MD5(123)", 1123)
for statement, errno in zip(tables("MD5(a)"), [3763, 3758, 3814]):
    see(statement, errno)
print("seen with SHA2, which is built in:")
see("SELECT SHA2(123, 256)", None)
for statement in tables("SHA2(a, 256)"):
    see(statement, None)
print("as described" if surprised else "NOT as described any more")
sys.exit(not surprised)
PY
