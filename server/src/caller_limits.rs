//! Limits for one caller of a server: calls a second, calls at the same time, bytes of requests a
//! second. A call beyond them is refused before it is read, and told when to come back.
//!
//! A rate is kept as an instant: until when the caller has used up its due. It may run ahead of the
//! clock by the burst, and no memory is kept of single calls. Bytes are counted as they come, when
//! the call is already taken; a caller that has sent too many waits with its next call.
//!
//! A caller is a role with an id. What its calls are about is for others to know.

pub mod command_line;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_wire::status::CallerLimit;
use tokio::time::Instant;

/// How far ahead of its rate a caller may be: as much as it may have in so long.
const BURST: Duration = Duration::from_secs(2);
/// When a caller with too many calls under way is told to come back.
const CONCURRENT_RETRY: Duration = Duration::from_millis(250);
/// Callers whose due is remembered. Those beyond share the due of one.
const CALLERS_MAX: usize = 10_000;

/// The largest values of the knobs.
pub const CALLS_PER_SECOND_MAX: u32 = 1_000_000;
pub const CONCURRENT_CALLS_MAX: u32 = 1_000_000;
pub const REQUEST_BYTES_PER_SECOND_MAX: u32 = 1 << 30;

/// The limits of one caller; 0 is none. All are off where nothing is said: what a caller is, a till
/// or the whole web shop, only its operator knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallerSettings {
    pub calls_per_second: u32,
    pub concurrent_calls: u32,
    pub request_bytes_per_second: u32,
}

impl CallerSettings {
    fn is_off(self) -> bool {
        self.calls_per_second == 0
            && self.concurrent_calls == 0
            && self.request_bytes_per_second == 0
    }
}

/// A call that is beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beyond {
    pub(crate) limit: CallerLimit,
    pub(crate) limit_max: u32,
    /// When a call may be taken again.
    pub(crate) retry: Duration,
}

/// The limits of all callers of a server. Cloning them shares them.
#[derive(Debug, Clone)]
pub(crate) struct CallerLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: CallerSettings,
    callers: Mutex<HashMap<Actor, Due>>,
}

/// The use that a caller has made of its limits.
#[derive(Debug, Clone, Copy)]
struct Due {
    under_way: u32,
    /// Until when the calls so far have used up their rate, and the bytes so far theirs.
    calls_until: Instant,
    bytes_until: Instant,
}

/// A call that counts as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// None where nothing is limited.
    counted: Option<(CallerLimits, Actor)>,
}

impl CallerLimits {
    pub(crate) fn new(settings: CallerSettings) -> Self {
        Self(Arc::new(Inner {
            settings,
            callers: Mutex::default(),
        }))
    }

    /// Takes a call, or says what it is beyond.
    pub(crate) fn admit(&self, caller: &Actor, now: Instant) -> Result<Admitted, Beyond> {
        let settings = self.0.settings;
        if settings.is_off() {
            return Ok(Admitted { counted: None });
        }
        let mut callers = self.callers();
        let known = self.known(&mut callers, caller, now);
        let due = callers.entry(known.clone()).or_insert(Due::new(now));
        due.take_call(settings, now)?;
        drop(callers);
        Ok(Admitted {
            counted: Some((self.clone(), known)),
        })
    }

    /// The caller, or the one that stands for those whom the table has no room for.
    fn known(&self, callers: &mut HashMap<Actor, Due>, caller: &Actor, now: Instant) -> Actor {
        if callers.len() >= CALLERS_MAX && !callers.contains_key(caller) {
            callers.retain(|_, due| due.is_owing(now));
            if callers.len() >= CALLERS_MAX {
                return Actor::system();
            }
        }
        caller.clone()
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Actor, Due>> {
        self.0
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    fn new(now: Instant) -> Self {
        Self {
            under_way: 0,
            calls_until: now,
            bytes_until: now,
        }
    }

    /// Whether it is to be remembered.
    fn is_owing(&self, now: Instant) -> bool {
        self.under_way > 0 || self.calls_until > now || self.bytes_until > now
    }

    fn take_call(&mut self, settings: CallerSettings, now: Instant) -> Result<(), Beyond> {
        let CallerSettings {
            calls_per_second,
            concurrent_calls,
            request_bytes_per_second,
        } = settings;
        let beyond = |limit, limit_max, retry| {
            Err(Beyond {
                limit,
                limit_max,
                retry,
            })
        };
        if concurrent_calls > 0 && self.under_way >= concurrent_calls {
            let limit = CallerLimit::ConcurrentCalls;
            return beyond(limit, concurrent_calls, CONCURRENT_RETRY);
        }
        if request_bytes_per_second > 0
            && let Some(wait) = ahead(self.bytes_until, now)
        {
            let limit = CallerLimit::RequestBytesPerSecond;
            return beyond(limit, request_bytes_per_second, wait);
        }
        if calls_per_second > 0 {
            let after = self.calls_until.max(now) + Duration::from_secs(1) / calls_per_second;
            if let Some(wait) = ahead(after, now) {
                return beyond(CallerLimit::CallsPerSecond, calls_per_second, wait);
            }
            self.calls_until = after;
        }
        self.under_way += 1;
        Ok(())
    }
}

/// How long it is until an instant is no further ahead than a burst; `None` where it is not.
fn ahead(until: Instant, now: Instant) -> Option<Duration> {
    let wait = until.checked_duration_since(now + BURST)?;
    (!wait.is_zero()).then_some(wait)
}

impl Admitted {
    /// So many bytes of the call's request have come.
    pub(crate) fn has_sent(&self, bytes: usize, now: Instant) {
        let Some((limits, caller)) = &self.counted else {
            return;
        };
        let per_second = limits.0.settings.request_bytes_per_second;
        if per_second == 0 {
            return;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let cost = Duration::from_secs_f64(f64::from(bytes) / f64::from(per_second));
        if let Some(due) = limits.callers().get_mut(caller) {
            due.bytes_until = due.bytes_until.max(now) + cost;
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((limits, caller)) = self.counted.take() else {
            return;
        };
        if let Entry::Occupied(mut due) = limits.callers().entry(caller) {
            due.get_mut().under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Role;

    use super::*;

    fn caller(id: &str) -> Actor {
        Actor::new(Role::Storefront, id)
    }

    fn beyond(limit: CallerLimit, limit_max: u32, retry: Duration) -> Beyond {
        Beyond {
            limit,
            limit_max,
            retry,
        }
    }

    #[test]
    fn calls_are_taken_at_their_rate_and_a_burst_ahead_of_it() {
        let limits = CallerLimits::new(CallerSettings {
            calls_per_second: 10,
            ..CallerSettings::default()
        });
        let now = Instant::now();
        let (ann, bob) = (caller("ann"), caller("bob"));
        for _ in 0..20 {
            limits.admit(&ann, now).unwrap();
        }
        let wait = Duration::from_millis(100);
        assert_eq!(
            limits.admit(&ann, now).unwrap_err(),
            beyond(CallerLimit::CallsPerSecond, 10, wait)
        );
        limits.admit(&bob, now).expect("another has its own");
        limits.admit(&ann, now + wait).expect("it has waited");
        limits.admit(&ann, now + wait).expect_err("one came free");
        let later = now + Duration::from_secs(60);
        let taken = (0..100).filter(|_| limits.admit(&ann, later).is_ok());
        assert_eq!(
            taken.count(),
            20,
            "who asks for nothing saves no more than a burst"
        );
    }

    #[test]
    fn as_many_calls_are_under_way_as_may() {
        let limits = CallerLimits::new(CallerSettings {
            concurrent_calls: 2,
            ..CallerSettings::default()
        });
        let (now, ann) = (Instant::now(), caller("ann"));
        let first = limits.admit(&ann, now).unwrap();
        let _second = limits.admit(&ann, now).unwrap();
        assert_eq!(
            limits.admit(&ann, now).unwrap_err(),
            beyond(CallerLimit::ConcurrentCalls, 2, CONCURRENT_RETRY)
        );
        limits
            .admit(&caller("bob"), now)
            .expect("another has its own");
        drop(first);
        limits.admit(&ann, now).expect("one has ended");
    }

    #[test]
    fn a_caller_that_has_sent_too_much_waits_with_its_next_call() {
        let limits = CallerLimits::new(CallerSettings {
            request_bytes_per_second: 1_000,
            ..CallerSettings::default()
        });
        let (now, ann) = (Instant::now(), caller("ann"));
        limits.admit(&ann, now).unwrap().has_sent(2_000, now);
        limits.admit(&ann, now).unwrap().has_sent(500, now);
        let wait = Duration::from_millis(500);
        assert_eq!(
            limits.admit(&ann, now).unwrap_err(),
            beyond(CallerLimit::RequestBytesPerSecond, 1_000, wait)
        );
        limits
            .admit(&caller("bob"), now)
            .expect("another has its own");
        limits.admit(&ann, now + wait).expect("it has waited");
    }

    #[test]
    fn the_table_of_callers_is_bounded() {
        let limits = CallerLimits::new(CallerSettings {
            calls_per_second: 1,
            ..CallerSettings::default()
        });
        let now = Instant::now();
        for number in 0..CALLERS_MAX {
            limits.admit(&caller(&number.to_string()), now).unwrap();
        }
        for number in 0..10 {
            let _ = limits.admit(&caller(&format!("new-{number}")), now);
        }
        assert_eq!(limits.callers().len(), CALLERS_MAX + 1);
        limits
            .admit(&caller("new"), now)
            .expect_err("those beyond share the due of one");
        // Whoever owes nothing is forgotten as soon as there is need.
        let later = now + Duration::from_secs(60);
        limits.admit(&caller("new"), later).unwrap();
        assert_eq!(limits.callers().len(), 1);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_limited() {
        let limits = CallerLimits::new(CallerSettings::default());
        let admitted = limits.admit(&caller("ann"), Instant::now()).unwrap();
        admitted.has_sent(1 << 30, Instant::now());
        assert!(limits.callers().is_empty());
    }
}
