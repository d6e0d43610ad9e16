//! HoldShipment and ReleaseHold, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, HOLD_MAX, HoldShipment, ReleaseHold};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;
use jiff::SignedDuration;

use crate::kit::{Cart, Case, MICROSECOND, Rung, climb};

struct Attempt {
    case: Case,
    shipment: u32,
    fence: u32,
    how_long: SignedDuration,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self, command: Command) -> Result<(), Rejection> {
        self.case
            .clone()
            .run(Role::Seller, self.expected_version, command)
            .map(|_| ())
    }

    fn hold(&self) -> Result<(), Rejection> {
        let until = self.case.now + self.how_long;
        let (shipment, fence) = (self.shipment, Some(self.fence));
        self.run(Command::HoldShipment(HoldShipment {
            shipment,
            fence,
            until,
            note: None,
        }))
    }

    fn release(&self) -> Result<(), Rejection> {
        self.run(Command::ReleaseHold(ReleaseHold {
            shipment: self.shipment,
            fence: Some(self.fence),
        }))
    }
}

fn attempt() -> Attempt {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.bring_to(1, Stage::InTransit);
    Attempt {
        case,
        shipment: 9,
        fence: 9,
        how_long: SignedDuration::ZERO,
        expected_version: Some(1),
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let rungs: &[Rung<Attempt>] = &[
        ("INVALID_FIELD", |a| a.how_long = HOLD_MAX + MICROSECOND),
        ("INVALID_FIELD", |a| a.how_long = HOLD_MAX),
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("FENCE_STALE", |a| a.fence = 1),
        ("STAGE_MISMATCH", |a| a.shipment = 2),
    ];
    climb(&mut attempt(), rungs, Attempt::hold);
}

#[test]
fn a_release_is_refused_only_to_who_looks_at_something_else() {
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 2),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("FENCE_STALE", |a| a.fence = 1),
    ];
    climb(&mut attempt(), rungs, Attempt::release);
}
