//! LeaseRefunds, rung by rung: what cannot be had is not leased, and that is no rejection.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, LeaseRefunds};
use belay_domain::ids::WorkerId;
use belay_domain::rejection::Rejection;

use crate::kit::{CancellationRequest, Cart, Case, LEASE, Rung, climb};

struct Attempt {
    case: Case,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = LeaseRefunds {
            refunds: vec![1],
            worker: WorkerId::parse("worker-1").unwrap(),
            lease: LEASE,
        };
        self.case
            .clone()
            .run(
                Role::Payments,
                self.expected_version,
                Command::LeaseRefunds(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    let mut attempt = Attempt {
        case,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[("ETAG_MISMATCH", |a| a.expected_version = None)];
    climb(&mut attempt, rungs, Attempt::run);
}

#[test]
fn what_another_worker_has_or_nobody_knows_is_not_leased_and_nothing_is_written() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(case.lease(&[1, 9]), [1]);
    let before = case.order.clone();
    assert_eq!(case.lease(&[1, 9]), [0_u32; 0]);
    assert_eq!(case.order, before);
}
