//! What stock keeps of orders, and who waits for a SKU.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::shipment::Stage;
use belay_domain::stock::{Holding, OpenHolding, OrderHoldings, StockKey};
use belay_server::db::address::PerMessage;
use belay_server::db::migrate::{self, FillSettings, Target};
use belay_server::db::stock_holders::{self, OpenPlace};
use belay_server::db::stock_orders::{self, ChangedHoldings, Holder};
use belay_server::db::writes::Writes;
use belay_server::db::{Conn, DbError, ErrorKind, transaction};
use common::TestDatabase;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

const GENERATION: u32 = 3;

fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

fn store() -> StoreId {
    StoreId::parse("shop").unwrap()
}

fn holder(order: &str, seller: Option<&str>) -> Holder {
    Holder {
        store: store(),
        order: OrderId::parse(order).unwrap(),
        seller: seller.map(|seller| SellerId::parse(seller).unwrap()),
    }
}

fn key_of(order: &str) -> OrderKey {
    OrderKey::of(&store(), &OrderId::parse(order).unwrap())
}

fn holding(stage: Stage, [units, live, reserved]: [u32; 3], zeroed_by: &[u32]) -> Holding {
    Holding {
        warehouse: WarehouseId::parse("main").unwrap(),
        stage,
        units,
        live,
        reserved,
        zeroed_by: zeroed_by.iter().copied().collect(),
    }
}

fn holdings<const N: usize>(of: [(u32, &str, Holding); N]) -> OrderHoldings {
    let holdings = of.into_iter();
    OrderHoldings(
        holdings
            .map(|(shipment, of, holding)| ((shipment, sku(of)), holding))
            .collect(),
    )
}

fn mug() -> StockKey {
    StockKey {
        store: store(),
        warehouse: WarehouseId::parse("main").unwrap(),
        sku: sku("MUG"),
    }
}

fn place(order: &str, shipment: u32) -> OpenPlace {
    OpenPlace {
        key: mug(),
        order_key: key_of(order),
        shipment,
    }
}

async fn put(conn: &mut Conn, changed: &[ChangedHoldings]) -> Result<(), DbError> {
    let mut writes = Writes::default();
    stock_orders::write(&mut writes, GENERATION, changed)?;
    writes.send(conn, PerMessage::Many).await
}

async fn wait(conn: &mut Conn, closed: &[OpenPlace], opened: &[OpenPlace]) -> Result<(), DbError> {
    let [closed, opened] = [closed, opened].map(|places| places.iter().cloned().collect());
    let mut writes = Writes::default();
    stock_holders::write(&mut writes, GENERATION, &closed, &opened)?;
    writes.send(conn, PerMessage::Many).await
}

async fn load(conn: &mut Conn, orders: &[&str]) -> BTreeMap<OrderKey, OrderHoldings> {
    let keys: BTreeSet<OrderKey> = orders.iter().map(|order| key_of(order)).collect();
    stock_orders::load(conn, GENERATION, &keys).await.unwrap()
}

async fn texts(conn: &mut Conn, sql: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn).await.unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

#[tokio::test]
async fn what_an_order_holds_is_one_row_that_is_read_as_it_was_written() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = holdings([
        (2, "CUP", holding(Stage::Unreleased, [1, 1, 0], &[])),
        (1, "MUG", holding(Stage::Planned, [3, 3, 3], &[])),
    ]);
    let other = holdings([(1, "MUG", holding(Stage::Ready, [1, 1, 1], &[]))]);
    let new = |order, seller, after: &OrderHoldings| ChangedHoldings {
        holder: holder(order, seller),
        before: None,
        after: after.clone(),
    };
    let both = [new("A-1", Some("acme"), &before), new("A-2", None, &other)];
    put(&mut conn, &both).await.unwrap();
    let found = load(&mut conn, &["A-1", "A-2", "A-3"]).await;
    let expected = [
        (key_of("A-1"), before.clone()),
        (key_of("A-2"), other.clone()),
    ];
    assert_eq!(found, expected.into());

    let after = holdings([
        (1, "MUG", holding(Stage::Cancelled, [3, 0, 0], &[1, 4])),
        (2, "CUP", holding(Stage::Planned, [1, 1, 1], &[])),
    ]);
    let changed = ChangedHoldings {
        holder: holder("A-1", Some("acme")),
        before: Some(before.clone()),
        after: after.clone(),
    };
    put(&mut conn, &[changed]).await.unwrap();
    let found = load(&mut conn, &["A-1", "A-2"]).await;
    let expected = [(key_of("A-1"), after.clone()), (key_of("A-2"), other)];
    assert_eq!(found, expected.into());
    let sql = "SELECT CONCAT_WS(' ', generation, store_id, order_id, seller_id, holdings) AS text FROM stock_orders ORDER BY order_id";
    assert_eq!(
        texts(&mut conn, sql).await,
        [
            "3 shop A-1 acme [[1,\"MUG\",\"main\",\"CANCELLED\",3,0,0,[1,4]],[2,\"CUP\",\"main\",\"PLANNED\",1,1,1]]",
            "3 shop A-2 [[1,\"MUG\",\"main\",\"READY\",1,1,1]]",
        ]
    );

    // Whoever has read a row that is gone writes nothing.
    conn.batch_execute("DELETE FROM stock_orders WHERE order_id = 'A-1'")
        .await
        .unwrap();
    let back = ChangedHoldings {
        holder: holder("A-1", Some("acme")),
        before: Some(after),
        after: before,
    };
    let refused = put(&mut conn, &[back]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::VersionConflict);
}

#[tokio::test]
async fn an_order_may_hold_as_much_as_there_may_be_and_what_is_unknown_is_an_error() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    // Each character is written as two, and all in hex.
    let long = |n: u32| Sku::parse(format!("{n:04}{}", "\\\"'".repeat(41))).unwrap();
    let held = (0..1_000).map(|n| ((n, long(n)), holding(Stage::Planned, [1, 1, 1], &[n])));
    let all = OrderHoldings(held.collect());
    let new = ChangedHoldings {
        holder: holder("A-1", None),
        before: None,
        after: all.clone(),
    };
    put(&mut conn, &[new]).await.unwrap();
    assert_eq!(load(&mut conn, &["A-1"]).await[&key_of("A-1")], all);

    let damage = "UPDATE stock_orders SET holdings = REPLACE(holdings, 'PLANNED', 'PLANNED?')";
    conn.batch_execute(damage).await.unwrap();
    let keys = [key_of("A-1")].into();
    let unread = stock_orders::load(&mut conn, GENERATION, &keys).await;
    assert_eq!(unread.unwrap_err().kind(), ErrorKind::Corrupt);
}

/// The shipments of a list, by pages of two.
async fn listed(conn: &mut Conn, sellers: &IdFilter<SellerId>) -> Vec<(String, u32, u32)> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let of = (&mug(), sellers);
        let page: Vec<OpenHolding> = stock_holders::list(conn, GENERATION, of, after, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else {
            return listed;
        };
        after = Some((last.order_key, last.shipment));
        let entry = |open: &OpenHolding| (open.order.to_string(), open.shipment, open.holding.live);
        listed.extend(page.iter().map(entry));
    }
}

/// The rows that were read of both tables.
async fn reads(conn: &mut Conn) -> u64 {
    let sql = "SELECT CAST(SUM(count_read) AS CHAR) AS text FROM performance_schema.table_io_waits_summary_by_table \
        WHERE object_schema = DATABASE() AND object_name IN ('stock_orders', 'stock_holders')";
    texts(conn, sql).await[0].parse().unwrap()
}

#[tokio::test]
async fn who_waits_is_listed_by_order_and_shipment_for_the_sellers_that_are_seen() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let (mut changed, mut opened, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for n in 1..=7 {
        let order = format!("A-{n}");
        let after = holdings([
            (1, "MUG", holding(Stage::Planned, [n, n, n], &[])),
            (2, "CUP", holding(Stage::Planned, [9, 9, 9], &[])),
            (
                3,
                "MUG",
                holding(Stage::Unreleased, [10 + n, 10 + n, 0], &[]),
            ),
        ]);
        let seller = ["acme", "zenith"][usize::from(n % 3 == 0)];
        changed.push(ChangedHoldings {
            holder: holder(&order, (n < 7).then_some(seller)),
            before: None,
            after,
        });
        opened.extend([place(&order, 1), place(&order, 3)]);
        expected.extend([(order.clone(), 1, n), (order, 3, 10 + n)]);
    }
    put(&mut conn, &changed).await.unwrap();
    // Of another SKU and another generation nothing is listed.
    let mut others = vec![place("A-1", 2)];
    others[0].key.sku = sku("CUP");
    wait(&mut conn, &[], &[opened, others].concat())
        .await
        .unwrap();
    let older = "INSERT INTO stock_holders SELECT 2, store_id, warehouse_id, sku, order_key, 9 FROM stock_holders WHERE shipment = 1";
    conn.batch_execute(older).await.unwrap();

    expected.sort_by_key(|(order, shipment, _)| (key_of(order), *shipment));
    assert_eq!(listed(&mut conn, &IdFilter::All).await, expected);
    let of = |orders: &[&str]| {
        let of = |(order, ..): &&(String, u32, u32)| orders.contains(&order.as_str());
        expected.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let only = |sellers: &[&str]| {
        let sellers = sellers.iter();
        IdFilter::Only(
            sellers
                .map(|seller| SellerId::parse(*seller).unwrap())
                .collect(),
        )
    };
    assert_eq!(
        listed(&mut conn, &only(&["zenith"])).await,
        of(&["A-3", "A-6"])
    );
    assert_eq!(
        listed(&mut conn, &only(&["acme", "zenith"])).await,
        of(&["A-1", "A-2", "A-3", "A-4", "A-5", "A-6"])
    );
    assert_eq!(listed(&mut conn, &only(&["nobody"])).await, []);
    assert_eq!(listed(&mut conn, &only(&[])).await, []);

    // A page reads its entries and their orders, and no others of the fourteen.
    let before = reads(&mut conn).await;
    let of = (&mug(), &only(&["acme", "zenith"]));
    let page = stock_holders::list(&mut conn, GENERATION, of, None, 3).await;
    assert_eq!(page.unwrap().len(), 3);
    let read = reads(&mut conn).await - before;
    assert!((1..=9).contains(&read), "{read} rows");

    // A holder whose order holds no such thing is damage, and not passed over.
    wait(&mut conn, &[], &[place("A-1", 4)]).await.unwrap();
    let of = (&mug(), &IdFilter::All);
    let damaged = stock_holders::list(&mut conn, GENERATION, of, None, 100).await;
    assert_eq!(damaged.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_wait_that_ends_meets_no_lock_of_other_rows_and_may_begin_again() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut opened: Vec<OpenPlace> = (0..40).map(|n| place(&format!("A-{n}"), 1)).collect();
    for (n, other) in opened.iter_mut().enumerate() {
        if n % 2 == 0 {
            other.key.sku = sku("CUP");
        }
    }
    wait(&mut conn, &[], &opened).await.unwrap();
    let (ours, theirs) = opened.split_at(3);
    let mut held = database.connect().await;
    transaction::begin_write(&mut held).await.unwrap();
    // As a transaction of another partition would: its own rows, and no gap.
    let mut moves = Writes::default();
    stock_holders::write(
        &mut moves,
        GENERATION,
        &theirs.iter().cloned().collect(),
        &BTreeSet::new(),
    )
    .unwrap();
    moves.send(&mut held, PerMessage::Many).await.unwrap();

    conn.batch_execute("SET SESSION innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    // Of one row, of one SKU, and of two.
    for ours in [&ours[..1], &[ours[0].clone(), ours[2].clone()], ours] {
        transaction::begin_write(&mut conn).await.unwrap();
        wait(&mut conn, ours, &[]).await.unwrap();
        wait(&mut conn, &[], &ours[..1]).await.unwrap();
        let left = "SELECT CAST(COUNT(*) AS CHAR) AS text FROM stock_holders";
        let left = texts(&mut conn, left).await;
        assert_eq!(left, [(opened.len() - ours.len() + 1).to_string()]);
        transaction::rollback(&mut conn).await.unwrap();
    }
    transaction::rollback(&mut held).await.unwrap();

    let gone = [place("A-1", 1), place("A-1", 2)];
    let refused = wait(&mut conn, &gone, &[]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::VersionConflict);
    let twice = wait(&mut conn, &[], &ours[..1]).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Duplicate);
}

/// The rows that each holding had of its own.
async fn rows_of_before(conn: &mut Conn) -> Vec<String> {
    let rows = "SELECT CONCAT_WS(' ', generation, HEX(order_key), shipment, sku, store_id, order_id, seller_id, warehouse_id, stage, \
        units, live, reserved, is_open, REPLACE(zeroed_by, ' ', '')) AS text FROM stock_holdings ORDER BY 1";
    texts(conn, rows).await
}

/// Undoes the migrations that have moved them.
async fn go_back(conn: &mut Conn) {
    for name in [
        "0294_drop_stock_holdings",
        "0293_fill_stock_holders",
        "0292_fill_stock_orders",
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let down = std::fs::read_to_string(format!("{folder}/{name}/down.sql")).unwrap();
        conn.batch_execute(&down).await.unwrap();
    }
}

/// What was kept in a row for each holding.
#[tokio::test]
async fn holdings_of_before_are_read_as_they_were() {
    let database = TestDatabase::empty().await;
    let before = Target::Migration("0291".to_owned());
    let settings = FillSettings::default();
    migrate::run_for(&database.url, None, &before, settings, |_| ())
        .await
        .unwrap();
    let mut conn = database.connect().await;
    let long = "x".repeat(120);
    let held = holdings([
        (1, "MUG", holding(Stage::Planned, [3, 2, 2], &[])),
        (2, "A\"\\'", holding(Stage::Cancelled, [5, 0, 0], &[1, 12])),
        (2, &long, holding(Stage::Unreleased, [4, 4, 0], &[])),
        (10, "CUP", holding(Stage::InTransit, [1, 1, 0], &[])),
    ]);
    for order in ["A-1", "A-2"] {
        for ((shipment, sku), holding) in &held.0 {
            let zeroed_by: Vec<String> = holding.zeroed_by.iter().map(u32::to_string).collect();
            let hex = |bytes: &[u8]| {
                bytes
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            };
            let insert = format!(
                "INSERT INTO stock_holdings VALUES ({GENERATION}, x'{}', {shipment}, x'{}', 'shop', '{order}', 'acme', 'main', '{}', \
                 {}, {}, {}, {}, '[{}]')",
                hex(&key_of(order).0),
                hex(sku.as_str().as_bytes()),
                holding.stage.name(),
                holding.units,
                holding.live,
                holding.reserved,
                holding.is_open(),
                zeroed_by.join(",")
            );
            conn.batch_execute(&insert).await.unwrap();
        }
    }
    let rows = rows_of_before(&mut conn).await;
    // Batches end inside of an order.
    let batches = FillSettings {
        rows: 3,
        ..settings
    };
    migrate::run_for(&database.url, None, &Target::Latest, batches, |_| ())
        .await
        .unwrap();
    let expected = ["A-1", "A-2"].map(|order| (key_of(order), held.clone()));
    assert_eq!(load(&mut conn, &["A-1", "A-2"]).await, expected.into());
    let open = "SELECT CONCAT_WS(' ', generation, store_id, warehouse_id, sku, shipment, COUNT(*)) AS text FROM stock_holders \
        GROUP BY generation, store_id, warehouse_id, sku, shipment ORDER BY 1";
    assert_eq!(
        texts(&mut conn, open).await,
        [
            "3 shop main MUG 1 2".to_owned(),
            format!("3 shop main {long} 2 2")
        ]
    );
    let lengths = "SELECT DISTINCT CONCAT_WS(' ', JSON_LENGTH(holdings, '$[0]'), JSON_LENGTH(holdings, '$[1]')) AS text \
        FROM stock_orders";
    assert_eq!(
        texts(&mut conn, lengths).await,
        ["7 8"],
        "empty lists are left out"
    );
    go_back(&mut conn).await;
    assert_eq!(rows_of_before(&mut conn).await, rows);
}
