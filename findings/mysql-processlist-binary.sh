#!/usr/bin/env bash
# While one MySQL session runs a statement with bytes in it that are no UTF-8, such as a BINARY(16) key sent as a
# parameter of a prepared statement, information_schema.processlist and information_schema.innodb_trx fail with error 3854
# in every other session, whichever columns and rows are asked for. sys.innodb_lock_waits is built on innodb_trx: the view
# that should tell who holds a lock fails just when somebody waits for a binary key. Those are hit whose keys are UUIDs in
# BINARY(16) and whose monitoring reads these tables. SHOW PROCESSLIST and the tables of performance_schema answer.
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
import sys, threading, time, mysql.connector

def connect():
    return mysql.connector.connect(unix_socket=sys.argv[1], user="root", use_pure=True, autocommit=True)

monitor = connect()
watcher = monitor.cursor()
def ask(query):
    try:
        watcher.execute(query)
        return watcher.fetchall()
    except mysql.connector.Error as error:
        return error

[(version,)] = ask("SELECT version()")
print(f"MySQL {version}, mysql-connector-python {mysql.connector.__version__}")
watcher.execute("CREATE DATABASE d")
watcher.execute("CREATE TABLE d.t (id BINARY(16) PRIMARY KEY, name VARCHAR(16))")
names = {bytes.fromhex("018f3a5b9c7d7e8fa0b1c2d3e4f5a6b7"): "binary key", b"sixteen letters!": "readable key"}
for key, name in names.items():
    watcher.execute("INSERT INTO d.t VALUES (%s, %s)", (key, name))

fails = ["SELECT COUNT(*) FROM information_schema.processlist",
         "SELECT id FROM information_schema.processlist WHERE id = CONNECTION_ID()",
         "SELECT trx_id FROM information_schema.innodb_trx", "SELECT waiting_pid FROM sys.innodb_lock_waits"]
answers = ["SHOW FULL PROCESSLIST", "SELECT * FROM performance_schema.processlist", "SELECT * FROM sys.processlist",
           "SELECT * FROM performance_schema.data_lock_waits"]
print("expected: the same answers whatever bytes the key has that another session waits for")
surprised = True
for key, name in names.items():
    # One transaction holds the row, another waits for it: the second's statement carries the key.
    holder, waiter = connect(), connect()
    holder.start_transaction()
    held = holder.cursor(prepared=True)
    held.execute("SELECT name FROM d.t WHERE id = ? FOR UPDATE", (key,))
    assert held.fetchall() == [(name,)]
    def update():
        waiter.cursor(prepared=True).execute("UPDATE d.t SET name = 'new' WHERE id = ?", (key,))
    thread = threading.Thread(target=update)
    thread.start()
    while thread.is_alive() and not ask("SELECT * FROM performance_schema.data_lock_waits"):
        time.sleep(0.05)
    time.sleep(0.3)  # innodb_trx keeps its last answer for 0.1 s
    print(f"seen while a session waits for a {name}:")
    for query in fails + answers:
        seen = ask(query)
        failed = isinstance(seen, Exception)
        print(f"  {query:74}", f"error {seen.errno}: {seen.msg}" if failed else f"{len(seen)} row(s)")
        if query in fails and name == "binary key":
            surprised = surprised and failed and seen.errno == 3854
        else:
            surprised = surprised and not failed and len(seen) > 0
    holder.rollback()
    thread.join()
print("as described" if surprised else "NOT as described any more")
sys.exit(not surprised)
PY
