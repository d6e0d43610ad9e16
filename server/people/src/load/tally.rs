//! The tally of a load: its counts, and how they are shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use belay_client::Error;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::mix::Kind;
use super::schedule::Schedule;
use crate::failure::{Class, Failure};
use crate::output::{Column, Output, line, value};

/// The longest time that is told apart, in µs: longer than any call may take, and be late.
const LONGEST_US: u64 = 24 * 3_600 * 1_000_000;
/// Of times, to three digits.
const DIGITS: u8 = 3;

#[derive(Debug)]
struct OfKind {
    /// In µs, of calls that were answered as they should be.
    times: Histogram<u64>,
    failures: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Counts {
    kinds: [OfKind; Kind::ALL.len()],
    /// What the first call that failed was told.
    first_failure: Option<Failure>,
}

/// The counts of the calls so far.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    pub(crate) fn new() -> Self {
        let kinds = Kind::ALL.map(|_| OfKind {
            times: Histogram::new_with_bounds(1, LONGEST_US, DIGITS)
                .expect("bounds that a histogram takes"),
            failures: BTreeMap::new(),
        });
        Self(Mutex::new(Counts {
            kinds,
            first_failure: None,
        }))
    }

    pub(crate) fn count(&self, kind: Kind, took: Duration, failed: Option<Error>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(
            clippy::as_conversions,
            reason = "kinds are numbered as they are listed"
        )]
        let index = kind as usize;
        let Some(of_kind) = counts.kinds.get_mut(index) else {
            return;
        };
        let Some(error) = failed else {
            let took = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
            of_kind.times.saturating_record(took);
            return;
        };
        let reason = match error.reason() {
            Some(reason) => reason.to_string(),
            None => upper(&format!("{:?}", error.kind())),
        };
        *of_kind.failures.entry(reason).or_default() += 1;
        counts
            .first_failure
            .get_or_insert_with(|| Failure::from(error));
    }

    /// What came of all.
    pub(crate) fn summary(&self, schedule: &Schedule) -> Summary {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = schedule.elapsed().as_secs_f64();
        let (mut by_call, mut failures) = (Vec::new(), Vec::new());
        for (kind, of_kind) in Kind::ALL.into_iter().zip(&counts.kinds) {
            if !of_kind.times.is_empty() || !of_kind.failures.is_empty() {
                by_call.push(ByCall::of(kind, of_kind, seconds));
            }
            let told = of_kind.failures.iter().map(|(reason, count)| ByReason {
                call: kind.method(),
                reason: reason.clone(),
                count: *count,
            });
            failures.extend(told);
        }
        let answered: u64 = by_call.iter().map(|call| call.answered).sum();
        let failed: u64 = by_call.iter().map(|call| call.failed).sum();
        Summary {
            store: String::new(),
            callers: 0,
            connections: 0,
            rate: None,
            seconds: rounded(seconds),
            interrupted: false,
            answered,
            answered_per_second: per_second(answered, seconds),
            failed,
            not_begun: schedule.not_begun(answered + failed),
            calls: by_call,
            failures,
            first_failure: counts.first_failure.take(),
        }
    }
}

/// `OUTCOME_UNKNOWN` of `OutcomeUnknown`, as reasons are written.
fn upper(name: &str) -> String {
    let mut upper = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
    }
    upper
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts and microseconds of a run are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

/// To a thousandth.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        rounded(float(count) / seconds)
    } else {
        0.0
    }
}

#[derive(Debug, Serialize)]
struct ByCall {
    call: &'static str,
    answered: u64,
    answered_per_second: f64,
    failed: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl ByCall {
    fn of(kind: Kind, counted: &OfKind, seconds: f64) -> Self {
        let times = &counted.times;
        let ms = |us: u64| float(us) / 1_000.0;
        Self {
            call: kind.method(),
            answered: times.len(),
            answered_per_second: per_second(times.len(), seconds),
            failed: counted.failures.values().sum(),
            p50_ms: ms(times.value_at_quantile(0.5)),
            p90_ms: ms(times.value_at_quantile(0.9)),
            p99_ms: ms(times.value_at_quantile(0.99)),
            max_ms: ms(times.max()),
        }
    }
}

#[derive(Debug, Serialize)]
struct ByReason {
    call: &'static str,
    reason: String,
    count: u64,
}

const CALLS: &[Column] = &[
    ("CALL", "call"),
    ("ANSWERED", "answered"),
    ("A SECOND", "answered_per_second"),
    ("FAILED", "failed"),
    ("P50 MS", "p50_ms"),
    ("P90 MS", "p90_ms"),
    ("P99 MS", "p99_ms"),
    ("MAX MS", "max_ms"),
];
const FAILURES: &[Column] = &[("CALL", "call"), ("REASON", "reason"), ("COUNT", "count")];

/// The summary of a run. Times are those of calls that were answered.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) store: String,
    pub(crate) callers: u16,
    pub(crate) connections: u16,
    pub(crate) rate: Option<u32>,
    seconds: f64,
    pub(crate) interrupted: bool,
    answered: u64,
    answered_per_second: f64,
    failed: u64,
    not_begun: u64,
    calls: Vec<ByCall>,
    failures: Vec<ByReason>,
    #[serde(skip)]
    first_failure: Option<Failure>,
}

impl Summary {
    pub(crate) fn show(&self, output: Output) -> Result<(), Failure> {
        if !output.is_for_people() {
            return output.machine(&value(self)?);
        }
        line(&format!(
            "{} calls were answered in {} s: {} a second; {} failed",
            self.answered, self.seconds, self.answered_per_second, self.failed
        ))?;
        if self.not_begun > 0 {
            line(&format!(
                "{} more were due, and no caller was free for them",
                self.not_begun
            ))?;
        }
        line("")?;
        output.many(CALLS, &self.calls)?;
        if self.failures.is_empty() {
            return Ok(());
        }
        line("")?;
        output.many(FAILURES, &self.failures)
    }

    /// Well where every call was answered, and no call that was due was left out.
    pub(crate) fn verdict(self) -> Result<(), Failure> {
        match self.first_failure {
            // Nothing was measured.
            Some(failure) if self.answered == 0 => Err(failure),
            Some(_) => Err(Failure::no()),
            None if self.not_begun > 0 => Err(Failure::no()),
            None if self.answered == 0 => Err(Failure::new(Class::No, "no call was made")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        // Nothing is sent: there is no such scheme.
        let built = belay_client::Belay::builder("ftp://nowhere").build();
        built.expect_err("no address")
    }

    fn counted(calls: &[(Kind, u64, bool)]) -> Summary {
        let tally = Tally::new();
        for (kind, ms, is_failed) in calls {
            tally.count(*kind, Duration::from_millis(*ms), is_failed.then(error));
        }
        tally.summary(&Schedule::begin(Duration::from_secs(1), None))
    }

    #[test]
    fn times_are_those_of_calls_that_were_answered() {
        let mut calls: Vec<(Kind, u64, bool)> =
            (1..=100).map(|ms| (Kind::Get, ms, false)).collect();
        calls.push((Kind::Get, 5_000, true));
        calls.push((Kind::Pay, 1, true));
        let summary = counted(&calls);
        assert_eq!((summary.answered, summary.failed), (100, 2));
        let get = &summary.calls[1];
        assert_eq!((get.call, get.answered, get.failed), ("GetOrder", 100, 1));
        // To three digits.
        let near = |told: f64, ms: f64| (told - ms).abs() <= ms / 500.0;
        for (told, ms) in [
            (get.p50_ms, 50.0),
            (get.p90_ms, 90.0),
            (get.p99_ms, 99.0),
            (get.max_ms, 100.0),
        ] {
            assert!(near(told, ms), "{told} for {ms}");
        }
        let told: Vec<_> = summary
            .failures
            .iter()
            .map(|of| (of.call, of.reason.as_str(), of.count))
            .collect();
        assert_eq!(
            told,
            [("RecordPayment", "SETUP", 1), ("GetOrder", "SETUP", 1)]
        );
    }

    #[test]
    fn the_verdict_follows_from_what_failed() {
        let class = |calls: &[(Kind, u64, bool)]| counted(calls).verdict().err().map(|of| of.class);
        assert_eq!(class(&[(Kind::Get, 1, false)]), None);
        let some = [(Kind::Get, 1, false), (Kind::Get, 1, true)];
        assert_eq!(class(&some), Some(Class::No));
        assert_eq!(class(&[(Kind::Get, 1, true)]), Some(Class::Usage));
        assert_eq!(class(&[]), Some(Class::No));
        let mut late = counted(&[(Kind::Get, 1, false)]);
        late.not_begun = 1;
        assert_eq!(late.verdict().unwrap_err().class, Class::No);
    }

    #[test]
    fn kinds_are_written_as_reasons_are() {
        assert_eq!(upper("OutcomeUnknown"), "OUTCOME_UNKNOWN");
        assert_eq!(upper("Setup"), "SETUP");
    }
}
