//! Places many orders quickly, a hundred with one statement. Nobody else may write meanwhile:
//! positions of the feed are counted here, and the heads of the partitions are written at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Statement, Value};
use tokio::task::JoinSet;

use super::template::About;
use super::{Templates, connect};
use crate::shop::{OrderNumber, Purpose, Shop};

/// Orders of one transaction; each table's rows are one statement.
const ORDERS: usize = 100;
const CLIENTS: usize = 4;

/// The last position of each partition.
type Heads = Mutex<Vec<u64>>;

/// Places at least so many orders.
pub(crate) async fn place(
    url: &str,
    templates: &Arc<Templates>,
    shop: &Arc<Shop>,
    orders: u64,
) -> anyhow::Result<()> {
    let mut conn = connect(url).await?;
    let heads: Vec<(u16, u64)> = conn
        .query("SELECT shard_partition, head FROM partition_heads ORDER BY shard_partition")
        .await?;
    let heads: Arc<Heads> = Arc::new(Mutex::new(
        heads.into_iter().map(|(_, head)| head).collect(),
    ));
    let transactions = Arc::new(AtomicU64::new(orders.div_ceil(ORDERS as u64)));
    let mut running = JoinSet::new();
    for _ in 0..CLIENTS {
        let filler = Filler::open(url, templates.clone(), shop.clone()).await?;
        running.spawn(filler.run(transactions.clone(), heads.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a client died")??;
    }
    let heads = std::mem::take(&mut *heads.lock().unwrap_or_else(PoisonError::into_inner));
    let heads = heads.into_iter().zip(0_u16..);
    conn.exec_batch(
        "UPDATE partition_heads SET head = ? WHERE shard_partition = ?",
        heads,
    )
    .await?;
    Ok(())
}

#[derive(Debug)]
struct Filler {
    conn: Conn,
    inserts: Vec<Statement>,
    insert_events: Statement,
    templates: Arc<Templates>,
    shop: Arc<Shop>,
}

impl Filler {
    async fn open(url: &str, templates: Arc<Templates>, shop: Arc<Shop>) -> anyhow::Result<Self> {
        let mut conn = connect(url).await?;
        let mut inserts = Vec::with_capacity(templates.create.len());
        for (table, rows) in &templates.create {
            inserts.push(conn.prep(rows.insert(table, ORDERS)).await?);
        }
        let insert_events = conn
            .prep(templates.create_events.insert("events", ORDERS))
            .await?;
        Ok(Self {
            conn,
            inserts,
            insert_events,
            templates,
            shop,
        })
    }

    async fn run(mut self, transactions: Arc<AtomicU64>, heads: Arc<Heads>) -> anyhow::Result<()> {
        let next = |left: u64| left.checked_sub(1);
        while transactions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
        {
            let orders: Vec<OrderNumber> = (0..ORDERS).map(|_| self.shop.new_order()).collect();
            let about: Vec<About> = orders
                .iter()
                .map(|order| self.about(*order, &heads))
                .collect();
            self.conn.query_drop("BEGIN").await?;
            for (statement, (_, rows)) in self.inserts.iter().zip(&self.templates.create) {
                let values: Vec<Value> =
                    about.iter().flat_map(|about| rows.values(about)).collect();
                self.conn
                    .exec_drop(statement, Params::Positional(values))
                    .await?;
            }
            let rows = &self.templates.create_events;
            let values: Vec<Value> = about.iter().flat_map(|about| rows.values(about)).collect();
            self.conn
                .exec_drop(&self.insert_events, Params::Positional(values))
                .await?;
            self.conn.query_drop("COMMIT").await?;
            orders
                .into_iter()
                .for_each(|order| self.shop.placed_raw.put(order));
        }
        Ok(())
    }

    /// With the positions that the order's events take.
    fn about(&self, order: OrderNumber, heads: &Heads) -> About {
        let partition = order.key().partition(self.templates.partitions);
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        let head = &mut heads[usize::from(partition)];
        let first = *head + 1;
        *head += self.templates.create_events.positions();
        About::new(
            order,
            order.request_id(Purpose::Create),
            self.templates.now(),
            partition,
            first,
        )
    }
}
