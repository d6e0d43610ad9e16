//! RecordTracking, rung by rung: facts are recorded, so all that refuses one of a known shipment is
//! a bound.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, RecordTracking};
use belay_domain::ids::ExternalId;
use belay_domain::order::FACTS_MAX;
use belay_domain::rejection::Rejection;
use belay_domain::shipment::TrackingFact;

use crate::kit::{Cart, Case, PLACED, Rung, climb};

struct Attempt {
    case: Case,
    shipment: u32,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = RecordTracking {
            shipment: self.shipment,
            carrier_event_id: ExternalId::parse("the-event").unwrap(),
            fact: TrackingFact::InTransit,
            occurred_time: Some(PLACED),
        };
        self.case
            .clone()
            .run(
                Role::Carrier,
                self.expected_version,
                Command::RecordTracking(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    for _ in 0..FACTS_MAX {
        case.scan(1, TrackingFact::InTransit).unwrap();
    }
    let mut attempt = Attempt {
        case,
        shipment: 9,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("LIMIT_REACHED", |a| a.shipment = 2),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
