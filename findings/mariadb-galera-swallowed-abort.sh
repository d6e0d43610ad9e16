#!/usr/bin/env bash
# MariaDB with Galera rolls a transaction back where another one has the right of way: one of another node, or a change of a table. The
# client is told by error 1213. In two cases nobody is told: the transaction is gone, what comes next commits statement by statement,
# and COMMIT is answered OK. So of one transaction half is lost and half is there, and the client knows nothing of it.
#
# 1. It comes between two statements of one message (CLIENT_MULTI_STATEMENTS). The next statement even runs twice: its autocommit
#    retry takes the error for its own, and clears it. With wsrep_retry_autocommit=0 the error is told, and one statement has
#    committed by itself all the same.
# 2. It comes while a SELECT is prepared (COM_STMT_PREPARE). The answer of that is sent before the error is looked for.
#
# Those are hit who send several statements of a transaction in one message, or prepare a SELECT within one, on one node too. Who asks
# for @@in_transaction in a message of its own, behind the last SELECT that is prepared and before anything is written, finds out.
#
# Seen with MariaDB 10.11.18 and Galera 26.4.23 (Debian 12), mysql-connector-python 26.10.0. Needs apt, python3, 60 MB.
set -euo pipefail
umask 022
suite=bookworm mariadb=1:10.11.18-0+deb12u1 galera=26.4.23-0+deb12u1 connector=26.10.0

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
  apt-get -c "$tmp/apt/conf" -qy --download-only install "mariadb-server=$mariadb" "galera-4=$galera"
} >"$tmp/apt/log" 2>&1 || { echo "cannot fetch mariadb-server=$mariadb and galera-4=$galera:" && tail -n 3 "$tmp/apt/log" && exit 2; } >&2
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q "mysql-connector-python==$connector"

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
"$loader" --inhibit-cache --library-path "$libraries" "${mariadbd[@]}" --skip-networking --skip-grant-tables "--socket=$tmp/s" "--pid-file=$tmp/pid" --binlog-format=ROW \
  --innodb-autoinc-lock-mode=2 --wsrep-on=ON "--wsrep-provider=$tmp/root/usr/lib/galera/libgalera_smm.so" \
  --wsrep-cluster-address=gcomm:// --wsrep-new-cluster --wsrep-node-address=127.0.0.1 \
  "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:0" >"$tmp/log" 2>&1 &
pid=$!
sql() { run "$tmp/root/usr/bin/mariadb" --no-defaults "--socket=$tmp/s" --batch --skip-column-names "$@"; }
ready() { sql --execute "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_ready'" 2>/dev/null; }
until [[ $(ready) == ON ]]; do
  kill -0 "$pid" 2>/dev/null || { cat "$tmp/log" >&2 && exit 2; }
  sleep 0.2
done
echo "MariaDB $(sql --execute 'SELECT version()'), Galera $(sql --execute "SHOW STATUS LIKE 'wsrep_provider_version'" | cut -f 2)"

# A transaction in which a table is changed by somebody else while the work of its messages is under way. A message is a line.
# Says what the client was told, and what there is afterwards.
transaction() {
  sql --execute "DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.first (id INT PRIMARY KEY);
    CREATE TABLE d.second (id INT PRIMARY KEY, v INT); INSERT INTO d.second VALUES (1, 0)"
  local told client state
  { echo 'delimiter $$'; printf '%s$$\n' "$@"; } | sql d >"$tmp/told" 2>&1 &
  client=$!
  until [[ $(sql --execute "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO BENCHMARK%'") == 1 ]]; do
    kill -0 "$client" 2>/dev/null || { echo "the work was over too soon" && return; }
  done
  sql --execute 'ALTER TABLE d.first ADD COLUMN x INT'
  wait "$client" || true
  told=$(grep -o 'ERROR [0-9]*' "$tmp/told" | paste -sd ' ')
  state=$(sql --execute 'SELECT (SELECT COUNT(*) FROM d.first), (SELECT v FROM d.second)' | tr '\t' ' ')
  echo "${told:-OK}; $state"
}
begin='BEGIN' first='INSERT INTO first VALUES (1)' work='DO BENCHMARK(8000000, MD5(1))'
second='UPDATE second SET v = v + 10' commit='COMMIT'

echo "expected: the client is told error 1213, and of the transaction nothing is there (0 0)"
apart=$(transaction "$begin" "$first" "$work" "$second" "$commit")
echo "seen with a message for each statement: $apart"
together=$(transaction "$begin" "$first" "$work; $second" "$commit")
echo "seen with two in one message: $together"
untried=$(transaction "SET wsrep_retry_autocommit = 0" "$begin" "$first" "$work; $second" "$commit")
echo "seen with wsrep_retry_autocommit=0: $untried"

# While a SELECT of many terms is prepared, at one moment after the other.
prepared=$("$tmp/venv/bin/python" - "$tmp/s" <<'PY'
import sys, threading, time, mysql.connector

def connect(**options):
    return mysql.connector.connect(unix_socket=sys.argv[1], user="root", use_pure=True, **options)

root = connect(autocommit=True)
admin = root.cursor()
def ask(query):
    admin.execute(query)
    return admin.fetchall()

SELECT = "SELECT COUNT(*) FROM d.second WHERE " + " OR ".join(f"id = {i} AND v = {i}" for i in range(100_000))

def told(work):
    try:
        work()
        return "OK"
    except mysql.connector.Error as error:
        return f"error {error.errno}"

def transaction(delay):
    for query in ["DROP DATABASE IF EXISTS d", "CREATE DATABASE d", "CREATE TABLE d.first (id INT PRIMARY KEY)",
                  "CREATE TABLE d.second (id INT PRIMARY KEY, v INT)", "INSERT INTO d.second VALUES (1, 0)"]:
        admin.execute(query)
    conn = connect()
    cursor = conn.cursor()
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO d.first VALUES (1)")
    answers, begun = [], time.monotonic()
    preparing = threading.Thread(target=lambda: answers.append(told(lambda: conn.cmd_stmt_prepare(SELECT.encode()))))
    preparing.start()
    if delay is not None:
        time.sleep(delay)
        admin.execute("ALTER TABLE d.first ADD COLUMN x INT")
    preparing.join()
    took = time.monotonic() - begun
    if answers == ["OK"]:
        answers.append(told(lambda: cursor.execute("UPDATE d.second SET v = v + 10")))
    if answers == ["OK", "OK"]:
        answers.append(told(lambda: cursor.execute("COMMIT")))
    conn.close()
    [(first,)], [(second,)] = ask("SELECT COUNT(*) FROM d.first"), ask("SELECT v FROM d.second")
    return took, f"{', '.join(answers)}; {first} {second}"

took, _ = transaction(None)
seen = [transaction(took * step / 40)[1] for step in range(41)]
print("OK, OK, OK; 0 10" if "OK, OK, OK; 0 10" in seen else " | ".join(sorted(set(seen))))
PY
)
echo "seen where a SELECT was prepared meanwhile (answers of that, of the UPDATE, of COMMIT): $prepared"
if [[ $apart == 'ERROR 1213; 0 0' && $together == 'OK; 0 20' && $untried == 'ERROR 1213; 0 10' && $prepared == 'OK, OK, OK; 0 10' ]]; then
  echo "as described"
else
  echo "NOT as described any more"
  exit 1
fi
