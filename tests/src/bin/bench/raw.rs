//! The bare client: the same rows as the service writes, one transaction per command, nothing else.
//!
//! It is what somebody would write by hand who is careful and wants speed: the order is locked,
//! what a decision needs is read, every statement is prepared once per connection, rows of one
//! table go in one statement, and the head of the partition is taken last and in one round trip. It
//! does not decide anything and speaks no gRPC.

pub(crate) mod fill;
pub(crate) mod reads;
mod template;

use std::sync::Arc;

use anyhow::Context as _;
use belay_domain::ids::Partitions;
use jiff::civil::DateTime;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Params, Row, Statement, Value};
use tokio::time::Instant;

use crate::load::{Turn, Worker};
use crate::shop::{OrderNumber, Purpose, Shop};
use template::{About, Rows, date_time};

/// What a cancellation is decided from, besides the order's own row.
const READ: [&str; 3] = ["order_lines", "payments", "shipments"];
/// What a cancellation adds rows to, besides events.
const ADDED_BY_CANCEL: [&str; 5] = [
    "cancellations",
    "cancellation_parts",
    "refunds",
    "decisions",
    "requests",
];
/// What a creation adds rows to, besides events.
const ADDED_BY_CREATE: [&str; 3] = ["orders", "order_lines", "shipments"];

const LOCK_ORDER: &str =
    "SELECT o.*, SYSDATE(6) AS locked_at FROM orders o WHERE order_key = ? FOR UPDATE";
/// LAST_INSERT_ID brings the new head back with the answer to the update.
const TAKE_POSITIONS: &str =
    "UPDATE partition_heads SET head = LAST_INSERT_ID(head + ?) WHERE shard_partition = ?";

/// The same settings as the service's sessions.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Conn> {
    let options = OptsBuilder::from_opts(Opts::from_url(url)?).prefer_socket(false);
    let mut conn = Conn::new(options)
        .await
        .context("the database cannot be reached")?;
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    conn.query_drop("SET SESSION innodb_lock_wait_timeout = 2, time_zone = '+00:00'")
        .await?;
    Ok(conn)
}

/// The rows to write, learned from orders that the service wrote.
#[derive(Debug)]
pub(crate) struct Templates {
    create: Vec<(&'static str, Rows)>,
    create_events: Rows,
    /// New values of the order's own row and of its shipment's.
    order_change: Rows,
    shipment_change: Rows,
    cancel: Vec<(&'static str, Rows)>,
    cancel_events: Rows,
    partitions: Partitions,
    /// The database's time and ours, once.
    clock: (DateTime, Instant),
}

impl Templates {
    /// From an order that is placed and not paid, and one that is paid and cancelled.
    pub(crate) async fn learn(
        conn: &mut Conn,
        placed: OrderNumber,
        cancelled: OrderNumber,
    ) -> anyhow::Result<Self> {
        let partitions: String = conn
            .query_first("SELECT value FROM settings WHERE name = 'partitions'")
            .await?
            .context("no partitions")?;
        let partitions = Partitions::parse(&partitions).context("malformed partitions")?;
        let now: Value = conn
            .exec_first("SELECT SYSDATE(6)", ())
            .await?
            .context("no time")?;
        let clock = (date_time(&now)?, Instant::now());

        let about = last_command(conn, placed, Purpose::Create).await?;
        let create = learn_tables(conn, &ADDED_BY_CREATE, placed, &about).await?;
        let create_events = learn_events(conn, placed, &about).await?;

        let about = last_command(conn, cancelled, Purpose::Cancel).await?;
        let key = || (cancelled.key().0,);
        let order_change = "SELECT state, update_time, next_due, cancellation_count, refund_count, document FROM orders \
                            WHERE order_key = ?";
        let shipment_change = "SELECT stage, fence, update_time FROM shipments WHERE order_key = ?";
        Ok(Self {
            create,
            create_events,
            order_change: Rows::learn(conn, order_change, key(), &about).await?,
            shipment_change: Rows::learn(conn, shipment_change, key(), &about).await?,
            cancel: learn_cancellation(conn, cancelled, &about).await?,
            cancel_events: learn_events(conn, cancelled, &about).await?,
            partitions,
            clock,
        })
    }

    fn now(&self) -> DateTime {
        let (time, at) = self.clock;
        let passed = jiff::SignedDuration::try_from(at.elapsed()).unwrap_or_default();
        time.saturating_add(passed)
    }
}

/// The last command on an order: when it was decided and where its events begin.
async fn last_command(
    conn: &mut Conn,
    order: OrderNumber,
    purpose: Purpose,
) -> anyhow::Result<About> {
    let select = "SELECT o.update_time, o.shard_partition, CAST(e.position + 1 - e.event_count AS UNSIGNED) FROM orders o \
                  JOIN events e ON e.order_key = o.order_key AND e.order_version = o.version WHERE o.order_key = ?";
    let found: Option<(Value, u16, u64)> = conn.exec_first(select, (order.key().0,)).await?;
    let (time, partition, position) = found.context("the sample order has no events")?;
    Ok(About::new(
        order,
        order.request_id(purpose),
        date_time(&time)?,
        partition,
        position,
    ))
}

async fn learn_tables(
    conn: &mut Conn,
    tables: &[&'static str],
    order: OrderNumber,
    about: &About,
) -> anyhow::Result<Vec<(&'static str, Rows)>> {
    let mut learned = Vec::with_capacity(tables.len());
    for table in tables {
        let select = format!("SELECT * FROM {table} WHERE order_key = ?");
        learned.push((
            *table,
            Rows::learn(conn, &select, (order.key().0,), about).await?,
        ));
    }
    Ok(learned)
}

/// Of the requests only the cancellation's own: the payment has left one too.
async fn learn_cancellation(
    conn: &mut Conn,
    order: OrderNumber,
    about: &About,
) -> anyhow::Result<Vec<(&'static str, Rows)>> {
    let mut learned = learn_tables(conn, &ADDED_BY_CANCEL[..4], order, about).await?;
    let request = (
        order.key().0,
        order.request_id(Purpose::Cancel).into_bytes(),
    );
    let select = "SELECT * FROM requests WHERE order_key = ? AND request_id = ?";
    learned.push(("requests", Rows::learn(conn, select, request, about).await?));
    Ok(learned)
}

async fn learn_events(conn: &mut Conn, order: OrderNumber, about: &About) -> anyhow::Result<Rows> {
    let select = "SELECT e.* FROM events e JOIN orders o ON o.order_key = e.order_key AND o.version = e.order_version \
                  WHERE e.order_key = ? ORDER BY e.position";
    Rows::learn(conn, select, (order.key().0,), about).await
}

/// Statements that stay prepared on one connection.
#[derive(Debug)]
struct Prepared {
    lock: Statement,
    request: Statement,
    reads: Vec<Statement>,
    update_order: Statement,
    update_shipment: Statement,
    inserts: Vec<Statement>,
    take_positions: Statement,
    insert_events: Statement,
}

/// A client with a connection of its own.
#[derive(Debug)]
pub(crate) struct Client {
    conn: Conn,
    task: Task,
    prepared: Prepared,
    templates: Arc<Templates>,
    shop: Arc<Shop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Create,
    Cancel,
}

impl Client {
    pub(crate) async fn open(
        url: &str,
        task: Task,
        templates: Arc<Templates>,
        shop: Arc<Shop>,
    ) -> anyhow::Result<Self> {
        let mut conn = connect(url).await?;
        let prepared = Prepared::on(&mut conn, task, &templates).await?;
        Ok(Self {
            conn,
            task,
            prepared,
            templates,
            shop,
        })
    }

    async fn cancel(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        let Self {
            conn,
            prepared,
            templates,
            ..
        } = self;
        let key = order.key().0;
        let request_id = order.request_id(Purpose::Cancel);

        conn.query_drop("BEGIN").await?;
        let row: Row = conn
            .exec_first(&prepared.lock, (key,))
            .await?
            .context("the order is gone")?;
        let version: u64 = row.get("version").context("version")?;
        let partition: u16 = row.get("shard_partition").context("partition")?;
        let now = date_time(&row.get("locked_at").context("time")?)?;
        let known: Option<Row> = conn
            .exec_first(&prepared.request, (key, request_id.into_bytes()))
            .await?;
        anyhow::ensure!(known.is_none(), "the order is cancelled already");
        for read in &prepared.reads {
            let _: Vec<Row> = conn.exec(read, (key,)).await?;
        }

        let mut about = About::new(order, request_id, now, partition, 0);
        let change = templates.order_change.values(&about).into_iter();
        let change = change.chain([Value::from(key), Value::from(version)]);
        conn.exec_drop(&prepared.update_order, Params::Positional(change.collect()))
            .await?;
        anyhow::ensure!(
            conn.affected_rows() == 1,
            "the order was changed by somebody else"
        );
        let change = templates
            .shipment_change
            .values(&about)
            .into_iter()
            .chain([Value::from(key)]);
        conn.exec_drop(
            &prepared.update_shipment,
            Params::Positional(change.collect()),
        )
        .await?;
        for (statement, (_, rows)) in prepared.inserts.iter().zip(&templates.cancel) {
            conn.exec_drop(statement, Params::Positional(rows.values(&about)))
                .await?;
        }
        append(conn, prepared, &templates.cancel_events, &mut about).await?;
        conn.query_drop("COMMIT").await?;
        Ok(())
    }

    async fn create(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        let Self {
            conn,
            prepared,
            templates,
            ..
        } = self;
        let partition = order.key().partition(templates.partitions);
        let mut about = About::new(
            order,
            order.request_id(Purpose::Create),
            templates.now(),
            partition,
            0,
        );
        conn.query_drop("BEGIN").await?;
        for (statement, (_, rows)) in prepared.inserts.iter().zip(&templates.create) {
            conn.exec_drop(statement, Params::Positional(rows.values(&about)))
                .await?;
        }
        append(conn, prepared, &templates.create_events, &mut about).await?;
        conn.query_drop("COMMIT").await?;
        Ok(())
    }
}

/// Takes as many positions as there are events, and writes the events.
async fn append(
    conn: &mut Conn,
    prepared: &Prepared,
    events: &Rows,
    about: &mut About,
) -> anyhow::Result<()> {
    let count = events.positions();
    conn.exec_drop(&prepared.take_positions, (count, about.partition()))
        .await?;
    let head = conn.last_insert_id().context("the partition has no head")?;
    about.begin_at(head - count + 1);
    conn.exec_drop(
        &prepared.insert_events,
        Params::Positional(events.values(about)),
    )
    .await?;
    Ok(())
}

impl Prepared {
    async fn on(conn: &mut Conn, task: Task, templates: &Templates) -> anyhow::Result<Self> {
        let (tables, events) = match task {
            Task::Create => (&templates.create, &templates.create_events),
            Task::Cancel => (&templates.cancel, &templates.cancel_events),
        };
        let mut reads = Vec::with_capacity(READ.len());
        for table in READ {
            reads.push(
                conn.prep(format!("SELECT * FROM {table} WHERE order_key = ?"))
                    .await?,
            );
        }
        let mut inserts = Vec::with_capacity(tables.len());
        for (table, rows) in tables {
            inserts.push(conn.prep(rows.insert(table, 1)).await?);
        }
        let update_order = "UPDATE orders SET version = version + 1, state = ?, update_time = ?, next_due = ?, \
                            cancellation_count = ?, refund_count = ?, document = ? WHERE order_key = ? AND version = ?";
        Ok(Self {
            lock: conn.prep(LOCK_ORDER).await?,
            request: conn
                .prep("SELECT fingerprint, answer FROM requests WHERE order_key = ? AND request_id = ?")
                .await?,
            reads,
            update_order: conn.prep(update_order).await?,
            update_shipment: conn
                .prep("UPDATE shipments SET stage = ?, fence = ?, update_time = ? WHERE order_key = ? AND number = 1")
                .await?,
            inserts,
            take_positions: conn.prep(TAKE_POSITIONS).await?,
            insert_events: conn.prep(events.insert("events", 1)).await?,
        })
    }
}

impl Worker for Client {
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        match self.task {
            Task::Create => {
                let order = self.shop.new_order();
                self.create(order)
                    .await
                    .with_context(|| format!("raw creation of {}", order.order_id()))?;
                self.shop.placed_raw.put(order);
            }
            Task::Cancel => {
                let Some(order) = self.shop.paid.take() else {
                    return Ok(Turn::NothingLeft);
                };
                self.cancel(order)
                    .await
                    .with_context(|| format!("raw cancellation of {}", order.order_id()))?;
                self.shop.cancelled_raw.put(order);
            }
        }
        Ok(Turn::Done)
    }
}
