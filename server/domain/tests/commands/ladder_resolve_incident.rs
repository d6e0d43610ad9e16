//! ResolveIncident, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, ResolveIncident};
use belay_domain::incident::Resolution;
use belay_domain::order::CANCELLATIONS_MAX;
use belay_domain::rejection::Rejection;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, gate};

struct Attempt {
    case: Case,
    incident: u32,
    resolution: Resolution,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = ResolveIncident {
            incident: self.incident,
            resolution: self.resolution,
            note: None,
        };
        self.case
            .clone()
            .run(
                Role::Support,
                self.expected_version,
                Command::ResolveIncident(command),
            )
            .map(|_| ())
    }
}

/// The first incident is settled, the second is of goods that came too late, and the order is full
/// of cancellations: that stops callers who ask, not the money for goods that are home.
fn attempt() -> Attempt {
    let cart =
        Cart::of(&[(1, 100), (1, 100), (200, 200)]).split(&[&[(1, 1)], &[(2, 1)], &[(3, 200)]]);
    let mut case = cart.paid_under(outside(&[&gate("PARCEL_RECEIPT", "REFUSE", "BAR")]));
    case.bring_to(1, Stage::Cancelled)
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.resolve(1, Resolution::DropRefund).unwrap();
    case.bring_to(2, Stage::Delivered)
        .cancel(CancellationRequest::shipment(2).paths(&[Path::ReturnOpened]))
        .unwrap();
    case.wait(SignedDuration::from_hours(48))
        .receive(2, GoodsCondition::Opened)
        .unwrap();
    while case.order.cancellations.len() < CANCELLATIONS_MAX {
        case.cancel(CancellationRequest::lines(&[(3, 1)])).unwrap();
    }
    Attempt {
        case,
        incident: 9,
        resolution: Resolution::RefundAnyway,
        expected_version: Some(1),
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let rungs: &[Rung<Attempt>] = &[
        ("INCIDENT_NOT_FOUND", |a| a.incident = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("INCIDENT_RESOLVED", |a| {
            (a.incident, a.resolution) = (2, Resolution::RetryRefund)
        }),
        ("RESOLUTION_NOT_ALLOWED", |a| {
            a.resolution = Resolution::RefundAnyway
        }),
    ];
    climb(&mut attempt(), rungs, Attempt::run);
}
