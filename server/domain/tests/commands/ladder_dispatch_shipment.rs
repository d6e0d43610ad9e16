//! DispatchShipment, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, DispatchShipment};
use belay_domain::payment::PaymentFact;
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;
use jiff::SignedDuration;

use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, consent_when_preparing};

struct Attempt {
    case: Case,
    shipment: u32,
    fence: u32,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = DispatchShipment {
            shipment: self.shipment,
            fence: self.fence,
            tracking_number: None,
        };
        let mut case = self.case.clone();
        case.run(
            Role::Warehouse,
            self.expected_version,
            Command::DispatchShipment(command),
        )
        .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    // It was paid, and is no more; a part of it waits.
    let mut case = cart.place_under(consent_when_preparing());
    case.authorize("p1", 200).prepare(1).unwrap();
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    case.fact("p1", PaymentFact::Voided, 0).unwrap();
    let mut attempt = Attempt {
        case,
        shipment: 9,
        fence: 99,
        expected_version: Some(99),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("FENCE_STALE", |a| a.fence = a.case.shipment(1).fence),
        ("PAYMENT_LAPSED", |a| {
            a.case.capture("p2", 200);
        }),
        ("NOT_RELEASED", |a| {
            a.case.reject(Role::Seller, 1).unwrap();
            a.case.bring_to(1, Stage::Delivered);
            a.fence = a.case.shipment(1).fence;
        }),
        ("STAGE_MISMATCH", |a| {
            a.case.prepare(2).unwrap();
            a.case.cancel(CancellationRequest::shipment(2)).unwrap();
            a.case
                .hold(2, a.case.now + SignedDuration::from_hours(1))
                .unwrap();
            (a.shipment, a.fence) = (2, a.case.shipment(2).fence);
        }),
        ("SHIPMENT_HELD", |a| {
            a.case.release_hold(2).unwrap();
            a.fence = a.case.shipment(2).fence;
        }),
        ("SHIPMENT_BARRED", |a| {
            a.case.wait(SignedDuration::from_hours(48)).settle();
            a.fence = a.case.shipment(2).fence;
        }),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
