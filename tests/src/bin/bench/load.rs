//! The closed loop: each worker asks again as soon as it is answered.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::meters::{Meters, Usage};

/// Longest answer that is told apart, in µs.
const LATENCY_MAX_US: u64 = 120_000_000;

/// One of the callers.
pub(crate) trait Worker: Send + 'static {
    /// Does one thing and waits until it is done; says whether there was anything to do.
    fn turn(&mut self) -> impl Future<Output = anyhow::Result<Turn>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Done,
    /// It was asked to come back, and has waited until then.
    TurnedAway,
    NothingLeft,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// The figures of one stretch of time.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) done: u64,
    pub(crate) seconds: f64,
    /// In µs, of what was answered within the window.
    pub(crate) latency: Histogram<u64>,
    pub(crate) usage: Usage,
    /// Everything that was done, the warm-up included.
    pub(crate) done_in_all: u64,
}

impl Window {
    pub(crate) fn per_second(&self) -> f64 {
        count(self.done) / self.seconds
    }

    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        count(self.latency.value_at_quantile(quantile)) / 1_000.0
    }
}

/// As a floating-point number; counts here are far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds of a run are far below 2^53"
)]
pub(crate) fn count(n: u64) -> f64 {
    n as f64
}

struct Tally {
    latency: Histogram<u64>,
    done_in_all: u64,
    dry_since: Option<Instant>,
}

/// Lets the workers run for a while and measures the later part of it.
pub(crate) async fn measure<W: Worker>(
    workers: Vec<W>,
    timing: Timing,
    meters: &mut Meters,
) -> anyhow::Result<Window> {
    let begin = Instant::now() + timing.warm_up;
    let end = begin + timing.measured;
    let mut running = JoinSet::new();
    for worker in workers {
        running.spawn(drive(worker, begin, end));
    }
    tokio::time::sleep_until(begin).await;
    let before = meters.read().await?;
    tokio::time::sleep_until(end).await;
    let after = meters.read().await?;

    let mut all = Tally::new()?;
    while let Some(tally) = running.join_next().await {
        all.add(&tally.context("a worker died")??)?;
    }
    let ended = all.dry_since.unwrap_or(end);
    anyhow::ensure!(ended > begin, "no orders were left to measure with");
    Ok(Window {
        done: all.latency.len(),
        seconds: (ended - begin).as_secs_f64(),
        latency: all.latency,
        usage: before.until(&after),
        done_in_all: all.done_in_all,
    })
}

/// Lets the workers run until there is nothing left to do.
pub(crate) async fn exhaust<W: Worker>(workers: Vec<W>) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            while worker.turn().await? != Turn::NothingLeft {}
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a worker died")??;
    }
    Ok(())
}

async fn drive<W: Worker>(mut worker: W, begin: Instant, end: Instant) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    let mut asked = Instant::now();
    while asked < end {
        match worker.turn().await? {
            Turn::Done => {}
            Turn::TurnedAway => {
                asked = Instant::now();
                continue;
            }
            Turn::NothingLeft => {
                tally.dry_since = Some(asked);
                break;
            }
        }
        let answered = Instant::now();
        tally.done_in_all += 1;
        if begin <= answered && answered < end {
            let latency = u64::try_from((answered - asked).as_micros()).unwrap_or(LATENCY_MAX_US);
            tally.latency.saturating_record(latency);
        }
        asked = answered;
    }
    Ok(tally)
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_max(LATENCY_MAX_US, 3)?;
        Ok(Self {
            latency,
            done_in_all: 0,
            dry_since: None,
        })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency.add(&other.latency)?;
        self.done_in_all += other.done_in_all;
        self.dry_since = match (self.dry_since, other.dry_since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(())
    }
}
