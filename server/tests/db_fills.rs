//! Migrations that fill rows do so in batches: with the same values as their statement in one,
//! beside callers, and again after they were cut off.

mod common;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use belay_server::db::migrate::{self, FillSettings, MigrateError, Target};
use belay_server::db::{Conn, transaction};
use common::{HANG, TestDatabase};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text, Unsigned};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::ExposeSecret;

/// Few rows a batch, and each batch is told of.
fn batches_of(rows: u32) -> FillSettings {
    FillSettings {
        rows,
        tell_every: Duration::ZERO,
        ..FillSettings::default()
    }
}

/// A fill, how far the schema is before it, and the rows of before, of which it fills so many.
/// Columns that are not named are empty or 0. `n` counts orders from 1 to 7, and `k` rows from 1
/// to 3.
struct Case {
    before: &'static str,
    fill: &'static str,
    /// The table that is written.
    table: &'static str,
    /// The one whose rows are gone through: 21 of them.
    through: &'static str,
    rows: &'static [(&'static str, &'static str)],
    /// Writes what a server of this release has written already, and the fill leaves alone.
    newer: &'static str,
}

const ORDERS: (&str, &str) = (
    "orders (order_key, order_id, store_id, version, create_time)",
    "key_of, CONCAT('order-', n), CONCAT('store-', n), 1, '2026-01-01' + INTERVAL n SECOND FROM numbers WHERE k = 1",
);
const SHIPMENTS: (&str, &str) = (
    "shipments (order_key, number, store_id, seller_id, warehouse_id, carrier_id, fence)",
    "key_of, k, CONCAT('store-', n), CONCAT('seller-', n), CONCAT('w-', k), CONCAT('c-', k), 1 FROM numbers",
);
const CANCELLATIONS: (&str, &str) = (
    "cancellations (order_key, number, create_time)",
    "key_of, k, '2026-01-02' + INTERVAL n * k SECOND FROM numbers",
);

/// Of two generations, and of each order two that are open.
const HOLDINGS: (&str, &str) = (
    "stock_holdings (generation, order_key, shipment, sku, store_id, order_id, seller_id, warehouse_id, stage, \
     units, live, reserved, is_open, zeroed_by)",
    "1 + n % 2, key_of, k, CONCAT('sku-', n), CONCAT('store-', n), CONCAT('order-', n), IF(n = 3, NULL, 'acme'), 'main', \
     'PLANNED', 9, IF(k = 2, 0, n), k, k <> 2, IF(k = 2, '[1,4]', '[]') FROM numbers",
);

const CASES: &[Case] = &[
    Case {
        before: "0027",
        fill: "0028_copy_waits_of_gates",
        table: "gates",
        through: "gates",
        rows: &[(
            "gates (order_key, cancellation_number, part_number, gate_number, respond_within_micros)",
            "key_of, 1, k, 1, IF(k = 2, NULL, n * 1000001) FROM numbers",
        )],
        newer: "UPDATE gates SET respond_within = '{\"WorkingDays\":2}' WHERE part_number = 3",
    },
    Case {
        before: "0041",
        fill: "0042_fill_order_lines",
        table: "order_lines",
        through: "order_lines",
        rows: &[
            ORDERS,
            (
                "order_lines (order_key, number, quantity)",
                "key_of, k, 1 FROM numbers",
            ),
        ],
        newer: "UPDATE order_lines SET store_id = 'newer' WHERE number = 3",
    },
    Case {
        before: "0045",
        fill: "0046_fill_parts",
        table: "cancellation_parts",
        through: "cancellation_parts",
        rows: &[
            SHIPMENTS,
            CANCELLATIONS,
            (
                "cancellation_parts (order_key, cancellation_number, part_number, shipment_number)",
                "key_of, k, 4 - k, k FROM numbers",
            ),
        ],
        newer: "UPDATE cancellation_parts SET store_id = 'newer' WHERE part_number = 3",
    },
    Case {
        before: "0047",
        fill: "0048_fill_gates",
        table: "gates",
        through: "gates",
        rows: &[
            SHIPMENTS,
            (
                "cancellation_parts (order_key, cancellation_number, part_number, shipment_number, create_time)",
                "key_of, 1, k, k, '2026-01-03' + INTERVAL n SECOND FROM numbers",
            ),
            (
                "gates (order_key, cancellation_number, part_number, gate_number, kind, state)",
                "key_of, 1, k, n, ELT(k, 'SELLER_CONSENT', 'SUPPORT_REVIEW', 'PARCEL_RECEIPT'), \
                 IF(n = 2, 'PASSED', 'OPEN') FROM numbers",
            ),
        ],
        newer: "UPDATE gates SET store_id = 'newer' WHERE gate_number = 3",
    },
    Case {
        before: "0060",
        fill: "0061_pack_events",
        table: "events",
        through: "events",
        rows: &[(
            "events (shard_partition, position, order_key, payload)",
            "n % 3, n * 300 + k, key_of, REPEAT('x', n * 60) FROM numbers",
        )],
        newer: "UPDATE events SET event_count = 2 WHERE position % 3 = 1",
    },
    Case {
        before: "0271",
        fill: "0272_fill_units_of_shipments",
        table: "shipments",
        through: "shipments",
        rows: &[
            SHIPMENTS,
            (
                "shipment_units (order_key, shipment_number, line_number, first_unit, unit_count)",
                "key_of, k, line, k, IF(line = n, 0, line) \
                 FROM numbers CROSS JOIN (SELECT 1 AS line UNION SELECT 2 UNION SELECT 3) AS of_lines",
            ),
        ],
        newer: "UPDATE shipments SET units = '[[9,9,9]]' WHERE number = 3",
    },
    Case {
        before: "0272",
        fill: "0273_fill_units_of_cancellation_parts",
        table: "cancellation_parts",
        through: "cancellation_parts",
        rows: &[
            (
                "cancellation_parts (order_key, cancellation_number, part_number, shipment_number)",
                "key_of, k, 4 - k, k FROM numbers",
            ),
            (
                "cancellation_units (order_key, cancellation_number, part_number, line_number, first_unit, unit_count)",
                "key_of, k, 4 - k, line, k, IF(line = n, 0, line) \
                 FROM numbers CROSS JOIN (SELECT 1 AS line UNION SELECT 2 UNION SELECT 3) AS of_lines",
            ),
        ],
        newer: "UPDATE cancellation_parts SET units = '[[9,9,9]]' WHERE part_number = 3",
    },
    Case {
        before: "0291",
        fill: "0292_fill_stock_orders",
        table: "stock_orders",
        through: "stock_holdings",
        rows: &[HOLDINGS],
        newer: "INSERT INTO stock_orders (generation, order_key, holdings) \
            SELECT generation, order_key, 'newer' FROM stock_holdings WHERE order_id IN ('order-1', 'order-4') AND shipment = 2",
    },
    Case {
        before: "0292",
        fill: "0293_fill_stock_holders",
        table: "stock_holders",
        through: "stock_holdings",
        rows: &[HOLDINGS],
        newer: "INSERT INTO stock_holders SELECT generation, store_id, warehouse_id, sku, order_key, shipment \
            FROM stock_holdings WHERE order_id = 'order-1' AND is_open",
    },
];

impl Case {
    /// A database of before, with its rows.
    async fn database(&self) -> TestDatabase {
        let database = TestDatabase::empty().await;
        let before = Target::Migration(self.before.to_owned());
        migrate::run_for(
            &database.url,
            None,
            &before,
            FillSettings::default(),
            |_| (),
        )
        .await
        .unwrap();
        let mut conn = database.connect().await;
        for (columns, values) in self.rows {
            let insert = format!(
                "SET SESSION sql_mode = ''; INSERT INTO {columns} WITH RECURSIVE \
                 orders_of (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM orders_of WHERE n < 7), \
                 rows_of (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM rows_of WHERE k < 3), \
                 numbers AS (SELECT n, k, LEFT(UNHEX(SHA2(n, 256)), 16) AS key_of FROM orders_of CROSS JOIN rows_of) \
                 SELECT {values}"
            );
            conn.batch_execute(&insert).await.unwrap();
        }
        conn.batch_execute(self.newer).await.unwrap();
        database
    }

    fn target(&self) -> Target {
        Target::Migration(self.fill.to_owned())
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

async fn lines(conn: &mut Conn, sql: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(sql).load(conn).await.unwrap();
    lines.into_iter().map(|line| line.text).collect()
}

/// All rows of a table, in the order of their text.
async fn dump(conn: &mut Conn, table: &str) -> Vec<String> {
    let columns = format!(
        "SELECT CONCAT('IFNULL(', IF(data_type IN ('binary', 'mediumblob'), 'HEX(', '('), column_name, '), \\'-\\')') AS text \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let columns = lines(conn, &columns).await;
    let rows = format!(
        "SELECT CONCAT_WS('|', {}) AS text FROM {table} ORDER BY 1",
        columns.join(", ")
    );
    lines(conn, &rows).await
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    migration: String,
    rows: u64,
    is_done: bool,
}

#[tokio::test]
async fn batches_leave_what_their_statement_would_in_one() {
    for case in CASES {
        let (whole, database) = (case.database().await, case.database().await);
        let (mut of_whole, mut conn) = (whole.connect().await, database.connect().await);
        let before = dump(&mut conn, case.table).await;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let up = std::fs::read_to_string(format!("{folder}/{}/up.sql", case.fill)).unwrap();
        of_whole.batch_execute(&up).await.unwrap();
        let expected = dump(&mut of_whole, case.table).await;
        let filled = expected.iter().filter(|row| !before.contains(row)).count();
        assert!(
            0 < filled && filled < expected.len(),
            "{}: {filled}",
            case.fill
        );

        let mut told = Vec::new();
        let tell = |progress: migrate::Progress<'_>| {
            told.push(Told {
                migration: progress.migration.to_owned(),
                rows: progress.rows,
                is_done: progress.is_done,
            });
        };
        let batches = batches_of(4);
        let ran = migrate::run_for(&database.url, None, &case.target(), batches, tell).await;
        assert_eq!(ran.unwrap(), [&case.fill[..4]], "{}", case.fill);
        assert_eq!(dump(&mut conn, case.table).await, expected, "{}", case.fill);
        // 21 rows: at the beginning, after each batch, and at the end.
        let rows = [0, 4, 8, 12, 16, 20, 21, 21];
        let line = |(at, rows): (usize, &u64)| Told {
            migration: case.fill.to_owned(),
            rows: *rows,
            is_done: at == 7,
        };
        let lines: Vec<Told> = rows.iter().enumerate().map(line).collect();
        assert_eq!(told, lines);

        // As after a run that was cut off before its record.
        let forget = "DELETE FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1";
        conn.batch_execute(forget).await.unwrap();
        let again = migrate::run_for(&database.url, None, &case.target(), batches, |_| ()).await;
        assert_eq!(again.unwrap(), [&case.fill[..4]], "{}", case.fill);
        assert_eq!(dump(&mut conn, case.table).await, expected, "{}", case.fill);
    }
}

/// What a fill is told of is bounded too: where the time between two tellings is long, it is its
/// beginning and its end.
#[tokio::test]
async fn a_fill_is_told_of_at_its_beginning_and_its_end_and_not_each_batch() {
    let case = &CASES[1];
    let database = case.database().await;
    let (mut told, mut about) = (Vec::new(), Vec::new());
    let tell = |progress: migrate::Progress<'_>| {
        told.push((progress.rows, progress.is_done));
        about.push(progress.rows_about);
    };
    let batches = FillSettings {
        tell_every: HANG,
        ..batches_of(1)
    };
    let analyze = "ANALYZE TABLE order_lines";
    database
        .connect()
        .await
        .batch_execute(analyze)
        .await
        .unwrap();
    migrate::run_for(&database.url, None, &case.target(), batches, tell)
        .await
        .unwrap();
    assert_eq!(told, [(0, false), (21, true)]);
    assert_eq!(about, [21, 21], "of so few rows the estimate is right");
}

/// A large table is read through a few times, and not once for each batch.
#[tokio::test]
async fn a_batch_reads_its_own_rows() {
    #[derive(QueryableByName)]
    struct Reads {
        #[diesel(sql_type = Unsigned<BigInt>)]
        reads: u64,
    }
    const ROWS: u64 = 5_000;
    // For its key, to be found, and to be written; holdings also for the first of their order, and
    // for what each order brings. 50 batches that each read the whole table read it 50 times.
    for (case, reads_max) in [
        (&CASES[0], 4),
        (&CASES[1], 4),
        (&CASES[4], 4),
        (&CASES[7], 6),
        (&CASES[8], 4),
    ] {
        let database = case.database().await;
        let mut conn = database.connect().await;
        let row = match case.through {
            "gates" => "SELECT UNHEX(LEFT(SHA2(n DIV 20, 256), 32)), 9, n % 20, 9, n FROM counted",
            "order_lines" => {
                "SELECT UNHEX(LEFT(SHA2(n DIV 20, 256), 32)), 9 + n % 20, 1 FROM counted"
            }
            "stock_holdings" => {
                "SELECT 1, UNHEX(LEFT(SHA2(n DIV 20, 256), 32)), n % 20, 's', '', '', NULL, '', '', 1, 1, 1, 1, '[]' FROM counted"
            }
            _ => "SELECT n % 4, n + 9000, '', '' FROM counted",
        };
        let (columns, _) = case.rows.last().unwrap();
        let fill = format!(
            "SET SESSION sql_mode = '', cte_max_recursion_depth = {ROWS}; INSERT INTO {columns} \
             WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {ROWS}) {row}; \
             ANALYZE TABLE {}",
            case.through
        );
        conn.batch_execute(&fill).await.unwrap();
        let query = format!(
            "SELECT CAST(count_read AS UNSIGNED) AS `reads` FROM performance_schema.table_io_waits_summary_by_table \
             WHERE object_schema = '{}' AND object_name = '{}'",
            database.name, case.through
        );
        let before: Reads = diesel::sql_query(&query)
            .get_result(&mut conn)
            .await
            .unwrap();
        migrate::run_for(&database.url, None, &case.target(), batches_of(100), |_| ())
            .await
            .unwrap();
        let after: Reads = diesel::sql_query(&query)
            .get_result(&mut conn)
            .await
            .unwrap();
        let reads = after.reads - before.reads;
        assert!(
            (ROWS..reads_max * ROWS).contains(&reads),
            "{}: {reads} reads",
            case.fill
        );
    }
}

fn belay(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
    belay
        .args([&["migrate"], arguments].concat())
        .env_clear()
        .env("BELAY_DATABASE_URL", database.url.expose_secret());
    belay
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|said| String::from_utf8_lossy(said).into_owned())
        .concat()
}

/// The stores of the lines, in the order of the key.
async fn stores(conn: &mut Conn) -> Vec<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        store: Option<String>,
    }
    let sql = "SELECT store_id AS store FROM order_lines ORDER BY order_key, number";
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn).await.unwrap();
    rows.into_iter().map(|row| row.store).collect()
}

/// Locks the row behind so many others, as a command would.
async fn lock_row(database: &TestDatabase, behind: usize) -> Conn {
    let mut conn = database.connect().await;
    let keys = lines(
        &mut conn,
        "SELECT CONCAT('order_key = 0x', HEX(order_key), ' AND number = ', number) AS text \
         FROM order_lines ORDER BY order_key, number",
    )
    .await;
    transaction::begin_write(&mut conn).await.unwrap();
    let lock = format!(
        "SELECT number FROM order_lines WHERE {} FOR UPDATE",
        keys[behind]
    );
    conn.batch_execute(&lock).await.unwrap();
    conn
}

/// Until a batch waits for a row.
async fn until_it_waits(database: &TestDatabase) {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        waiting: i64,
    }
    let query = format!(
        "SELECT COUNT(*) AS waiting FROM performance_schema.data_locks \
         WHERE object_schema = '{}' AND object_name = 'order_lines' AND lock_status = 'WAITING'",
        database.name
    );
    let mut conn = common::root().await;
    let waiting = async {
        loop {
            let found: Waiting = diesel::sql_query(&query)
                .get_result(&mut conn)
                .await
                .unwrap();
            if found.waiting > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, waiting)
        .await
        .expect("a batch meets the locked row");
}

#[tokio::test]
async fn a_fill_that_is_killed_half_way_is_finished_by_the_next_run() {
    let case = &CASES[1];
    let database = case.database().await;
    let mut conn = database.connect().await;
    // The second batch of two stops at its second row.
    let mut command = lock_row(&database, 3).await;
    let arguments = ["--to", "0042", "--batch-rows", "2"];
    let mut killed = belay(&database, &arguments);
    let mut killed = killed.stderr(Stdio::null()).spawn().unwrap();
    until_it_waits(&database).await;
    assert!(
        stores(&mut conn).await[0].is_some(),
        "the first batch is committed"
    );

    // Meanwhile: the rows of the first batch are free; rows of both releases come in front of it.
    let free =
        "SELECT number FROM order_lines ORDER BY order_key, number LIMIT 2 FOR UPDATE NOWAIT";
    conn.batch_execute(free).await.unwrap();
    let rows = "SET SESSION sql_mode = ''; \
        INSERT INTO orders (order_key, order_id, store_id, version, create_time) VALUES \
            (UNHEX(REPEAT('FF', 16)), 'late', 'late', 1, '2026-01-01'); \
        INSERT INTO order_lines (order_key, number, quantity, store_id) VALUES \
            (UNHEX(REPEAT('FF', 16)), 1, 1, NULL), (UNHEX(REPEAT('FF', 16)), 2, 1, 'newer')";
    conn.batch_execute(rows).await.unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(stores(&mut conn).await[3], None, "its batch is undone");
    let status = said(&belay(&database, &["--status"]).output().unwrap());
    assert!(
        status.contains("0042_fill_order_lines  has not run\n"),
        "{status}"
    );

    // The row that was locked is written by the command that locked it.
    command
        .batch_execute(
            "UPDATE order_lines SET title = 'written' ORDER BY order_key, number LIMIT 4",
        )
        .await
        .unwrap();
    transaction::commit(&mut command).await.unwrap();
    let again = belay(&database, &arguments).output().unwrap();
    let told = said(&again);
    assert!(again.status.success(), "{told}");
    for line in ["filling rows", "rows are filled"] {
        let is_told = |told: &str| told.contains(line) && told.contains("0042_fill_order_lines");
        assert!(told.lines().any(is_told), "{line}: {told}");
    }
    let password = database.url.expose_secret();
    assert!(!told.contains(password), "{told}");
    let (stores, all) = (stores(&mut conn).await, 23);
    assert_eq!(stores.iter().flatten().count(), all, "{stores:?}");
    let of_newer = stores.iter().flatten().filter(|store| *store == "newer");
    assert_eq!(of_newer.count(), 8, "{stores:?}");
    assert_eq!(stores[all - 2].as_deref(), Some("late"));
    let status = said(&belay(&database, &["--status"]).output().unwrap());
    assert!(
        status.contains("0042_fill_order_lines  has run\n"),
        "{status}"
    );
}

#[tokio::test]
async fn a_batch_lets_go_of_its_rows_when_it_meets_a_locked_one_and_says_which_fill_gave_up() {
    let case = &CASES[1];
    let database = case.database().await;
    let mut conn = database.connect().await;
    let command = lock_row(&database, 1).await;
    let batches = FillSettings {
        attempts_max: 1,
        ..batches_of(2)
    };
    let gave_up = migrate::run_for(&database.url, None, &case.target(), batches, |_| ()).await;
    let gave_up = gave_up.unwrap_err();
    let MigrateError::Held {
        migration,
        attempts,
    } = &gave_up
    else {
        panic!("{gave_up}");
    };
    assert_eq!((migration.as_str(), *attempts), (case.fill, 1));
    assert!(
        gave_up.to_string().contains("run `belay migrate` again"),
        "{gave_up}"
    );
    assert_eq!(stores(&mut conn).await[0], None, "the row before is undone");

    // Tried again, it is through once the row is free.
    let batches = FillSettings {
        attempts_max: 1_000,
        ..batches
    };
    let target = case.target();
    let run = migrate::run_for(&database.url, None, &target, batches, |_| ());
    let freed = async {
        until_it_waits(&database).await;
        drop(command);
    };
    let (ran, ()) = tokio::join!(run, freed);
    assert_eq!(ran.unwrap(), ["0042"]);
    assert_eq!(stores(&mut conn).await.iter().flatten().count(), 21);
}

#[tokio::test]
async fn rows_of_a_batch_are_between_their_bounds() {
    let database = TestDatabase::empty().await;
    for (rows, is_taken) in [
        ("0", false),
        ("1", true),
        ("100000", true),
        ("100001", false),
    ] {
        let asked = belay(&database, &["--dry-run", "--batch-rows", rows]).output();
        let asked = asked.unwrap();
        let code = if is_taken { 0 } else { 2 };
        assert_eq!(asked.status.code(), Some(code), "{rows}: {}", said(&asked));
    }
    assert_eq!(migrate::BATCH_ROWS_MAX, 100_000);
}
