//! RequestCancellation, rung by rung.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, Identity, Selection};
use belay_domain::order::CANCELLATIONS_MAX;
use belay_domain::rejection::{Limit, Rejection};
use belay_domain::units::LineQuantity;

use crate::kit::{
    CancellationRequest, Cart, Case, EMAIL_HASH, Rung, climb, consent_when_preparing,
};

struct Attempt {
    case: Case,
    cancel_request: CancellationRequest,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let mut case = self.case.clone();
        let command = Command::RequestCancellation(self.cancel_request.request.clone());
        case.run(self.cancel_request.by, self.expected_version, command)
            .map(|_| ())
    }

    fn want(&mut self, lines: &[(u32, u32)]) {
        let quantity = |&(line, quantity): &(u32, u32)| LineQuantity { line, quantity };
        self.cancel_request.request.selection =
            Selection::Lines(lines.iter().map(quantity).collect());
    }

    fn because(&mut self, reason: &str) {
        self.cancel_request.request.reason = Some(reason.to_owned());
    }
}

/// Two of three units of line 1 wait for the seller, line 2 has many units left, line 3 has been
/// shipped, line 4 is cancelled, and the order has as many cancellations as it may have.
fn crowded_order() -> Case {
    let cart = Cart::of(&[(3, 300), (200, 200), (1, 100), (1, 100)]);
    let cart = cart.split(&[&[(1, 3)], &[(2, 200)], &[(3, 1)], &[(4, 1)]]);
    let mut case = cart.paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.dispatch(3).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    case.cancel(CancellationRequest::lines(&[(4, 1)])).unwrap();
    for _ in 2..CANCELLATIONS_MAX {
        case.cancel(CancellationRequest::lines(&[(2, 1)])).unwrap();
    }
    case
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let stranger = Identity::Email([99; 32]);
    let mut cancel_request = CancellationRequest::all().by_support_for(stranger);
    (cancel_request.by, cancel_request.request.reason) = (Role::Seller, None);
    let mut attempt = Attempt {
        case: crowded_order(),
        cancel_request,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("INVALID_FIELD", |a| a.cancel_request.by = Role::Support),
        ("ORDER_NOT_FOUND", |a| {
            a.cancel_request.request.on_behalf_of = Some(Identity::Email(EMAIL_HASH));
            a.want(&[(9, 1)]);
        }),
        ("LINE_NOT_FOUND", |a| {
            a.cancel_request.request.selection = Selection::Shipment(9)
        }),
        ("SHIPMENT_NOT_FOUND", |a| a.want(&[(1, 2)])),
        ("ETAG_MISMATCH", |a| {
            a.expected_version = Some(a.case.order.version)
        }),
        ("REASON_REQUIRED", |a| a.because("NO_SUCH_REASON")),
        ("REASON_UNKNOWN", |a| a.because("OUT_OF_STOCK")),
        ("REASON_NOT_ALLOWED", |a| a.because("BROKEN")),
        ("NOTE_REQUIRED", |a| {
            a.cancel_request.request.note = Some("It rattles.".to_owned())
        }),
        ("EVIDENCE_REQUIRED", |a| {
            a.cancel_request.request.evidence = vec!["photo-1".to_owned()]
        }),
        ("ALREADY_PENDING", |a| a.want(&[(2, 999), (1, 3), (3, 1)])),
        ("UNITS_CLAIMED", |a| a.want(&[(2, 999), (1, 1), (3, 1)])),
        ("QUANTITY_UNAVAILABLE", |a| a.want(&[(4, 1)])),
        ("NOTHING_TO_CANCEL", |a| a.want(&[(2, 101), (1, 1), (3, 1)])),
        ("SHIPPED", |a| a.want(&[(2, 101), (1, 1)])),
        ("LIMIT_REACHED", |a| drop(a.case.order.cancellations.pop())),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}

#[test]
fn an_order_takes_as_many_cancellations_as_its_bound_and_none_more() {
    let mut case = crowded_order();
    assert_eq!(case.order.cancellations.len(), CANCELLATIONS_MAX);
    let limit = Rejection::LimitReached {
        limit: Limit::Cancellations,
        max: CANCELLATIONS_MAX,
    };
    assert_eq!(
        case.cancel(CancellationRequest::lines(&[(2, 1)])),
        Err(limit)
    );
}

#[test]
fn a_stranger_does_not_learn_that_the_order_has_changed() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let cancel_request = CancellationRequest::all().by_support_for(Identity::Username([99; 32]));
    let answer = case.run(
        cancel_request.by,
        Some(77),
        Command::RequestCancellation(cancel_request.request),
    );
    assert_eq!(answer, Err(Rejection::OrderNotFound));
}
