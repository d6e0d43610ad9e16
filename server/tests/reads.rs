//! Reads of single orders: they gather, harm no neighbour, and are bounded.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::Identity;
use belay_domain::ids::{OrderKey, SellerId, WarehouseId};
use belay_domain::scope::{IdFilter, Scope};
use belay_server::db::clock::Clock;
use belay_server::db::{Conn, Pool};
use belay_server::reads::{OrderRead, ReadError, Reads, Sight};
use belay_server::telemetry::Telemetry;
use common::{TestDatabase, eventful, order};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// Askers that wait.
const QUEUE_MAX: usize = 512;

/// So many orders, and readers with one connection between them.
async fn with_orders(count: usize) -> (TestDatabase, Vec<OrderKey>, Pool, Reads) {
    let database = TestDatabase::migrated().await;
    let orders: Vec<_> = (0..count)
        .map(|number| eventful(&format!("a-{number}")))
        .collect();
    let mut conn = database.connect().await;
    crate::common::insert_orders(
        &mut conn,
        &orders.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    let pool = database.pool(1);
    let reads = Reads::start(
        pool.clone(),
        Clock::Database,
        QUEUE_MAX,
        &Telemetry::local(),
    );
    (
        database,
        orders.iter().map(|order| order.key()).collect(),
        pool,
        reads,
    )
}

async fn read_of(reads: &Reads, key: OrderKey) -> Result<OrderRead, ReadError> {
    reads.order(&Actor::system(), key, Sight::EVERYTHING).await
}

/// How often this session has done it.
async fn times(conn: &mut Conn, what: &str) -> u32 {
    #[derive(QueryableByName)]
    struct Status {
        #[diesel(sql_type = Text, column_name = "Value")]
        value: String,
    }
    let status: Status = diesel::sql_query(format!("SHOW SESSION STATUS LIKE '{what}'"))
        .get_result(conn)
        .await
        .unwrap();
    status.value.parse().unwrap()
}

/// Only the tables are left to read from.
async fn forget_documents(database: &TestDatabase) {
    let forget = "UPDATE orders SET document = NULL";
    let mut conn = database.connect().await;
    conn.batch_execute(forget).await.unwrap();
}

#[tokio::test]
async fn those_who_ask_while_a_read_is_under_way_share_the_next() {
    // By their documents, one statement each; by the tables, one snapshot.
    for (counted, has_documents) in [("Com_stmt_execute", true), ("Com_begin", false)] {
        let (database, keys, pool, reads) = with_orders(50).await;
        if !has_documents {
            forget_documents(&database).await;
        }
        let mut held = pool.checkout().await.unwrap();
        // To look is a statement, too.
        let looks = times(&mut held, counted).await;
        let looks = times(&mut held, counted).await - looks;
        let before = times(&mut held, counted).await;
        let asks = join_all(keys.iter().chain(&keys).map(|key| read_of(&reads, *key)));
        let (found, ()) = tokio::join!(asks, async { held.finish() });
        for (key, found) in keys.iter().chain(&keys).zip(found) {
            let (order, now) = found.unwrap();
            let order = order.unwrap();
            assert_eq!((order.key(), order.cancellations.len()), (*key, 2));
            assert!(now > order.create_time);
        }
        let mut held = pool.checkout().await.unwrap();
        let counted_times = times(&mut held, counted).await - before - looks;
        assert!(
            (1..=3).contains(&counted_times),
            "{counted_times} {counted} for a hundred asks"
        );
        held.finish();
        assert_eq!(
            read_of(&reads, order("nowhere", 1).key()).await.unwrap().0,
            None
        );
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_read_harms_no_neighbour() {
    let (database, keys, _pool, reads) = with_orders(20).await;
    let corrupt = "UPDATE orders SET line_count = line_count + 1 WHERE order_id = 'a-7'";
    database
        .connect()
        .await
        .batch_execute(corrupt)
        .await
        .unwrap();
    let found = join_all(keys.iter().map(|key| read_of(&reads, *key))).await;
    for (number, found) in found.into_iter().enumerate() {
        match found {
            Ok((order, _)) => assert!(order.is_some() && number != 7, "{number}"),
            Err(error) => assert!(
                matches!(error, ReadError::Database(_)) && number == 7,
                "{number}: {error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn one_more_than_may_wait_is_shed() {
    let (_database, keys, pool, reads) = with_orders(1).await;
    let mut held = Some(pool.checkout().await.unwrap());
    // More than the queue holds and the readers have taken.
    let asked = QUEUE_MAX + 1_000;
    let mut asks: FuturesUnordered<_> = (0..asked).map(|_| read_of(&reads, keys[0])).collect();
    let (mut shed, mut found) = (0, 0);
    while let Some(answer) = asks.next().await {
        match answer {
            Ok((order, _)) => found += usize::from(order.is_some()),
            Err(ReadError::Overloaded) => shed += 1,
            Err(error) => panic!("{error:?}"),
        }
        if let Some(held) = held.take() {
            assert_eq!(shed, 1, "nobody is answered while there is no connection");
            held.finish();
        }
    }
    assert_eq!(shed + found, asked);
    assert!((1..=1_000).contains(&shed), "{shed}");
}

#[tokio::test]
async fn who_hangs_up_leaves_nothing_behind() {
    let (_database, keys, pool, reads) = with_orders(3).await;
    let held = pool.checkout().await.unwrap();
    let hung_up = timeout(
        Duration::from_millis(20),
        join_all(keys.iter().map(|key| read_of(&reads, *key))),
    )
    .await;
    assert!(hung_up.is_err());
    held.finish();
    for key in &keys {
        assert_eq!(read_of(&reads, *key).await.unwrap().0.unwrap().key(), *key);
    }
    reads.stop().await;
    assert!(matches!(
        read_of(&reads, keys[0]).await,
        Err(ReadError::Overloaded)
    ));
    assert_eq!(pool.status().used, 0);
}

/// Statements that this session has run, and rows that it has read.
async fn work_of(conn: &mut Conn) -> (u32, u32) {
    #[derive(QueryableByName)]
    struct Status {
        #[diesel(sql_type = Text, column_name = "Variable_name")]
        name: String,
        #[diesel(sql_type = Text, column_name = "Value")]
        value: String,
    }
    let statuses: Vec<Status> = diesel::sql_query("SHOW SESSION STATUS")
        .get_results(conn)
        .await
        .unwrap();
    let sum = |prefix: &str| {
        let of = statuses
            .iter()
            .filter(|status| status.name.starts_with(prefix));
        of.map(|status| status.value.parse::<u32>().unwrap()).sum()
    };
    (sum("Com_stmt_execute"), sum("Handler_read"))
}

#[tokio::test]
async fn an_order_of_others_is_looked_at_no_longer_than_one_that_is_not_there() {
    let (database, keys, pool, reads) = with_orders(3).await;
    // A load from the tables is seen in the counts.
    forget_documents(&database).await;
    let absent = order("nowhere", 1).key();
    let zenith = SellerId::parse("zenith").unwrap();
    let east = WarehouseId::parse("east").unwrap();
    let of_zenith = Scope {
        sellers: IdFilter::Only(BTreeSet::from([zenith])),
        ..Scope::EVERYTHING
    };
    let of_east = Scope {
        warehouses: IdFilter::Only(BTreeSet::from([east])),
        ..Scope::EVERYTHING
    };
    let strangers = [
        (of_zenith, None),
        (of_east, None),
        (Scope::EVERYTHING, Some(Identity::Email([9; 32]))),
    ];
    let cost = async |key: OrderKey, sight: Sight, is_there: bool| {
        let mut conn = pool.checkout().await.unwrap();
        let before = work_of(&mut conn).await;
        conn.finish();
        let (found, _) = reads
            .order(&Actor::system(), key, sight.clone())
            .await
            .unwrap();
        assert_eq!(found.is_some(), is_there);
        assert_eq!(
            reads.is_seen(&Actor::system(), key, sight).await.unwrap(),
            is_there
        );
        let mut conn = pool.checkout().await.unwrap();
        let after = work_of(&mut conn).await;
        conn.finish();
        (after.0 - before.0, after.1 - before.1)
    };
    // What is prepared once is prepared.
    cost(keys[0], Sight::EVERYTHING, true).await;
    for (scope, buyer) in strangers {
        let buyer = buyer.into_iter().collect();
        let sight = Sight { scope, buyer };
        cost(keys[0], sight.clone(), false).await;
        let (foreign, rows) = cost(keys[1], sight.clone(), false).await;
        let (nothing, _) = cost(absent, sight.clone(), false).await;
        assert_eq!(foreign, nothing, "as many statements: {sight:?}");
        let (seen, rows_seen) = cost(keys[1], Sight::EVERYTHING, true).await;
        assert!(
            seen > foreign,
            "{seen} statements load an order, {foreign} do not"
        );
        assert!(rows < rows_seen, "{rows} rows read of {rows_seen}");
    }
}
