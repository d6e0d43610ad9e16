//! SplitShipment, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, SplitShipment};
use belay_domain::error_reason::ErrorReason;
use belay_domain::order::SHIPMENTS_MAX;
use belay_domain::policy::{Customs, Policy};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;
use belay_domain::terms::NextAction;
use jiff::SignedDuration;

use crate::acts::quantities;
use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, consent_when_preparing, store};

struct Attempt {
    case: Case,
    shipment: u32,
    fence: u32,
    parcels: &'static [&'static [(u32, u32)]],
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let parcels = self
            .parcels
            .iter()
            .map(|parcel| quantities(parcel))
            .collect();
        let command = SplitShipment {
            shipment: self.shipment,
            fence: Some(self.fence),
            parcels,
        };
        self.case
            .clone()
            .run(
                Role::Warehouse,
                self.expected_version,
                Command::SplitShipment(command),
            )
            .map(|_| ())
    }
}

/// A parcel abroad with two identical units is flagged; this is what may be done then.
fn terms(own_delivery: &[NextAction]) -> Policy {
    let customs = Customs {
        identical_units_max: 1,
        own_delivery: own_delivery.to_vec(),
        partner_delivery: vec![NextAction::Cancel],
    };
    Policy {
        customs: Some(customs),
        ..consent_when_preparing()
    }
}

/// As many shipments as fit but one: the first has left, the second waits for the seller and
/// crosses a border.
fn attempt() -> Attempt {
    let contents: Vec<[(u32, u32); 1]> = (1..SHIPMENTS_MAX).map(|_| [(1, 2)]).collect();
    let contents: Vec<&[(u32, u32)]> = contents.iter().map(|contents| &contents[..]).collect();
    let quantity = u32::try_from(2 * contents.len()).unwrap();
    let mut cart = Cart::of(&[(quantity, 9800)]).split(&contents);
    cart.0.destination.country_code = "FR".to_owned();
    let mut case = cart.place_in(store(terms(&[NextAction::Cancel])));
    case.capture("p1", 9800).bring_to(1, Stage::InTransit);
    case.prepare(2).unwrap();
    case.cancel(CancellationRequest::shipment(2)).unwrap();
    Attempt {
        case,
        shipment: 9,
        fence: 99,
        parcels: &[&[(1, 2)]],
        expected_version: Some(1),
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let rungs: &[Rung<Attempt>] = &[
        ("INVALID_FIELD", |a| a.parcels = &[&[(1, 2)], &[]]),
        ("INVALID_FIELD", |a| {
            a.parcels = &[&[(1, 2)], &[(1, 1)]];
            a.shipment = 99;
        }),
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("FENCE_STALE", |a| a.fence = 1),
        ("QUANTITY_UNAVAILABLE", |a| {
            a.parcels = &[&[(1, 1)], &[(1, 1)]]
        }),
        ("STAGE_MISMATCH", |a| {
            (a.shipment, a.fence) = (2, a.case.shipment(2).fence)
        }),
        ("SHIPMENT_BARRED", |a| {
            a.case.wait(SignedDuration::from_hours(48)).settle();
            a.fence = a.case.shipment(2).fence;
        }),
        ("SPLIT_NOT_ALLOWED", |a| {
            a.case.store = store(terms(&[NextAction::SplitShipment]))
        }),
        ("LIMIT_REACHED", |a| drop(a.case.order.shipments.pop())),
    ];
    climb(&mut attempt(), rungs, Attempt::run);
}

#[test]
fn every_unit_goes_into_a_parcel() {
    let mut case = Cart::of(&[(3, 300)]).paid();
    assert_eq!(
        case.split(1, &[&[(1, 1)], &[(1, 1)]]).unwrap_err().reason(),
        ErrorReason::InvalidField
    );
    assert_eq!(
        case.split(1, &[&[(1, 1)], &[(9, 1)]]).unwrap_err().reason(),
        ErrorReason::QuantityUnavailable
    );
    assert!(case.split(1, &[&[(1, 1)], &[(1, 2)]]).is_ok());
}
