//! Whether cancellations slow down while the database grows.
//!
//! Orders are put in without the service, as the bare client places them, and then a window is
//! measured at each size. Keys are hashes: the orders that are cancelled lie among all others and
//! not at the end.

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use serde_json::{Map, Value, json};

use crate::load::{Window, count};
use crate::report::{Kind, hundredths, median, whole};
use crate::{Bench, raw, say};

/// The figures with so many orders in the database.
#[derive(Debug)]
pub(crate) struct Size {
    orders: u64,
    cancel: Vec<Window>,
    /// At the same time, so to speak: the machine may have become slower meanwhile.
    raw_cancel: Vec<Window>,
}

pub(crate) async fn measure(bench: &mut Bench, raw_clients: usize) -> anyhow::Result<Vec<Size>> {
    let callers = bench
        .args
        .callers
        .iter()
        .copied()
        .max()
        .context("no number of callers to try")?;
    let mut targets = bench.args.growth.clone();
    targets.sort_unstable();
    let mut sizes = Vec::with_capacity(targets.len());
    for target in targets {
        let there: u64 = bench
            .detail
            .query_first("SELECT COUNT(*) FROM orders")
            .await?
            .context("no count")?;
        say(&format!("placing {} orders", target.saturating_sub(there)));
        let missing = target.saturating_sub(there);
        raw::fill::place(
            &bench.args.database_url,
            &bench.templates,
            &bench.shop,
            missing,
        )
        .await?;
        let mut size = Size {
            orders: target,
            cancel: Vec::new(),
            raw_cancel: Vec::new(),
        };
        for round in 0..bench.args.rounds {
            let kinds = [(Kind::Cancel, callers), (Kind::RawCancel, raw_clients)];
            let turns = if round.is_multiple_of(2) {
                kinds
            } else {
                [kinds[1], kinds[0]]
            };
            for (kind, callers) in turns {
                bench
                    .stock_up(bench.needed(kind, callers, bench.timing()))
                    .await?;
                let window = bench.window(kind, callers, bench.timing()).await?;
                say(&format!(
                    "{target} orders: {} {:>8.0}/s",
                    kind.label(),
                    window.per_second()
                ));
                if kind == Kind::Cancel {
                    &mut size.cancel
                } else {
                    &mut size.raw_cancel
                }
                .push(window);
            }
        }
        sizes.push(size);
    }
    Ok(sizes)
}

impl Size {
    fn per_second(&self) -> f64 {
        median(&self.cancel, Window::per_second)
    }

    /// Of the server and its database together.
    fn cpu_us(&self) -> f64 {
        let cores = |window: &Window| window.usage.server + window.usage.mysqld.unwrap_or(f64::NAN);
        median(&self.cancel, |window| {
            cores(window) * 1e6 / window.per_second()
        })
    }
}

pub(crate) fn lines(sizes: &[Size]) -> Vec<String> {
    let line = |size: &Size| {
        let raw = median(&size.raw_cancel, Window::per_second);
        format!(
            "{:>9} orders: {:>6.0} cancellations a second, {:>4.0} µs CPU each; bare client {raw:>6.0} a second",
            size.orders,
            size.per_second(),
            size.cpu_us()
        )
    };
    sizes.iter().map(line).collect()
}

pub(crate) fn add_to(sizes: &[Size], object: &mut Map<String, Value>) {
    let ([first, ..], [.., last]) = (sizes, sizes) else {
        return;
    };
    let size = |size: &Size| {
        json!({
            "orders": size.orders,
            "cancel_rps": whole(Some(size.per_second())),
            "cancel_cpu_us": whole(Some(size.cpu_us())),
            "raw_cancel_rps": whole(Some(median(&size.raw_cancel, Window::per_second))),
        })
    };
    object.insert("growth".to_owned(), sizes.iter().map(size).collect());
    object.insert(
        "growth_times".to_owned(),
        hundredths(Some(count(last.orders) / count(first.orders))),
    );
    object.insert(
        "growth_ratio".to_owned(),
        hundredths(Some(last.per_second() / first.per_second())),
    );
    object.insert(
        "growth_cpu_ratio".to_owned(),
        hundredths(Some(first.cpu_us() / last.cpu_us())),
    );
}
