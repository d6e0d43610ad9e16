//! RecordRefundResult, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, RecordRefundResult};
use belay_domain::rejection::Rejection;

use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, settled};

struct Attempt {
    case: Case,
    refund: u32,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let result = settled(100);
        let command = Command::RecordRefundResult(RecordRefundResult {
            refund: self.refund,
            result,
        });
        self.case
            .clone()
            .run(Role::Payments, self.expected_version, command)
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    let mut attempt = Attempt {
        case,
        refund: 9,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("REFUND_NOT_FOUND", |a| a.refund = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("REFUND_NOT_CLAIMED", |a| drop(a.case.lease(&[1]))),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
