//! Whether what was measured is what was meant: the same rows by both, everything acknowledged is
//! there, no gaps in the feed, and the service can go on with what the bare client wrote.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use belay_proto::v1;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::callers::{Connections, Task};
use crate::readers::LARGE_ORDER;
use crate::shop::{OrderNumber, STORE, Shop};

/// Orders of each side whose rows are counted.
const SAMPLE: usize = 500;
/// Orders of the bare client that the service goes on with.
const CONTINUED: usize = 20;

const TABLES: [&str; 12] = [
    "orders",
    "order_lines",
    "payments",
    "shipments",
    "cancellations",
    "cancellation_parts",
    "gates",
    "refunds",
    "incidents",
    "decisions",
    "requests",
    "events",
];

/// Columns that hold what somebody encoded; their length shows whether both wrote as much.
const PAYLOADS: [(&str, &str); 3] = [
    ("events", "payload"),
    ("requests", "answer"),
    ("decisions", "record"),
];

/// A comparison of what one table holds about an order, as least and most over the sample.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) what: String,
    pub(crate) service: (u64, u64),
    pub(crate) raw: (u64, u64),
}

/// Rows, or bytes of payload, per cancelled order. Rows that differ are an error, bytes are for the
/// reader.
pub(crate) async fn compare_rows(conn: &mut Conn, shop: &Shop) -> anyhow::Result<Vec<Comparison>> {
    let (service, raw) = (
        sample(&shop.cancelled.all()),
        sample(&shop.cancelled_raw.all()),
    );
    let rows = TABLES.map(|table| (table, table.to_owned(), format!("COUNT({table}.order_key)")));
    let bytes = PAYLOADS.map(|(table, column)| {
        let counted = format!("CAST(COALESCE(SUM(LENGTH({table}.{column})), 0) AS UNSIGNED)");
        (table, format!("{table}.{column}, bytes"), counted)
    });
    let mut all = Vec::new();
    for (table, what, counted) in rows.into_iter().chain(bytes) {
        let service = spread(conn, table, &counted, &service).await?;
        let raw = spread(conn, table, &counted, &raw).await?;
        all.push(Comparison { what, service, raw });
    }
    let mut of_rows = all.iter().take(TABLES.len());
    if let Some(wrong) = of_rows.find(|comparison| comparison.service != comparison.raw) {
        anyhow::bail!("the bare client does not write what the service writes: {wrong:?}");
    }
    Ok(all)
}

fn sample(orders: &[OrderNumber]) -> Vec<OrderNumber> {
    let step = (orders.len() / SAMPLE).max(1);
    orders.iter().copied().step_by(step).take(SAMPLE).collect()
}

async fn spread(
    conn: &mut Conn,
    table: &str,
    counted: &str,
    orders: &[OrderNumber],
) -> anyhow::Result<(u64, u64)> {
    let places = vec!["?"; orders.len()].join(", ");
    let join = match table {
        "orders" => "",
        _ => &format!("LEFT JOIN {table} ON {table}.order_key = orders.order_key"),
    };
    let select = format!(
        "SELECT MIN(n), MAX(n) FROM (SELECT {counted} AS n FROM orders {join} \
         WHERE orders.order_key IN ({places}) GROUP BY orders.order_key) AS of_orders"
    );
    let keys: Vec<Value> = orders
        .iter()
        .map(|order| Value::from(order.key().0))
        .collect();
    conn.exec_first(select, keys)
        .await?
        .context("nothing was cancelled")
}

/// All orders that were acknowledged are there and no others; the same for those that were
/// cancelled.
pub(crate) async fn check_acknowledged(conn: &mut Conn, shop: &Shop) -> anyhow::Result<()> {
    let (cancelled, cancelled_raw) = (shop.cancelled.all(), shop.cancelled_raw.all());
    let acknowledged: HashSet<String> = cancelled
        .iter()
        .chain(&cancelled_raw)
        .map(|order| order.order_id())
        .collect();
    let found: HashSet<String> = ids(conn, "state = 'CANCELLED'").await?;
    let (lost, extra) = (
        acknowledged.difference(&found).count(),
        found.difference(&acknowledged).count(),
    );
    anyhow::ensure!(lost == 0, "{lost} acknowledged cancellations are not there");
    anyhow::ensure!(
        extra == 0,
        "{extra} orders are cancelled that nobody was told of"
    );

    let placed = [
        shop.placed.all(),
        shop.paid.all(),
        shop.listed.all(),
        shop.placed_raw.all(),
    ];
    let acknowledged: HashSet<String> = placed
        .iter()
        .chain(&[cancelled, cancelled_raw])
        .flatten()
        .map(|order| order.order_id())
        .collect();
    let by_callers = format!("order_id NOT LIKE '{LARGE_ORDER}%'");
    let found = ids(conn, &by_callers).await?;
    anyhow::ensure!(
        acknowledged == found,
        "{} orders were placed and {} are there",
        acknowledged.len(),
        found.len()
    );
    Ok(())
}

async fn ids(conn: &mut Conn, condition: &str) -> anyhow::Result<HashSet<String>> {
    let ids: Vec<String> = conn
        .query(format!("SELECT order_id FROM orders WHERE {condition}"))
        .await?;
    Ok(ids.into_iter().collect())
}

/// Each partition holds the positions 1, 2, 3 … up to its head.
pub(crate) async fn check_positions(conn: &mut Conn) -> anyhow::Result<()> {
    let wrong: Option<(u16, u64, u64, u64)> = conn
        .query_first(
            "SELECT h.shard_partition, h.head, CAST(COALESCE(SUM(e.event_count), 0) AS UNSIGNED), \
             COALESCE(MAX(e.position), 0) FROM partition_heads h \
             LEFT JOIN events e ON e.shard_partition = h.shard_partition GROUP BY h.shard_partition, h.head \
             HAVING COALESCE(SUM(e.event_count), 0) <> h.head OR COALESCE(MAX(e.position), 0) <> h.head",
        )
        .await?;
    match wrong {
        Some((partition, head, count, last)) => {
            anyhow::bail!(
                "partition {partition} has {count} events, the last at {last}, and its head is at {head}"
            )
        }
        None => Ok(()),
    }
}

/// The service takes the bare client's orders for its own: it reads those that are cancelled, and
/// pays and cancels those that are placed.
pub(crate) async fn go_on(connections: &Connections, shop: &Arc<Shop>) -> anyhow::Result<()> {
    for number in shop.cancelled_raw.all().into_iter().rev().take(CONTINUED) {
        let order = connections.get_order(number).await?;
        let amount = |money: Option<&v1::Money>| money.map_or(0, |money| money.minor_units);
        let refunds = order
            .refunds
            .iter()
            .map(|refund| amount(refund.amount.as_ref().and_then(|sum| sum.total.as_ref())));
        let refunded: i64 = refunds.sum();
        let captured = amount(
            order
                .totals
                .as_ref()
                .and_then(|totals| totals.captured.as_ref()),
        );
        anyhow::ensure!(
            order.state() == v1::OrderState::Cancelled
                && refunded == captured
                && order.store_id == STORE,
            "the service reads a cancelled order of the bare client as {} with {refunded} of {captured} refunded",
            order.state().as_str_name()
        );
    }
    let callers = connections.callers(1, &Task::Pay, shop);
    let mut caller = callers
        .into_iter()
        .next()
        .context("one caller was asked for")?;
    for _ in 0..CONTINUED {
        let Some(number) = shop.placed_raw.take() else {
            break;
        };
        caller.pay(number).await?;
        caller.cancel(number).await?;
        shop.cancelled.put(number);
    }
    Ok(())
}
