//! AnswerIntercept, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{AnswerIntercept, Command, InterceptAnswer};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::Stage;
use belay_domain::terms::Path;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, Rung, climb, gate};

struct Attempt {
    case: Case,
    shipment: u32,
    answer: InterceptAnswer,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = AnswerIntercept {
            shipment: self.shipment,
            answer: self.answer.clone(),
            note: None,
        };
        self.case
            .clone()
            .run(
                Role::Carrier,
                self.expected_version,
                Command::AnswerIntercept(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    for answer in [
        InterceptAnswer::Confirmed,
        InterceptAnswer::CannotIntercept { code: None },
    ] {
        let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
        let mut case = cart.paid_under(outside(&[&gate("CARRIER_INTERCEPT", "REFUSE", "BAR")]));
        case.bring_to(1, Stage::InTransit)
            .bring_to(2, Stage::InTransit);
        case.cancel(CancellationRequest::shipment(2).paths(&[Path::Intercept]))
            .unwrap();
        let mut attempt = Attempt {
            case,
            shipment: 9,
            answer,
            expected_version: Some(1),
        };
        let rungs: &[Rung<Attempt>] = &[
            ("SHIPMENT_NOT_FOUND", |a| a.shipment = 1),
            ("ETAG_MISMATCH", |a| a.expected_version = None),
            ("GATE_NOT_OPEN", |a| a.shipment = 2),
        ];
        climb(&mut attempt, rungs, Attempt::run);
    }
}
