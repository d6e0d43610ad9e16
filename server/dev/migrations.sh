#!/usr/bin/env bash
# Measures what each migration costs with a million orders: migrations.sh [ORDERS [FIRST]]. They run one after the other on a private MySQL
# whose tables are filled before they are changed first, with rows that are as many and as long as those of so many orders. `belay migrate`
# runs each by itself; it prints the seconds of each, as server/migrations/README.md has them, and of one that fills rows in batches the
# longest batch: for so long it held the locks of its rows. With FIRST, such as 0210, those before it run on empty tables. By hand, for a
# release that adds a migration.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
orders=${1:-1000000}
first=${2:-0000}
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
mkdir -p "$target"
# Beside the build and not under /tmp, which may be memory.
scratch=$(mktemp -d "$target/migrations.XXXXXX")
finish() {
    "$here/mysql.sh" kill "$scratch" >&2 || true
    rm -rf "$scratch"
}
trap finish EXIT
(cd "$here/../.." && cargo build --quiet --package belay-server --bin belay)
cp "$target/debug/belay" "$scratch/belay"
url=$(BELAY_MYSQL_BUFFER_POOL=1G BELAY_MYSQL_REDO_LOG=2G "$here/mysql.sh" start "$scratch" -- --disable-log-bin)
sql() { "$here/mysql.sh" client "$scratch" --batch --skip-column-names "$@"; }
sql --execute='CREATE DATABASE belay'

# Rows of a table for each order; those that are not here do not grow with orders.
declare -A rows=([orders]=1 [order_lines]=2 [payments]=1 [shipments]=1 [shipment_units]=2 [cancellations]=1 [cancellation_parts]=1
    [cancellation_units]=2 [gates]=1 [refunds]=1 [incidents]=1 [decisions]=1 [requests]=3 [events]=3 [order_history]=3 [bulk_cancellations]=0
    [stock_holdings]=2)

# For each column what order n has in its k-th row.
columns="SELECT column_name, CASE
    WHEN column_name = 'order_key' THEN 'LEFT(UNHEX(SHA2(n, 256)), 16)'
    WHEN column_name = 'shard_partition' THEN 'n % 64'
    WHEN column_name = 'position' THEN '(n - 1) * @rows + k'
    WHEN column_name = 'respond_within_micros' THEN '3600000000'
    WHEN is_nullable = 'YES' THEN 'NULL'
    WHEN column_name = 'is_open' THEN '1'
    WHEN column_name IN ('line_number', 'number', 'request_id', 'shipment') AND data_type <> 'binary' THEN 'k'
    WHEN data_type = 'binary' THEN CONCAT('LEFT(UNHEX(SHA2(CONCAT(n, \'-\', k), 256)), ', character_maximum_length, ')')
    WHEN column_type = 'tinyint(1)' THEN '0'
    WHEN data_type IN ('tinyint', 'smallint', 'int', 'bigint') THEN '1'
    WHEN data_type = 'datetime' THEN '\'2026-01-01\' + INTERVAL n SECOND'
    WHEN data_type LIKE '%blob' THEN 'REPEAT(CHAR(120 + n % 3), 300)'
    WHEN data_type LIKE '%text' THEN '\'[]\''
    ELSE CONCAT('LEFT(CONCAT(\'', column_name, '\', n % 1000), ', character_maximum_length, ')') END
    FROM information_schema.columns WHERE table_schema = 'belay' AND table_name = "

fill() {
    local table=$1 count=${rows[$1]} names='' values=''
    rows[$table]=0
    while IFS=$'\t' read -r name value; do
        names+="${names:+, }$name" values+="${values:+, }$value"
    done < <(sql --execute="$columns '$table' ORDER BY ordinal_position")
    echo "filling $table" >&2
    sql --database=belay --execute="SET @rows = $count, cte_max_recursion_depth = 100000000;
        INSERT INTO $table ($names)
        WITH RECURSIVE orders_of AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM orders_of WHERE n < $orders),
            rows_of AS (SELECT 1 AS k UNION ALL SELECT k + 1 FROM rows_of WHERE k < $count)
        SELECT $values FROM orders_of CROSS JOIN rows_of ORDER BY SHA2(n, 256), k"
}

for folder in "$here"/../migrations/*/; do
    statement=$(grep -v '^--' "$folder/up.sql")
    if [[ $statement != CREATE* && ! $(basename "$folder") < $first ]]; then
        for table in "${!rows[@]}"; do
            if ((rows[$table])) && grep -qw "$table" <<<"$statement"; then fill "$table"; fi
        done
    fi
    name=$(basename "$folder")
    sql --execute='TRUNCATE TABLE performance_schema.events_statements_summary_by_digest'
    begun=$(date +%s%N)
    BELAY_DATABASE_URL=$url/belay "$scratch/belay" migrate --to "$name" 2>"$scratch/said" || {
        cat "$scratch/said" >&2
        exit 1
    }
    took=$((($(date +%s%N) - begun) / 1000000))
    batch=''
    if [[ $statement == UPDATE* || $statement == 'INSERT IGNORE'*SELECT* ]]; then
        # A batch is a statement that commits by itself: it holds its locks for as long as it takes.
        batch=$(sql --execute="SELECT CONCAT(', of ', SUM(count_star), ' batches the longest ', MAX(max_timer_wait) DIV 1000000000, ' ms')
            FROM performance_schema.events_statements_summary_by_digest WHERE schema_name = 'belay' AND (digest_text LIKE 'UPDATE %' OR digest_text LIKE 'INSERT IGNORE %')")
    fi
    printf '%s %d.%d s%s\n' "$name" $((took / 1000)) $((took % 1000 / 100)) "${batch#NULL}"
done
