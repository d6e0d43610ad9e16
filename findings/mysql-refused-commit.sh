#!/usr/bin/env bash
# A MySQL primary that gives way refuses the COMMIT of a transaction that was open: error 1290 once super_read_only is set, as
# failover tools set it. The refusal is also a rollback. The server does not say so, and answers the next COMMIT of that session with
# OK: whoever repeats a COMMIT that failed is told that it has landed, while its rows are gone and its locks are free. Other
# errors inside a transaction, such as a lock wait that timed out or a duplicate key, leave it open, and a COMMIT behind them
# lands what was done before. Those are hit who retry COMMIT by itself, in a loop around transient errors or by a library's hook.
# It is enough to roll back and to run the whole transaction again.
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

def connect(**options):
    return mysql.connector.connect(unix_socket=sys.argv[1], user="root", use_pure=True, **options)

root = connect(autocommit=True)
admin = root.cursor()
def ask(query):
    admin.execute(query)
    return admin.fetchall()

[(version,)] = ask("SELECT version()")
print(f"MySQL {version}, mysql-connector-python {mysql.connector.__version__}")
admin.execute("CREATE DATABASE d")
admin.execute("CREATE TABLE d.t (id INT PRIMARY KEY)")

def commit(conn):
    try:
        conn.commit()
        return "OK"
    except mysql.connector.Error as error:
        return f"error {error.errno}"

def transaction(first):
    conn = connect()
    conn.start_transaction()
    conn.cursor().execute(f"INSERT INTO d.t VALUES ({first})")
    return conn

def locks():
    return len(ask("SELECT * FROM performance_schema.data_locks WHERE lock_type = 'TABLE'"))

def row(key):
    return len(ask(f"SELECT * FROM d.t WHERE id = {key}")) == 1

print("expected: a COMMIT that fails is repeated once its cause is gone, and lands; or the repetition fails as well")
# Another error, to compare with: the transaction is still there, and COMMIT lands what it did before.
other = transaction(1)
try:
    other.cursor().execute("INSERT INTO d.t VALUES (1)")
    seen = "OK"
except mysql.connector.Error as error:
    seen = f"error {error.errno}"
other_commit = commit(other)
print(f"seen after a duplicate key ({seen}): COMMIT {other_commit}, the row {'is' if row(1) else 'is not'} there")

refused = transaction(2)
before = locks()
admin.execute("SET GLOBAL super_read_only = ON")
first = commit(refused)
after = locks()
admin.execute("SET GLOBAL read_only = OFF")
second = commit(refused)
print(f"seen after super_read_only: COMMIT {first}, locks held {before} before and {after} behind it; writes allowed again, COMMIT {second}, "
      f"the row {'is' if row(2) else 'is not'} there")
surprised = ((seen, other_commit, row(1)) == ("error 1062", "OK", True)
             and (first, second, row(2)) == ("error 1290", "OK", False) and before > 0 and after == 0)
print("as described" if surprised else "NOT as described any more")
sys.exit(not surprised)
PY
