//! The bare client as a reader: a snapshot for every order asked for, and a list by OFFSET that
//! loads its orders one by one.
//!
//! It is what a service does at first: each request by itself, each statement prepared once, no
//! table read that holds nothing for the order.

use std::sync::Arc;

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Statement, Value};

use super::connect;
use crate::load::{Turn, Worker};
use crate::shop::{LISTED, LISTED_BUYER, PAGE, STORE, Shop};

const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
    START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// The tables of an order, by the column that counts what they hold of it.
const CHILDREN: [(&str, &[&str]); 6] = [
    ("line_count", &["order_lines"]),
    ("payment_count", &["payments"]),
    ("shipment_count", &["shipments"]),
    (
        "cancellation_count",
        &["cancellations", "cancellation_parts", "gates"],
    ),
    ("refund_count", &["refunds"]),
    ("incident_count", &["incidents"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Cancelled orders, one after the other.
    Get,
    /// The orders of one buyer, page by page, over and over.
    List,
}

/// A client with a connection of its own.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Conn,
    task: Task,
    shop: Arc<Shop>,
    now: Statement,
    order: Statement,
    children: Vec<(&'static str, Vec<Statement>)>,
    page: Statement,
    /// Of the next page.
    offset: u64,
}

impl Reader {
    pub(crate) async fn open(url: &str, task: Task, shop: Arc<Shop>) -> anyhow::Result<Self> {
        let mut conn = connect(url).await?;
        let mut children = Vec::with_capacity(CHILDREN.len());
        for (count, tables) in CHILDREN {
            let mut statements = Vec::with_capacity(tables.len());
            for table in tables {
                statements.push(
                    conn.prep(format!("SELECT * FROM {table} WHERE order_key = ?"))
                        .await?,
                );
            }
            children.push((count, statements));
        }
        let page = "SELECT order_key FROM orders WHERE store_id = ? AND buyer_id = ? \
                    ORDER BY create_time DESC, order_key DESC LIMIT ? OFFSET ?";
        Ok(Self {
            now: conn.prep("SELECT SYSDATE(6)").await?,
            order: conn
                .prep("SELECT * FROM orders WHERE order_key = ?")
                .await?,
            children,
            page: conn.prep(page).await?,
            conn,
            task,
            shop,
            offset: 0,
        })
    }

    async fn get(&mut self, key: Vec<u8>) -> anyhow::Result<()> {
        let Self {
            conn,
            order,
            children,
            ..
        } = self;
        let row: Row = conn
            .exec_first(&*order, (&key,))
            .await?
            .context("the order is gone")?;
        for (count, statements) in children {
            let count: u32 = row.get(*count).context("a count")?;
            for statement in statements.iter().filter(|_| count > 0) {
                let rows: Vec<Row> = conn.exec(statement, (&key,)).await?;
                std::hint::black_box(rows);
            }
        }
        Ok(())
    }

    async fn page(&mut self) -> anyhow::Result<()> {
        let from = (STORE, LISTED_BUYER, PAGE, self.offset);
        let keys: Vec<Vec<u8>> = self.conn.exec(&self.page, from).await?;
        self.offset = if self.offset + PAGE >= LISTED {
            0
        } else {
            self.offset + PAGE
        };
        anyhow::ensure!(!keys.is_empty(), "the buyer has no orders");
        for key in keys {
            self.get(key).await?;
        }
        Ok(())
    }
}

impl Worker for Reader {
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        self.conn.query_drop(BEGIN).await?;
        let _: Option<Value> = self.conn.exec_first(&self.now, ()).await?;
        match self.task {
            Task::Get => {
                let order = self.shop.cancelled.next().context("no order to read")?;
                self.get(order.key().0.to_vec()).await?;
            }
            Task::List => self.page().await?,
        }
        self.conn.query_drop("COMMIT").await?;
        Ok(Turn::Done)
    }
}
