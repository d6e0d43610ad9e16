//! ReceiveParcel, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, ReceiveParcel};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;
use belay_domain::terms::GoodsCondition;

use crate::acts::quantities;
use crate::kit::{Cart, Case, Rung, climb};

struct Attempt {
    case: Case,
    shipment: u32,
    lines: &'static [(u32, u32)],
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = ReceiveParcel {
            shipment: self.shipment,
            condition: GoodsCondition::Unopened,
            quantities: quantities(self.lines),
            receipt_id: None,
            receive_time: None,
            note: None,
        };
        self.case
            .clone()
            .run(
                Role::Warehouse,
                self.expected_version,
                Command::ReceiveParcel(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.bring_to(2, Stage::InTransit);
    let mut attempt = Attempt {
        case,
        shipment: 9,
        lines: &[(1, 2)],
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
        ("ETAG_MISMATCH", |a| {
            a.expected_version = Some(a.case.order.version)
        }),
        ("QUANTITY_UNAVAILABLE", |a| a.lines = &[(1, 1)]),
        ("STAGE_MISMATCH", |a| a.shipment = 2),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}
