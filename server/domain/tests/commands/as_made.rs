//! What is evaluated again is the request as it was made: what has become of the payment since, of
//! the carrier's abilities or of a part of the goods is not its requester's doing.

use belay_domain::actor::Role;
use belay_domain::cancellation::PartState;
use belay_domain::context::CarrierProfile;
use belay_domain::order::OrderState;
use belay_domain::payment::PaymentFact::{Authorized, Captured, Voided};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, PLAIN, gate, gated, independent_site, policy, policy_with,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const WAITS: [(PartState, &str); 1] = [(PartState::Waiting, "")];

#[test]
fn what_left_during_a_lapse_is_refused_as_what_left_before_it() {
    for lapses in [false, true] {
        let consent = gate("SELLER_CONSENT", "PASS", "BAR");
        let mut case = Cart::of(&[(1, 60), (1, 40)])
            .split(&[&[(1, 1)], &[(2, 1)]])
            .place_under(gated("PREPARING", &[&consent]));
        case.capture("p1", 60)
            .authorize("p2", 40)
            .bring_to(1, Stage::Preparing)
            .cancelled(CancellationRequest::shipment(1));
        case.wait(HOUR);
        if lapses {
            case.fact("p2", Voided, 0).unwrap();
            assert_eq!(case.state(), OrderState::AwaitingPayment);
        }
        assert_eq!(case.parts(1), WAITS);
        case.scan(1, TrackingFact::PickedUp).unwrap();
        assert_eq!(case.parts(1), [(PartState::Refused, "SHIPPED")]);
        case.scan(1, TrackingFact::Delivered).unwrap();
        assert!(case.approve(Role::Seller, 1).is_err());
        assert_eq!(case.refunds(), []);
    }
}

#[test]
fn what_a_rule_wants_of_the_payment_is_had_while_it_is_lapsed() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    for wants in [
        "paid: true",
        "payment_method: CREDIT_CARD",
        "age: {clock: PAID, less_than: 12h}",
    ] {
        let policy = policy(&format!(
            "
  - {{id: asked, when: {{stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED, {wants}}},
     allow: {{gates: [{receipt}], refund: FULL}}}}{PLAIN}"
        ));
        let mut case = Cart::of(&[(1, 60), (1, 40)])
            .split(&[&[(1, 1)], &[(2, 1)]])
            .place_under(policy);
        case.told(Captured, 60, |fact| fact.method = Some("PAYPAL".to_owned()))
            .unwrap();
        case.authorize("p2", 40)
            .bring_to(1, Stage::Delivered)
            .cancelled(CancellationRequest::shipment(1).paths(&[Path::ReturnUnopened]));
        case.wait(HOUR).fact("p2", Voided, 0).unwrap();
        assert_eq!(case.state(), OrderState::AwaitingPayment);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(case.parts(1), [(PartState::Cancelled, "")], "{wants}");
    }
}

/// A lapse takes a shipment back to where the policy may say something else.
#[test]
fn what_has_not_left_keeps_its_answer_while_a_payment_is_lapsed() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(1, 100)]).place_under(policy(&format!(
        "
  - {{id: asked, when: {{stage: PREPARING, path: CANCEL}}, allow: {{gates: [{consent}], refund: FULL}}}}
  - {{id: other, when: {{stage: UNRELEASED, path: CANCEL}}, deny: {{code: NOT_ALLOWED}}}}"
    )));
    case.authorize("p1", 100)
        .bring_to(1, Stage::Preparing)
        .cancelled(CancellationRequest::all());
    case.wait(HOUR).fact("p1", Voided, 0).unwrap();
    assert_eq!(case.stage(1), Stage::Unreleased);
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
}

/// Another payment than the one that a request found is verified for later requests.
#[test]
fn a_payment_that_came_after_a_request_is_not_verified_for_it() {
    let consent = "{kind: SELLER_CONSENT, respond_within: 7d, on_timeout: REFUSE, \
                   on_dispatch: REFUSE_PART}";
    let gated = format!(
        "\n  - {{id: gated, when: {{stage: [UNRELEASED, PLANNED], path: CANCEL}}, \
         allow: {{gates: [{consent}], refund: FULL}}}}{PLAIN}"
    );
    let verified = "reason_required: [BUYER]\nverification: {methods: [CREDIT_CARD], wait: 24h}";
    let policy = || policy_with(&gated, &[("reason_required: [BUYER]", verified)]);
    let by_paypal = |case: &mut Case| {
        case.told(Authorized, 100, |fact| {
            fact.method = Some("PAYPAL".to_owned())
        })
        .unwrap();
    };
    for lapses in [true, false] {
        let mut case = Cart::of(&[(1, 100)]).place_under(policy());
        if lapses {
            by_paypal(&mut case);
        }
        case.cancelled(CancellationRequest::all());
        case.wait(HOUR);
        if lapses {
            case.fact("p1", Voided, 0).unwrap();
            case.wait(HOUR);
        }
        case.capture("p2", 100);
        assert_eq!(case.parts(1), WAITS);
        case.approve(Role::Seller, 1).unwrap();
        assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
    }
    // One that it found is.
    let mut case = Cart::of(&[(1, 100)]).place_under(policy());
    case.capture("p1", 100);
    assert_eq!(
        case.try_cancel(CancellationRequest::all()),
        "PAYMENT_VERIFYING"
    );
}

fn change_carrier(case: &mut Case, change: impl Fn(&mut CarrierProfile)) {
    case.store.carriers.values_mut().for_each(change);
}

#[test]
fn a_carrier_that_turned_a_parcel_round_could_whatever_is_known_of_it_since() {
    let unwanted = || {
        CancellationRequest::all()
            .paths(&[Path::Intercept])
            .because("NO_LONGER_WANTED")
    };
    for confirmed_first in [true, false] {
        let mut case = Cart::of(&[(1, 100)]).paid_under(independent_site());
        case.bring_to(1, Stage::InTransit).cancelled(unwanted());
        if confirmed_first {
            case.confirm_intercept(1).unwrap();
        }
        change_carrier(&mut case, |carrier| carrier.in_transit_cancel = false);
        if !confirmed_first {
            case.confirm_intercept(1).unwrap();
        }
        assert_eq!(case.parts(1), WAITS);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
        let mut later = Cart::of(&[(1, 100)]).place_in(case.store.clone());
        later.capture("p1", 100).bring_to(1, Stage::InTransit);
        assert_eq!(later.try_cancel(unwanted()), "NOT_INTERCEPTABLE");
    }
}

#[test]
fn whose_delivery_it_was_when_it_was_asked_stays() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    for is_partner in [true, false] {
        let mut case = Cart::of(&[(1, 100)]).paid_under(policy(&format!(
            "
  - {{id: back, when: {{stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED,
     carrier: {{partner_delivery: {is_partner}}}}}, allow: {{gates: [{receipt}], refund: FULL}}}}{PLAIN}"
        )));
        change_carrier(&mut case, |carrier| carrier.partner_delivery = is_partner);
        case.bring_to(1, Stage::Delivered)
            .cancelled(CancellationRequest::all().paths(&[Path::ReturnUnopened]));
        change_carrier(&mut case, |carrier| carrier.partner_delivery = !is_partner);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
    }
}

/// Two units of 40.00 each, and a rule for what is worth at least 50.00.
fn dear(stages: &str, path: &str, gates: &[&str]) -> Case {
    let gates = gates.join(", ");
    Cart::of(&[(2, 8000)]).paid_under(policy(&format!(
        "
  - {{id: dear, when: {{stage: [{stages}], path: {path}, value: {{at_least: 5000}}}},
     allow: {{gates: [{gates}], refund: FULL}}}}
  - {{id: cheap, when: {{path: {path}}}, deny: {{code: NOT_ALLOWED}}}}"
    )))
}

#[test]
fn what_comes_home_in_two_parcels_is_worth_what_was_asked_back() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = dear("DELIVERED, RETURNED", "RETURN_UNOPENED", &[&receipt]);
    case.bring_to(1, Stage::Delivered)
        .cancelled(CancellationRequest::all().paths(&[Path::ReturnUnopened]));
    for _ in 0..2 {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
    }
    assert_eq!(case.parts(1), [(PartState::Cancelled, ""); 2]);
}

#[test]
fn what_is_stopped_in_part_is_worth_what_was_asked() {
    let stop = gate("WAREHOUSE_STOP", "REFUSE", "BAR");
    let mut case = dear("PREPARING", "CANCEL", &[&stop]);
    case.bring_to(1, Stage::Preparing)
        .cancelled(CancellationRequest::all());
    case.stop_some(1, &[(1, 1)]).unwrap();
    let refused = (PartState::Refused, "WAREHOUSE_CANNOT_STOP");
    assert_eq!(case.parts(1), [(PartState::Cancelled, ""), refused]);
}

/// What was home when it was asked for is asked about by itself.
#[test]
fn what_was_home_is_worth_no_more_than_when_it_was_asked() {
    let gates = [
        gate("PARCEL_RECEIPT", "REFUSE", "BAR"),
        gate("SELLER_CONSENT", "REFUSE", "BAR"),
    ];
    let mut case = Cart::of(&[(2, 8000)]).paid_under(policy(&format!(
        "
  - {{id: back, when: {{stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED, value: {{less_than: 5000}}}},
     allow: {{gates: [{}], refund: FULL}}}}{PLAIN}",
        gates.join(", ")
    )));
    case.bring_to(1, Stage::Delivered);
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.wait(HOUR)
        .cancelled(CancellationRequest::all().paths(&[Path::ReturnUnopened]));
    let asked = case.order.cancellations.len();
    let asked = u32::try_from(asked).unwrap();
    case.wait(HOUR)
        .receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.approve(Role::Seller, asked).unwrap();
    assert_eq!(case.parts(asked), [(PartState::Cancelled, ""); 2]);
}
