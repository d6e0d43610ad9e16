//! WithdrawCancellation, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, WithdrawCancellation};
use belay_domain::rejection::Rejection;

use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, gate, gated};

struct Attempt {
    case: Case,
    by: Role,
    cancellation: u32,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = Command::WithdrawCancellation(WithdrawCancellation {
            cancellation: self.cancellation,
        });
        self.case
            .clone()
            .run(self.by, self.expected_version, command)
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    // The warehouse has stopped what the first cancellation is about, and is asked to stop more.
    let gates = [
        gate("WAREHOUSE_STOP", "REFUSE", "BAR"),
        gate("SELLER_CONSENT", "REFUSE", "BAR"),
    ];
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated("PLANNED", &[&gates[0], &gates[1]]));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.stop(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    let mut attempt = Attempt {
        case,
        by: Role::Seller,
        cancellation: 9,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("CANCELLATION_NOT_FOUND", |a| a.cancellation = 1),
        ("ETAG_MISMATCH", |a| {
            a.expected_version = Some(a.case.order.version)
        }),
        ("NOT_THE_REQUESTER", |a| a.by = Role::Storefront),
        ("TOO_LATE_TO_WITHDRAW", |a| a.cancellation = 2),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
