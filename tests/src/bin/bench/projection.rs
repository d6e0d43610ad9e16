//! The stock: what its projection costs those who write, and whether it keeps up with them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::callers::Task;
use crate::load::{self, Timing, Window, count};
use crate::report::{Kind, hundredths, median, whole};
use crate::{Bench, raw, say};

/// Between two looks at how far the stock is behind.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Of the samples of a load, so much of them at its beginning is compared with as much at its end.
const COMPARED: usize = 6;

#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// Cancellations while the stock follows, and while it does not.
    following: Vec<Window>,
    held: Vec<Window>,
    /// Events that the stock was behind, in the course of a long full load.
    lags: Vec<f64>,
    /// How long that was.
    seconds: f64,
}

pub(crate) async fn measure(bench: &mut Bench) -> anyhow::Result<Projection> {
    let mut projection = Projection::default();
    let mut conn = raw::connect(&bench.args.database_url).await?;
    let callers = bench.args.callers.iter().copied().max().unwrap_or(1);
    for round in 0..bench.args.rounds {
        for is_held in [round.is_multiple_of(2), !round.is_multiple_of(2)] {
            bench
                .stock_up(bench.needed(Kind::Cancel, callers, bench.timing()))
                .await?;
            until_projected(&mut conn).await?;
            let mut held = conn.start_transaction(TxOpts::default()).await?;
            if is_held {
                // A position that somebody else has locked is passed by.
                held.query_drop(
                    "SELECT position FROM projection_positions WHERE projection = 'stock' FOR UPDATE",
                )
                .await?;
            }
            let all = bench
                .connections
                .callers(callers, &Task::Cancel, &bench.shop);
            let window = load::measure(all, bench.timing(), &mut bench.meters).await?;
            held.rollback().await?;
            say(&format!(
                "the stock is held: {is_held} {:>8.0}/s",
                window.per_second()
            ));
            if is_held {
                &mut projection.held
            } else {
                &mut projection.following
            }
            .push(window);
        }
    }

    let long = Timing {
        measured: Duration::from_secs_f64(bench.args.lag_seconds),
        ..bench.timing()
    };
    let best = bench.seen(Kind::Cancel);
    bench
        .stock_up(1.1 * best * (long.warm_up + long.measured).as_secs_f64())
        .await?;
    until_projected(&mut conn).await?;
    let all = bench
        .connections
        .callers(callers, &Task::Cancel, &bench.shop);
    let begin = Instant::now() + long.warm_up;
    let (window, lags) = tokio::join!(
        load::measure(all, long, &mut bench.meters),
        sample(&mut conn, begin, begin + long.measured),
    );
    (projection.seconds, projection.lags) = (window?.seconds, lags?);
    say(&format!(
        "the stock is behind by {:.0} events at first, {:.0} after {:.0} s",
        projection.lag_at_first(),
        projection.lag_at_last(),
        projection.seconds
    ));
    Ok(projection)
}

/// By how many events the stock is behind, over and over between these times.
async fn sample(conn: &mut Conn, begin: Instant, end: Instant) -> anyhow::Result<Vec<f64>> {
    let mut lags = Vec::new();
    let mut next = begin;
    while next < end {
        tokio::time::sleep_until(next).await;
        next += SAMPLE_EVERY;
        let lag: Option<u64> = conn
            .query_first(
                "SELECT CAST(SUM(head - LEAST(position, head)) AS UNSIGNED) FROM projection_positions
                 JOIN projections USING (projection)
                 JOIN partition_heads USING (shard_partition)
                 WHERE projection = 'stock' AND generation = serving",
            )
            .await?;
        lags.push(count(lag.context("the stock has no positions")?));
    }
    Ok(lags)
}

/// Waits until the stock has all that is committed by now; says for how long, in ms.
pub(crate) async fn until_projected(conn: &mut Conn) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let heads: Vec<(u16, u64)> = conn
        .query("SELECT shard_partition, head FROM partition_heads")
        .await?;
    loop {
        let positions: Vec<(u16, u64)> = conn
            .query(
                "SELECT shard_partition, position FROM projection_positions
                 JOIN projections USING (projection)
                 WHERE projection = 'stock' AND generation = serving",
            )
            .await?;
        let positions: HashMap<u16, u64> = positions.into_iter().collect();
        let is_there = |(partition, last): &(u16, u64)| positions.get(partition) >= Some(last);
        if heads.iter().all(is_there) {
            return Ok(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / count(figures.len() as u64)
}

impl Projection {
    /// What commands lose while the stock follows them: 0.1 is a tenth.
    fn cost(&self) -> f64 {
        1.0 - median(&self.following, Window::per_second) / median(&self.held, Window::per_second)
    }

    fn lag_at_first(&self) -> f64 {
        mean(
            self.lags
                .get(..self.lags.len() / COMPARED)
                .unwrap_or_default(),
        )
    }

    fn lag_at_last(&self) -> f64 {
        let from = self.lags.len() - self.lags.len() / COMPARED;
        mean(self.lags.get(from..).unwrap_or_default())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "the stock costs those who write {:.0} % of their commands",
                self.cost() * 100.0
            ),
            format!(
                "under a full load the stock is {:.0} events behind at first, and {:.0} after {:.0} s",
                self.lag_at_first(),
                self.lag_at_last(),
                self.seconds
            ),
        ]
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let mut put = |name: &str, value| object.insert(name.to_owned(), value);
        put("projection_cost_ratio", hundredths(Some(self.cost())));
        put("projection_lag_events", whole(Some(self.lag_at_first())));
        put(
            "projection_lag_growth_events",
            whole(Some(self.lag_at_last() - self.lag_at_first())),
        );
        put("projection_lag_seconds", whole(Some(self.seconds)));
    }
}
