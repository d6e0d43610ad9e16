//! The report of a run: the gap of each event, what callers were told, and what the database has of
//! what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_tests::database::Database;
use belay_tests::invariants;
use tokio::time::Instant;

use crate::load::{Seen, Stage, Told};

/// The kind of what is done to a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill,
    Switch,
    Stop,
    Freeze,
    /// The primary is cut off from the other members, and from them alone.
    Partition,
    /// From all.
    Isolate,
    /// From servers alone.
    Unreachable,
    /// From all, for less than the group takes to notice.
    Blip,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Kill,
        Kind::Switch,
        Kind::Stop,
        Kind::Freeze,
        Kind::Partition,
        Kind::Isolate,
        Kind::Unreachable,
        Kind::Blip,
    ];

    /// Whether another member is the primary afterwards.
    pub(crate) fn replaces(self) -> bool {
        !matches!(self, Kind::Unreachable | Kind::Blip)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill -9",
            Kind::Switch => "switch",
            Kind::Stop => "stop",
            Kind::Freeze => "freeze",
            Kind::Partition => "partition",
            Kind::Isolate => "isolate",
            Kind::Unreachable => "unreachable",
            Kind::Blip => "blip",
        }
    }
}

/// A primary that was taken away, from then until the group was whole again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) begun_at: Instant,
    pub(crate) ended_at: Instant,
}

impl Event {
    /// The longest time without an acknowledged write.
    fn gap(&self, acknowledged: &[Instant]) -> Duration {
        let pairs = acknowledged.windows(2);
        let around = pairs.filter(|pair| pair[1] > self.begun_at && pair[0] < self.ended_at);
        let gaps = around.map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    fn errors<'a>(&self, errors: &'a [Told]) -> impl Iterator<Item = &'a Told> {
        let (from, to) = (self.begun_at, self.ended_at);
        errors
            .iter()
            .filter(move |told| told.at >= from && told.at <= to)
    }

    pub(crate) fn line(&self, seen: &Seen) -> String {
        let gap = self.gap(&seen.acknowledged());
        let errors = self.errors(&seen.errors()).count();
        format!(
            "{:.1?}: {}: writes paused {gap:.1?}, callers saw {errors} errors",
            seen.elapsed(),
            self.kind.name()
        )
    }
}

/// The report of one fault.
#[derive(Debug)]
pub(crate) struct Report {
    lasted: Duration,
    acknowledged: usize,
    lost: usize,
    doubled: usize,
    stale: u64,
    reads: u64,
    internal: u64,
    broken: Vec<String>,
    rows: Vec<String>,
}

impl Report {
    pub(crate) async fn of(
        seen: &Seen,
        events: &[Event],
        lasted: Duration,
        database: &Database,
    ) -> Self {
        let acknowledged = seen.acknowledged();
        let (lost, doubled) = compare(seen, database).await;
        let told_twice = seen.doubled.load(Ordering::Relaxed);
        let errors = seen.errors();
        Self {
            lasted,
            acknowledged: acknowledged.len(),
            lost,
            doubled: doubled + usize::try_from(told_twice).expect("it is counted one by one"),
            stale: seen.stale.load(Ordering::Relaxed),
            reads: seen.reads.load(Ordering::Relaxed),
            internal: seen.internal.load(Ordering::Relaxed),
            broken: invariants::violations(database).await,
            rows: rows(events, &acknowledged, &errors),
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        let counted = (self.lost, self.doubled, self.stale, self.internal);
        counted == (0, 0, 0, 0) && self.broken.is_empty()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "in {:.0?}: {} writes acknowledged, {} reads",
                self.lasted, self.acknowledged, self.reads
            ),
            format!(
                "lost {}, doubled {}, stale reads {}, INTERNAL {}, invariants broken {}",
                self.lost,
                self.doubled,
                self.stale,
                self.internal,
                self.broken.len()
            ),
        ];
        lines.extend(self.broken.iter().map(|broken| format!("  {broken}")));
        lines.push(String::new());
        lines.extend(self.rows.iter().cloned());
        lines
    }
}

/// A row for each kind of event, and what callers were told in it.
fn rows(events: &[Event], acknowledged: &[Instant], errors: &[Told]) -> Vec<String> {
    let mut rows = vec![format!(
        "{:<11} {:>6} {:>11} {:>10}  callers were told",
        "event", "times", "gap median", "worst"
    )];
    let seconds = |gap: Duration| format!("{:.2} s", gap.as_secs_f64());
    for kind in Kind::ALL {
        let of_kind: Vec<&Event> = events.iter().filter(|event| event.kind == kind).collect();
        let mut gaps: Vec<Duration> = of_kind
            .iter()
            .map(|event| event.gap(acknowledged))
            .collect();
        gaps.sort_unstable();
        let (Some(median), Some(worst)) = (gaps.get(gaps.len() / 2), gaps.last()) else {
            continue;
        };
        let told = of_kind.iter().flat_map(|event| event.errors(errors));
        rows.push(format!(
            "{:<11} {:>6} {:>11} {:>10}  {}",
            kind.name(),
            of_kind.len(),
            seconds(*median),
            seconds(*worst),
            summed(told)
        ));
    }
    let is_beside = |told: &&Told| {
        events
            .iter()
            .all(|event| told.at < event.begun_at || told.at > event.ended_at)
    };
    let beside = summed(errors.iter().filter(is_beside));
    rows.push(format!(
        "{:<11} {:>6} {:>11} {:>10}  {beside}",
        "between", "", "", ""
    ));
    rows
}

/// How often each was told.
fn summed<'a>(told: impl Iterator<Item = &'a Told>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for told in told {
        *counts.entry(&told.what).or_default() += 1;
    }
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    let texts: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{count} × {what}"))
        .collect();
    texts.join(", ")
}

/// How many acknowledged writes the database has not, and how many it has twice.
async fn compare(seen: &Seen, database: &Database) -> (usize, usize) {
    let query = "SELECT order_id, CAST(state AS CHAR), payment_count, cancellation_count, refund_count FROM orders";
    let rows: Vec<(String, String, u32, u32, u32)> = database.rows(query, ()).await;
    let found: BTreeMap<String, _> = rows
        .into_iter()
        .map(|(id, state, payments, cancellations, refunds)| {
            (id, (state, payments, cancellations, refunds))
        })
        .collect();
    let (mut lost, mut doubled) = (0, 0);
    for (order_id, stage) in seen.orders() {
        let Some((state, payments, cancellations, refunds)) = found.get(&order_id) else {
            lost += 1;
            eprintln!("lost: {order_id}");
            continue;
        };
        let has = match stage {
            Stage::Placed => true,
            Stage::Paid => *payments >= 1,
            Stage::Cancelled => state == "CANCELLED" && *cancellations >= 1 && *refunds >= 1,
        };
        if !has {
            lost += 1;
            eprintln!("lost: {order_id} was told {stage:?} and is {state}");
        }
        if [payments, cancellations, refunds]
            .into_iter()
            .any(|count| *count > 1)
        {
            doubled += 1;
            eprintln!(
                "doubled: {order_id}: {payments} payments, {cancellations} cancellations, {refunds} refunds"
            );
        }
    }
    (lost, doubled)
}
