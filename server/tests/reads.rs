//! Reads of single orders: they gather, harm no neighbour, and are bounded.

mod common;

use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_server::db::clock::Clock;
use belay_server::db::{Conn, Pool, aggregate};
use belay_server::reads::{READ_QUEUE_MAX, ReadError, Reads};
use belay_server::telemetry::Telemetry;
use common::{TestDatabase, eventful, order};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// So many orders, and readers with one connection between them.
async fn with_orders(count: usize) -> (TestDatabase, Vec<OrderKey>, Pool, Reads) {
    let database = TestDatabase::migrated().await;
    let orders: Vec<_> = (0..count)
        .map(|number| eventful(&format!("a-{number}")))
        .collect();
    let mut conn = database.connect().await;
    aggregate::insert(
        &mut conn,
        &orders.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    let pool = database.pool(1);
    let reads = Reads::start(pool.clone(), Clock::Database, &Telemetry::local());
    (
        database,
        orders.iter().map(|order| order.key()).collect(),
        pool,
        reads,
    )
}

/// Transactions that this session has begun.
async fn begun(conn: &mut Conn) -> u32 {
    #[derive(QueryableByName)]
    struct Status {
        #[diesel(sql_type = Text, column_name = "Value")]
        value: String,
    }
    let status: Status = diesel::sql_query("SHOW SESSION STATUS LIKE 'Com_begin'")
        .get_result(conn)
        .await
        .unwrap();
    status.value.parse().unwrap()
}

#[tokio::test]
async fn those_who_ask_while_a_read_is_under_way_share_the_next() {
    let (_database, keys, pool, reads) = with_orders(50).await;
    let mut held = pool.checkout().await.unwrap();
    let before = begun(&mut held).await;
    let asks = join_all(keys.iter().chain(&keys).map(|key| reads.order(*key)));
    let (found, ()) = tokio::join!(asks, async { held.finish() });
    for (key, found) in keys.iter().chain(&keys).zip(found) {
        let (order, now) = found.unwrap();
        let order = order.unwrap();
        assert_eq!((order.key(), order.cancellations.len()), (*key, 2));
        assert!(now > order.create_time);
    }
    let mut held = pool.checkout().await.unwrap();
    let snapshots = begun(&mut held).await - before;
    assert!(
        (1..=3).contains(&snapshots),
        "{snapshots} snapshots for a hundred asks"
    );
    held.finish();
    assert_eq!(
        reads.order(order("nowhere", 1).key()).await.unwrap().0,
        None
    );
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
    let found = join_all(keys.iter().map(|key| reads.order(*key))).await;
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
    let asked = READ_QUEUE_MAX + 1_000;
    let mut asks: FuturesUnordered<_> = (0..asked).map(|_| reads.order(keys[0])).collect();
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
        join_all(keys.iter().map(|key| reads.order(*key))),
    )
    .await;
    assert!(hung_up.is_err());
    held.finish();
    for key in &keys {
        assert_eq!(reads.order(*key).await.unwrap().0.unwrap().key(), *key);
    }
    reads.stop().await;
    assert!(matches!(
        reads.order(keys[0]).await,
        Err(ReadError::Overloaded)
    ));
    assert_eq!(pool.status().used, 0);
}
