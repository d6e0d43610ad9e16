//! AnswerStop, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{AnswerStop, Command, StopAnswer};
use belay_domain::rejection::Rejection;

use crate::acts::quantities;
use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, gate, gated};

struct Attempt {
    case: Case,
    shipment: u32,
    cancellation: Option<u32>,
    lines: &'static [(u32, u32)],
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let answer = StopAnswer::Stopped {
            quantities: quantities(self.lines),
            stage_seen: None,
            put_back: Vec::new(),
        };
        let command = AnswerStop {
            shipment: self.shipment,
            cancellation: self.cancellation,
            answer,
            note: None,
        };
        self.case
            .clone()
            .run(
                Role::Warehouse,
                self.expected_version,
                Command::AnswerStop(command),
            )
            .map(|_| ())
    }
}

/// One of two shipments is to be stopped.
fn attempt() -> Attempt {
    let cart = Cart::of(&[(4, 400)]).split(&[&[(1, 2)], &[(1, 2)]]);
    let mut case = cart.paid_under(gated(
        "PLANNED",
        &[&gate("WAREHOUSE_STOP", "REFUSE", "BAR")],
    ));
    case.cancel(CancellationRequest::shipment(2)).unwrap();
    Attempt {
        case,
        shipment: 9,
        cancellation: Some(9),
        lines: &[],
        expected_version: Some(1),
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("CANCELLATION_NOT_FOUND", |a| a.cancellation = Some(1)),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("GATE_NOT_OPEN", |a| a.shipment = 2),
    ];
    climb(&mut attempt(), rungs, Attempt::run);
}

#[test]
fn no_more_is_stopped_than_was_asked() {
    let mut attempt = Attempt {
        shipment: 2,
        cancellation: None,
        lines: &[(1, 3)],
        ..attempt()
    };
    let rungs: &[Rung<Attempt>] = &[
        ("ETAG_MISMATCH", |a| {
            a.expected_version = Some(a.case.order.version)
        }),
        ("QUANTITY_UNAVAILABLE", |a| a.lines = &[(1, 1), (1, 2)]),
        // A line that is named twice is asked for twice.
        ("QUANTITY_UNAVAILABLE", |a| a.lines = &[(1, 1), (1, 1)]),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
