//! Every kind of gate against everything that may be said to it.

use belay_domain::actor::Role;
use belay_domain::cancellation::PartState;
use belay_domain::decision::Answer;
use belay_domain::rejection::Rejection;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GateKind, GoodsCondition, Path};

use crate::kit::{CancellationRequest, Cart, Case, PLAIN, policy};

/// A parcel on its way that somebody wants back, once this gate has passed.
fn waiting_for(kind: GateKind) -> Case {
    let gate = format!("{{kind: {kind}, respond_within: 48h, on_timeout: REFUSE, on_lost: PASS}}");
    let rule = format!(
        "\n  - {{id: any, when: {{path: INTERCEPT}}, allow: {{gates: [{gate}], refund: FULL}}}}"
    );
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy(&format!("{rule}{PLAIN}")));
    case.bring_to(1, Stage::InTransit)
        .cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    assert_eq!(case.part(1, 0).open_gate().unwrap().spec.kind, kind);
    case
}

/// Rows are answers, columns gates: the state of the part, why it was refused, `-` GATE_NOT_OPEN.
#[test]
fn every_gate_takes_every_answer_as_the_table_says() {
    type Step = fn(&mut Case) -> Result<Answer, Rejection>;
    let table: [(&str, Step, &str); 11] = [
        // SELLER_CONSENT SUPPORT_REVIEW WAREHOUSE_STOP CARRIER_INTERCEPT PARCEL_RECEIPT
        // LOSS_CONFIRMATION
        (
            "the seller agrees",
            |case| case.approve(Role::Seller, 1),
            "CANCELLED - - - - -",
        ),
        (
            "support agrees",
            |case| case.approve(Role::Support, 1),
            "- CANCELLED - - - -",
        ),
        (
            "the seller does not agree",
            |case| case.reject(Role::Seller, 1),
            "CONSENT_REFUSED - - - - -",
        ),
        (
            "support does not agree",
            |case| case.reject(Role::Support, 1),
            "- CONSENT_REFUSED - - - -",
        ),
        ("it is stopped", |case| case.stop(1), "- - CANCELLED - - -"),
        (
            "it cannot be stopped",
            |case| case.cannot_stop(1),
            "- - WAREHOUSE_CANNOT_STOP - - -",
        ),
        (
            "it is brought back",
            |case| case.confirm_intercept(1),
            "- - - CANCELLED - -",
        ),
        (
            "it cannot be brought back",
            |case| case.cannot_intercept(1),
            "- - - NOT_INTERCEPTABLE - -",
        ),
        (
            "it is home",
            |case| case.receive(1, GoodsCondition::Unopened),
            "WAITING WAITING WAITING CANCELLED CANCELLED CANCELLED",
        ),
        (
            "it is lost",
            |case| case.scan(1, TrackingFact::Lost),
            "WAITING WAITING CANCELLED CANCELLED CANCELLED CANCELLED",
        ),
        (
            "it is requested no more",
            |case| case.withdraw(Role::Storefront, 1),
            "WITHDRAWN WITHDRAWN WITHDRAWN WITHDRAWN WITHDRAWN WITHDRAWN",
        ),
    ];
    for (name, step, row) in table {
        let cells: Vec<&str> = row.split(' ').collect();
        assert_eq!(cells.len(), GateKind::ALL.len());
        for (kind, cell) in GateKind::ALL.iter().zip(cells) {
            let mut case = waiting_for(*kind);
            let found = match step(&mut case) {
                Err(Rejection::GateNotOpen { .. }) => "-".to_owned(),
                Err(other) => panic!("{name}, {kind}: {other:?}"),
                Ok(_) => match (case.part(1, 0).state, &case.part(1, 0).refused_reason) {
                    (PartState::Refused, Some(reason)) => reason.name().to_owned(),
                    (state, _) => state.name().to_owned(),
                },
            };
            assert_eq!(found, cell, "{name}, {kind}");
        }
    }
}

#[test]
fn silence_ends_every_gate_that_has_a_deadline() {
    for kind in GateKind::ALL {
        let mut case = waiting_for(*kind);
        case.wait(jiff::SignedDuration::from_hours(48)).settle();
        assert_eq!(
            case.parts(1),
            [(PartState::Refused, "GATE_TIMED_OUT")],
            "{kind}"
        );
    }
}
