//! StartPreparation, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, StartPreparation};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;

use crate::kit::{Cart, Case, Rung, climb};

struct Attempt {
    case: Case,
    shipment: u32,
    fence: Option<u32>,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = StartPreparation {
            shipment: self.shipment,
            fence: self.fence,
        };
        self.case
            .clone()
            .run(
                Role::Warehouse,
                self.expected_version,
                Command::StartPreparation(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).place();
    let mut attempt = Attempt {
        case,
        shipment: 9,
        fence: Some(9),
        expected_version: Some(9),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("FENCE_STALE", |a| a.fence = None),
        ("NOT_RELEASED", |a| {
            a.case.capture("p1", 200).bring_to(1, Stage::Delivered);
        }),
        ("STAGE_MISMATCH", |a| a.shipment = 2),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}

#[test]
fn to_say_it_twice_writes_nothing() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.prepare(1).unwrap();
    let before = case.order.clone();
    case.prepare(1).unwrap();
    assert_eq!(case.order, before);
}
