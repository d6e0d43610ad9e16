//! Metrics of the whole database: how much is due, whom it waits for, what is overdue.
//! One worker reads it now and then, and who asks for metrics gets what was read last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belay_domain::actor::Role;
use belay_domain::refund::RefundState;
use tokio::time::Instant;

/// The age of the cancellation that a gate belongs to, since it was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    UnderAnHour,
    UnderADay,
    UnderAWeek,
    Older,
}

impl Age {
    pub(crate) const ALL: [Self; 4] = [
        Self::UnderAnHour,
        Self::UnderADay,
        Self::UnderAWeek,
        Self::Older,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Age::UnderAnHour => "under_1h",
            Age::UnderADay => "under_1d",
            Age::UnderAWeek => "under_7d",
            Age::Older => "over_7d",
        }
    }
}

/// Refunds in these states are not at their end.
pub(crate) const REFUND_STATES: [RefundState; 4] = [
    RefundState::Due,
    RefundState::Blocked,
    RefundState::Submitted,
    RefundState::Unknown,
];

/// The figures that were read at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) due_orders: u64,
    pub(crate) due_lag: Duration,
    gates: [[u64; Age::ALL.len()]; Role::ALL.len()],
    refunds: [u64; REFUND_STATES.len()],
    pub(crate) overdue: u64,
    pub(crate) consumers: u64,
    pub(crate) consumer_lag: u64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            due_orders: 0,
            due_lag: Duration::ZERO,
            gates: [[0; Age::ALL.len()]; Role::ALL.len()],
            refunds: [0; REFUND_STATES.len()],
            overdue: 0,
            consumers: 0,
            consumer_lag: 0,
        }
    }
}

impl Figures {
    /// So many more gates that wait for this party, by age.
    pub(crate) fn add_gates(&mut self, party: Role, by_age: [u64; Age::ALL.len()]) {
        let of_party = Role::ALL.iter().zip(&mut self.gates);
        for (_, ages) in of_party.filter(|(of, _)| **of == party) {
            for (sum, more) in ages.iter_mut().zip(by_age) {
                *sum += more;
            }
        }
    }

    /// So many more refunds in this state.
    pub(crate) fn add_refunds(&mut self, state: RefundState, more: u64) {
        let of_state = REFUND_STATES.iter().zip(&mut self.refunds);
        for (_, sum) in of_state.filter(|(of, _)| **of == state) {
            *sum += more;
        }
    }

    /// Of each party that gates wait for, and each age.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (Role, Age, u64)> {
        let of_parties = Role::ALL.iter().zip(&self.gates).filter(|(party, _)| {
            let mut kinds = belay_domain::terms::GateKind::ALL.iter();
            kinds.any(|kind| kind.party() == **party)
        });
        of_parties.flat_map(|(party, ages)| {
            let ages = Age::ALL.into_iter().zip(*ages);
            ages.map(|(age, gates)| (*party, age, gates))
        })
    }

    /// Of each state that is not an end.
    pub(crate) fn refunds(&self) -> impl Iterator<Item = (RefundState, u64)> {
        REFUND_STATES.into_iter().zip(self.refunds)
    }
}

/// The figures that were read last.
#[derive(Debug)]
pub struct LastFigures(Mutex<(Arc<Figures>, Instant)>);

impl LastFigures {
    /// Nothing was read yet.
    pub(crate) fn begin(now: Instant) -> Self {
        Self(Mutex::new((Arc::default(), now)))
    }

    pub(crate) fn last(&self) -> Arc<Figures> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.0.clone()
    }

    /// How long ago they were read, or the server began.
    pub(crate) fn age(&self) -> Duration {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.1.elapsed()
    }

    pub(crate) fn are(&self, figures: Figures) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (Arc::new(figures), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_those_of_parties_and_refunds_those_that_are_open() {
        let mut figures = Figures::default();
        figures.add_gates(Role::Seller, [1, 2, 3, 4]);
        figures.add_gates(Role::Seller, [10, 0, 0, 0]);
        figures.add_refunds(RefundState::Blocked, 7);
        figures.add_refunds(RefundState::Settled, 9);
        let of_seller: Vec<(&str, u64)> = figures
            .gates()
            .filter(|(party, _, _)| *party == Role::Seller)
            .map(|(_, age, gates)| (age.name(), gates))
            .collect();
        let ages = ["under_1h", "under_1d", "under_7d", "over_7d"];
        assert!(of_seller.iter().map(|of| of.0).eq(ages));
        assert!(of_seller.iter().map(|of| of.1).eq([11, 2, 3, 4]));
        let others = figures.gates().filter(|of| of.0 != Role::Seller);
        assert_eq!(others.map(|of| of.2).sum::<u64>(), 0);
        assert!(figures.gates().all(|of| of.0 != Role::Storefront));
        let open: u64 = figures.refunds().map(|of| of.1).sum();
        assert_eq!(open, 7);
    }
}
