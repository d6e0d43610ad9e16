//! The log of a database outage: one line when it begins, one a minute while it lasts, one when it
//! ends.
//!
//! Every part of the server notices an outage by itself and many times a second. None of them
//! writes a line: they take a note ([`Notes`]), and who watches the server's health looks at the
//! notes and decides ([`Reporter`]), with the time as an argument.

use std::fmt::Display;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of one outage.
pub const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Notes of what failed because the database did, since they were last taken.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Noted>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    pub failures: u64,
    /// What failed last, and why.
    pub last: String,
}

impl Notes {
    /// Notes that `what` failed. It is for the log of the whole outage: whoever asked is told of it
    /// in an answer.
    pub fn note(&self, what: &str, error: &dyn Display) {
        tracing::debug!(%error, "{what} failed, for the database did");
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.failures += 1;
        noted.last = format!("{what}: {error}");
    }

    /// What was noted since this was last asked.
    pub fn take(&self) -> Noted {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Noted {
    fn add(&mut self, other: Noted) {
        if other.failures > 0 {
            self.failures += other.failures;
            self.last = other.last;
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// At the start.
    Serving,
    Began {
        error: String,
    },
    Lasts {
        since: Duration,
        failures: u64,
        error: String,
    },
    Ended {
        lasted: Duration,
        failures: u64,
    },
    /// Some failed although the database is well.
    SomeFailed(Noted),
}

impl Line {
    pub fn write(&self) {
        match self {
            Line::Serving => tracing::info!("the database answers and takes writes: serving"),
            Line::Began { error } => {
                tracing::error!(
                    error,
                    "the database does not answer or takes no writes: not serving"
                );
            }
            Line::Lasts {
                since,
                failures,
                error,
            } => {
                let for_s = since.as_secs();
                tracing::error!(
                    error,
                    for_s,
                    failures,
                    "the database still does not answer or takes no writes"
                );
            }
            Line::Ended { lasted, failures } => {
                let after_s = lasted.as_secs();
                tracing::info!(
                    after_s,
                    failures,
                    "the database answers and takes writes again: serving"
                );
            }
            Line::SomeFailed(Noted { failures, last }) => {
                tracing::warn!(
                    failures,
                    last,
                    "some work failed for the database's sake, which is well otherwise"
                );
            }
        }
    }
}

/// The reporter of outages: it decides which lines are written.
#[derive(Debug, Default)]
pub struct Reporter {
    state: State,
    /// Noted at the last look: an outage that has just begun shows in the notes first and in the
    /// next look.
    fresh: Noted,
    untold: Noted,
    some_failed_at: Option<Instant>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Well,
    Out {
        since: Instant,
        told_at: Instant,
        failures: u64,
    },
}

impl Reporter {
    /// The line that is due after a look at the database, which went well or failed so.
    pub fn look(
        &mut self,
        now: Instant,
        outcome: Result<(), String>,
        noted: Noted,
    ) -> Option<Line> {
        match (outcome, &mut self.state) {
            (Ok(()), State::Unknown) => {
                self.state = State::Well;
                self.fresh = noted;
                Some(Line::Serving)
            }
            (Ok(()), State::Well) => {
                self.untold.add(mem::replace(&mut self.fresh, noted));
                let is_due = self
                    .some_failed_at
                    .is_none_or(|told_at| now >= told_at + LINE_INTERVAL);
                (self.untold.failures > 0 && is_due).then(|| {
                    self.some_failed_at = Some(now);
                    Line::SomeFailed(mem::take(&mut self.untold))
                })
            }
            (
                Ok(()),
                State::Out {
                    since, failures, ..
                },
            ) => {
                let ended = Line::Ended {
                    lasted: now - *since,
                    failures: *failures + noted.failures,
                };
                self.state = State::Well;
                // What fails in the wake of the outage belongs to it.
                self.some_failed_at = Some(now);
                Some(ended)
            }
            (Err(error), State::Unknown | State::Well) => {
                let before =
                    mem::take(&mut self.fresh).failures + mem::take(&mut self.untold).failures;
                self.state = State::Out {
                    since: now,
                    told_at: now,
                    failures: before + noted.failures,
                };
                Some(Line::Began { error })
            }
            (
                Err(error),
                State::Out {
                    since,
                    told_at,
                    failures,
                },
            ) => {
                *failures += noted.failures;
                (now >= *told_at + LINE_INTERVAL).then(|| {
                    *told_at = now;
                    Line::Lasts {
                        since: now - *since,
                        failures: *failures,
                        error,
                    }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn noted(failures: u64) -> Noted {
        Noted {
            failures,
            last: if failures > 0 {
                "a read: gone".to_owned()
            } else {
                String::new()
            },
        }
    }

    fn gone() -> Result<(), String> {
        Err("gone".to_owned())
    }

    /// One look a second at a database that is out from one second to another; the lines, and the
    /// second of each.
    fn lines(out: std::ops::Range<u64>, end: u64, failures: u64) -> Vec<(u64, Line)> {
        let (mut reporter, start) = (Reporter::default(), Instant::now());
        let looks = (0..end).map(|second| {
            let is_out = out.contains(&second);
            let noted = noted(if is_out { failures } else { 0 });
            (
                second,
                reporter.look(
                    start + SECOND * u32::try_from(second).unwrap(),
                    if is_out { gone() } else { Ok(()) },
                    noted,
                ),
            )
        });
        looks
            .filter_map(|(second, line)| Some((second, line?)))
            .collect()
    }

    #[test]
    fn an_outage_is_told_at_its_change_and_once_a_minute() {
        let error = || "gone".to_owned();
        let expected = [
            (0, Line::Serving),
            (10, Line::Began { error: error() }),
            (
                70,
                Line::Lasts {
                    since: 60 * SECOND,
                    failures: 305,
                    error: error(),
                },
            ),
            (
                130,
                Line::Lasts {
                    since: 120 * SECOND,
                    failures: 605,
                    error: error(),
                },
            ),
            (
                140,
                Line::Ended {
                    lasted: 130 * SECOND,
                    failures: 650,
                },
            ),
        ];
        assert_eq!(lines(10..140, 400, 5), expected);
    }

    #[test]
    fn a_short_outage_is_two_lines_however_much_fails() {
        for failures in [0, 1, 100_000] {
            let told: Vec<u64> = lines(10..31, 60, failures)
                .into_iter()
                .map(|(second, _)| second)
                .collect();
            assert_eq!(told, [0, 10, 31], "{failures}");
        }
    }

    #[test]
    fn a_server_that_starts_in_an_outage_says_so() {
        let told: Vec<u64> = lines(0..90, 100, 1)
            .into_iter()
            .map(|(second, _)| second)
            .collect();
        assert_eq!(told, [0, 60, 90]);
    }

    #[test]
    fn what_is_noted_just_before_an_outage_shows_is_part_of_it() {
        let (mut reporter, start) = (Reporter::default(), Instant::now());
        reporter.look(start, Ok(()), noted(0));
        assert_eq!(reporter.look(start + SECOND, Ok(()), noted(7)), None);
        let began = reporter.look(start + 2 * SECOND, gone(), noted(1));
        assert_eq!(
            began,
            Some(Line::Began {
                error: "gone".to_owned()
            })
        );
        let ended = reporter.look(start + 3 * SECOND, Ok(()), noted(2));
        assert_eq!(
            ended,
            Some(Line::Ended {
                lasted: SECOND,
                failures: 10
            })
        );
    }

    #[test]
    fn what_fails_beside_a_database_that_is_well_is_told_once_a_minute_and_none_is_left_out() {
        let (mut reporter, start) = (Reporter::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..200 {
            match reporter.look(start + SECOND * second, Ok(()), noted(1)) {
                Some(Line::SomeFailed(noted)) => told.push((second, noted.failures)),
                other => assert!(matches!(other, None | Some(Line::Serving)), "{other:?}"),
            }
        }
        assert_eq!(told, [(1, 1), (61, 60), (121, 60), (181, 60)]);
    }

    #[test]
    fn notes_are_counted_until_they_are_taken() {
        let notes = Notes::default();
        notes.note("a read", &"gone");
        notes.note("a write", &"away");
        assert_eq!(
            notes.take(),
            Noted {
                failures: 2,
                last: "a write: away".to_owned()
            }
        );
        assert_eq!(notes.take(), Noted::default());
    }
}
