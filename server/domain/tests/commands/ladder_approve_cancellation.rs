//! ApproveCancellation and RejectCancellation, rung by rung: they answer the same gate.

use belay_domain::actor::Role;
use belay_domain::commands::{ApproveCancellation, Command, RejectCancellation};
use belay_domain::rejection::Rejection;
use jiff::SignedDuration;

use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, consent_when_preparing};

struct Attempt {
    case: Case,
    by: Role,
    cancellation: u32,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self, command: Command) -> Result<(), Rejection> {
        self.case
            .clone()
            .run(self.by, self.expected_version, command)
            .map(|_| ())
    }

    fn approve(&self) -> Result<(), Rejection> {
        let cancellation = self.cancellation;
        self.run(Command::ApproveCancellation(ApproveCancellation {
            cancellation,
            note: None,
        }))
    }

    fn reject(&self) -> Result<(), Rejection> {
        let (cancellation, code) = (self.cancellation, "PACKED_ALREADY".to_owned());
        self.run(Command::RejectCancellation(RejectCancellation {
            cancellation,
            code,
            note: None,
            evidence: Vec::new(),
        }))
    }
}

/// The seller kept silent on the first cancellation and is asked about the second.
fn attempt() -> Attempt {
    let mut case = Cart::of(&[(2, 200)]).paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(SignedDuration::from_hours(48)).settle();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    Attempt {
        case,
        by: Role::Support,
        cancellation: 9,
        expected_version: Some(1),
    }
}

const RUNGS: &[Rung<Attempt>] = &[
    ("CANCELLATION_NOT_FOUND", |a| a.cancellation = 1),
    ("ETAG_MISMATCH", |a| {
        a.expected_version = Some(a.case.order.version)
    }),
    ("GATE_NOT_OPEN", |a| a.by = Role::Seller),
    ("GATE_TIMED_OUT", |a| a.cancellation = 2),
];

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    climb(&mut attempt(), RUNGS, Attempt::approve);
    climb(&mut attempt(), RUNGS, Attempt::reject);
}
