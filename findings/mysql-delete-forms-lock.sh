#!/usr/bin/env bash
# MySQL has two forms of a DELETE from one table, and FORCE INDEX is taken by the one for several tables alone (`DELETE t FROM t FORCE
# INDEX (PRIMARY) WHERE ...`). Of the same rows it reads others than `DELETE FROM t WHERE ...` does: where the table is small beside
# the lists of a key of several columns, it scans the whole table, although the index is forced, while the form for one table
# reads the ranges. So it waits for rows that it does not delete and that somebody else has locked, and ends with error 1205 where the
# other one has nothing to wait for. SELECT ... FORCE INDEX (PRIMARY) ... FOR UPDATE waits as well.
#
# Most expect FORCE INDEX to read no more than without it, and both forms to lock alike: whoever rewrites a DELETE for the sake of the
# index, or takes the one form for a hint that the other has not, has deadlocks and waits that tests of one session never show.
# The form for one table takes the hint /*+ INDEX(t PRIMARY) */.
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
admin.execute("SELECT version()")
[(version,)] = admin.fetchall()
print(f"MySQL {version}, mysql-connector-python {mysql.connector.__version__}")
admin.execute("CREATE DATABASE d")
admin.execute("CREATE TABLE d.t (shop INT, item INT, parcel INT, PRIMARY KEY (shop, item, parcel))")
admin.execute("INSERT INTO d.t VALUES " + ", ".join(f"(1, {n % 2}, {n})" for n in range(40)))
admin.execute("ANALYZE TABLE d.t")
admin.fetchall()

# Somebody else deletes a row that none of the others is about.
other = connect(database="d")
other.start_transaction(isolation_level="READ COMMITTED")
cursor = other.cursor()
cursor.execute("DELETE FROM t WHERE shop = 1 AND item = 1 AND parcel = 39")
assert cursor.rowcount == 1

WHERE = "WHERE shop = 1 AND item IN (0, 1) AND parcel IN (0, 1, 2, 3, 4, 5, 6, 7)"
FORMS = {
    "DELETE FROM t": f"DELETE FROM t {WHERE}",
    "DELETE with the hint": f"DELETE /*+ INDEX(t PRIMARY) */ FROM t {WHERE}",
    "DELETE t FROM t FORCE INDEX": f"DELETE t FROM t FORCE INDEX (PRIMARY) {WHERE}",
    "SELECT FORCE INDEX FOR UPDATE": f"SELECT * FROM t FORCE INDEX (PRIMARY) {WHERE} FOR UPDATE",
}

def tried(statement):
    """How the statement reads the table, and what comes of it."""
    conn = connect(database="d")
    conn.start_transaction(isolation_level="READ COMMITTED")
    cursor = conn.cursor()
    cursor.execute("SET innodb_lock_wait_timeout = 1")
    cursor.execute("EXPLAIN FORMAT=TRADITIONAL " + statement)
    access = cursor.fetchall()[0][4]
    try:
        cursor.execute(statement)
        if cursor.with_rows:
            cursor.fetchall()
        outcome = f"{cursor.rowcount} rows"
    except mysql.connector.Error as error:
        outcome = f"error {error.errno}"
    conn.rollback()
    conn.close()
    return access, outcome

print("expected: 8 rows of each form, and none waits for the row that is locked")
seen = {name: tried(statement) for name, statement in FORMS.items()}
for name, (access, outcome) in seen.items():
    print(f"seen: {name}: read by {access}, {outcome}")
forced = seen["DELETE t FROM t FORCE INDEX"]
surprised = (seen["DELETE FROM t"] == seen["DELETE with the hint"] == ("range", "8 rows")
             and forced == ("ALL", "error 1205") and seen["SELECT FORCE INDEX FOR UPDATE"][1] == "error 1205")
print("as described" if surprised else "NOT as described any more")
sys.exit(not surprised)
PY
