//! Parcels that have left: a carrier turns them round, loses them, or brings them home by itself.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationState, GateState, PARCEL_RETURNED, PartState};
use belay_domain::context::CarrierProfile;
use belay_domain::error_reason::ErrorReason;
use belay_domain::incident::IncidentKind::{self, CancelledYetShipped, LateFact};
use belay_domain::refund::RefundState::{Blocked, Due};
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_domain::terms::{Effect, GateKind, GoodsCondition, NextAction, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, PLAIN, gate, policy};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

fn intercept(on_timeout: &str) -> String {
    gate("CARRIER_INTERCEPT", on_timeout, "BAR")
}

fn receipt(on_timeout: &str) -> String {
    gate("PARCEL_RECEIPT", on_timeout, "BAR")
}

/// One that passes, or goes to support, where the parcel is lost.
fn lost(kind: &str, on_lost: &str) -> String {
    let escalate_within = if on_lost == "ESCALATE" {
        ", escalate_within: 48h"
    } else {
        ""
    };
    format!("{{kind: {kind}, on_lost: {on_lost}{escalate_within}}}")
}

/// Two units are on their way.
fn sent(gates: &[&str]) -> Case {
    let mut case = Cart::of(&[(2, 200)])
        .shipping(10, 0)
        .paid_under(outside(gates));
    case.bring_to(1, Stage::InTransit);
    case
}

fn sent_and_requested(gates: &[&str]) -> Case {
    let mut case = sent(gates);
    case.cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    case
}

fn intercept_of(case: &Case) -> Option<InterceptState> {
    case.shipment(1).intercept.map(|intercept| intercept.state)
}

#[test]
fn a_carrier_that_confirms_brings_the_parcel_back() {
    let mut case = sent_and_requested(&[&intercept("REFUSE"), &receipt("REFUSE")]);
    assert_eq!(intercept_of(&case), Some(InterceptState::Requested));
    case.confirm_intercept(1).unwrap();
    assert_eq!(
        (intercept_of(&case), case.refunds()),
        (Some(InterceptState::Confirmed), vec![])
    );
    assert_eq!(
        case.withdraw(Role::Storefront, 1).unwrap_err().reason(),
        ErrorReason::TooLateToWithdraw
    );
    case.scan(1, TrackingFact::Returning).unwrap();
    assert_eq!(intercept_of(&case), Some(InterceptState::Returning));
    case.receive(1, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (intercept_of(&case), case.stage(1)),
        (Some(InterceptState::Received), Stage::Returned)
    );
    // The way out is spent.
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Cancelled, "")], vec![(1, 200, Due)])
    );
    assert_eq!(
        (
            case.part(1, 0).deductions.outbound_shipping,
            case.incidents()
        ),
        (10, vec![])
    );
}

#[test]
fn a_carrier_that_cannot_ends_the_part_and_the_policy_says_what_is_left() {
    let rules = "
  - {id: turn, when: {stage: IN_TRANSIT, path: [INTERCEPT, REFUSE_DELIVERY], carrier: {in_transit_cancel: true}},
     allow: {gates: [GATE], refund: FULL}}
  - {id: cannot, when: {stage: IN_TRANSIT, path: [INTERCEPT, REFUSE_DELIVERY]}, deny: {code: NOT_INTERCEPTABLE, next_actions: [RETURN_UNOPENED]}}";
    let rules = rules.replace("GATE", &intercept("REFUSE"));
    for (path, reason) in [
        (Path::Intercept, "NOT_INTERCEPTABLE"),
        (Path::RefuseDelivery, "CARRIER_REFUSED"),
    ] {
        let mut case = Cart::of(&[(1, 100)]).paid_under(policy(&format!("{rules}{PLAIN}")));
        case.bring_to(1, Stage::InTransit)
            .cancel(CancellationRequest::all().paths(&[path]))
            .unwrap();
        case.cannot_intercept(1).unwrap();
        assert_eq!(
            (case.parts(1), intercept_of(&case)),
            (
                vec![(PartState::Refused, reason)],
                Some(InterceptState::Failed)
            )
        );
        assert_eq!(case.part(1, 0).next_actions, [NextAction::ReturnUnopened]);
    }
}

#[test]
fn a_confirmation_that_comes_too_late_is_recorded_and_for_support() {
    let mut case = sent_and_requested(&[&intercept("REFUSE")]);
    case.wait(HOURS_48).settle();
    assert_eq!(
        (case.parts(1), intercept_of(&case)),
        (
            vec![(PartState::Refused, "GATE_TIMED_OUT")],
            Some(InterceptState::Failed)
        )
    );
    case.confirm_intercept(1).unwrap();
    assert_eq!(
        (case.incidents(), intercept_of(&case)),
        (vec![LateFact], Some(InterceptState::Confirmed))
    );
    let before = case.order.clone();
    case.confirm_intercept(1).unwrap();
    assert_eq!(case.order, before);
}

#[test]
fn a_second_request_for_a_parcel_that_comes_back_need_not_ask_the_carrier_again() {
    let mut case = sent(&[&intercept("REFUSE")]);
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::Intercept]))
        .unwrap();
    case.confirm_intercept(1).unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    assert_eq!(
        (case.parts(2), case.gates(2, 0)),
        (vec![(PartState::Cancelled, "")], vec![GateState::Passed])
    );
}

#[test]
fn what_is_home_of_a_parcel_does_not_say_that_the_carrier_brings_the_rest() {
    let mut case = sent_and_requested(&[&intercept("REFUSE")]);
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    let home = (PartState::Cancelled, "");
    assert_eq!(
        (case.parts(1), intercept_of(&case)),
        (
            vec![home, (PartState::Waiting, "")],
            Some(InterceptState::Requested)
        )
    );
    case.cannot_intercept(1).unwrap();
    assert_eq!(
        (case.parts(1), intercept_of(&case)),
        (
            vec![home, (PartState::Refused, "NOT_INTERCEPTABLE")],
            Some(InterceptState::Failed)
        )
    );
    case.cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    assert_eq!(
        (case.parts(2), intercept_of(&case)),
        (
            vec![(PartState::Waiting, "")],
            Some(InterceptState::Requested)
        )
    );
    assert_eq!(case.refunds(), [(1, 100, Due)]);
    case.confirm_intercept(1).unwrap();
    assert_eq!(
        (case.parts(2), intercept_of(&case)),
        (vec![home], Some(InterceptState::Confirmed))
    );
}

/// One of two came home by itself, and the seller is asked about it.
#[test]
fn what_is_home_asks_no_carrier() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "BAR");
    let mut case = sent(&[&consent, &intercept("REFUSE")]);
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        (case.parts(1), intercept_of(&case)),
        (vec![(PartState::Cancelled, "")], None)
    );
}

#[test]
fn what_was_to_come_back_and_arrives_is_a_contradiction() {
    let mut case = sent_and_requested(&[&intercept("REFUSE")]);
    case.confirm_intercept(1).unwrap();
    assert_eq!(case.refunds(), [(1, 200, Due)]);
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 200, Blocked)])
    );
}

#[test]
fn one_unit_that_was_to_come_back_and_arrives_is_a_contradiction_too() {
    let mut case = sent(&[&intercept("REFUSE")]);
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::Intercept]))
        .unwrap();
    case.confirm_intercept(1).unwrap();
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 100, Blocked)])
    );
}

#[test]
fn what_a_policy_gave_away_on_its_way_may_arrive() {
    let anywhere = "\n  - {id: anywhere, when: {path: CANCEL}, allow: {refund: FULL}}";
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy(anywhere));
    case.bring_to(1, Stage::InTransit)
        .cancel(CancellationRequest::all())
        .unwrap();
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![], vec![(1, 100, Due)])
    );
}

/// How goods come back, and whether they are sold again.
#[test]
fn goods_go_back_on_sale_only_as_they_were_sent() {
    let table = [
        (
            Path::ReturnUnopened,
            GoodsCondition::Unopened,
            vec![Effect::Restock],
        ),
        (Path::ReturnUnopened, GoodsCondition::Opened, vec![]),
        (Path::ReturnUnopened, GoodsCondition::Damaged, vec![]),
        (Path::ReturnOpened, GoodsCondition::Unopened, vec![]),
        (
            Path::RefuseDelivery,
            GoodsCondition::Unopened,
            vec![Effect::Restock],
        ),
    ];
    for (path, condition, effects) in table {
        let mut case = sent(&[&receipt("REFUSE")]);
        case.bring_to(1, Stage::Delivered)
            .cancel(CancellationRequest::all().paths(&[path]))
            .unwrap();
        case.receive(1, condition).unwrap();
        assert_eq!(case.part(1, 0).effects, effects, "{path} {condition}");
        assert_eq!(case.part(1, 0).receipt.unwrap().condition, condition);
    }
}

#[test]
fn what_comes_back_in_part_is_cancelled_in_part_and_the_rest_goes_on_waiting() {
    let mut case = sent(&[&receipt("REFUSE")]);
    case.bring_to(1, Stage::Delivered)
        .cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Cancelled, ""), (PartState::Waiting, "")]
    );
    assert_eq!(
        (case.stage(1), case.refunds()),
        (Stage::Delivered, vec![(1, 100, Due)])
    );
    case.receive_some(1, GoodsCondition::Damaged, &[(1, 1)])
        .unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Cancelled, ""), (PartState::Cancelled, "")]
    );
    assert_eq!(
        (case.stage(1), case.refunds()),
        (Stage::Returned, vec![(1, 100, Due), (1, 100, Due)])
    );
    assert_eq!(case.part(1, 0).effects, [Effect::Restock]);
    assert_eq!(case.part(1, 1).effects, []);
}

#[test]
fn the_same_parcel_again_writes_nothing() {
    let mut case = sent_and_requested(&[&receipt("REFUSE")]);
    case.receive(1, GoodsCondition::Unopened).unwrap();
    let before = case.order.clone();
    case.wait(HOURS_48 / 96)
        .receive(1, GoodsCondition::Damaged)
        .unwrap();
    assert_eq!(case.order, before);
}

#[test]
fn a_parcel_that_comes_home_by_itself_is_cancelled_by_its_carrier() {
    for fact in [TrackingFact::Returning, TrackingFact::Returned] {
        let mut case = sent(&[&receipt("REFUSE")]);
        case.scan(1, fact).unwrap();
        let opened = case.cancellation(1);
        assert_eq!(
            (opened.requester.role, opened.reason.as_deref()),
            (Role::Carrier, Some(PARCEL_RETURNED))
        );
        assert_eq!(
            (opened.parts[0].path, opened.state()),
            (Path::RefuseDelivery, CancellationState::Pending)
        );
        assert_eq!(
            opened.parts[0].open_gate().unwrap().spec.kind,
            GateKind::ParcelReceipt
        );
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(
            (case.parts(1), case.refunds()),
            (vec![(PartState::Cancelled, "")], vec![(1, 200, Due)])
        );
        assert_eq!(
            (
                case.stage(1),
                case.order.cancellations.len(),
                case.incidents()
            ),
            (Stage::Returned, 1, vec![])
        );
    }
}

#[test]
fn a_parcel_that_is_simply_there_is_cancelled_in_the_same_breath() {
    let mut case = sent(&[&receipt("REFUSE")]);
    case.receive(1, GoodsCondition::Opened).unwrap();
    assert_eq!(
        (case.parts(1), case.stage(1)),
        (vec![(PartState::Cancelled, "")], Stage::Returned)
    );
    assert_eq!(
        case.part(1, 0).receipt.unwrap().condition,
        GoodsCondition::Opened
    );
}

#[test]
fn what_comes_home_of_a_parcel_is_cancelled_and_what_the_buyer_keeps_is_not() {
    let mut case = sent(&[&receipt("REFUSE")]);
    case.bring_to(1, Stage::Delivered);
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    assert_eq!(
        (case.parts(1), case.part(1, 0).units.count()),
        (vec![(PartState::Cancelled, "")], 1)
    );
    assert_eq!(
        (case.stage(1), case.refunds()),
        (Stage::Delivered, vec![(1, 100, Due)])
    );
}

#[test]
fn a_policy_without_a_rule_for_what_comes_home_leaves_it_to_people_and_says_so_once() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.bring_to(1, Stage::InTransit)
        .scan(1, TrackingFact::Returning)
        .unwrap();
    case.scan(1, TrackingFact::Returned).unwrap();
    case.receive(1, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Refused, "NOT_ALLOWED")], vec![])
    );
    assert_eq!(
        (case.order.cancellations.len(), case.stage(1)),
        (1, Stage::Returned)
    );
}

#[test]
fn a_loss_passes_the_gates_that_say_so() {
    for kind in ["CARRIER_INTERCEPT", "PARCEL_RECEIPT", "LOSS_CONFIRMATION"] {
        let mut case = sent_and_requested(&[&lost(kind, "PASS")]);
        case.scan(1, TrackingFact::Lost).unwrap();
        assert_eq!(
            (case.parts(1), case.gates(1, 0)),
            (vec![(PartState::Cancelled, "")], vec![GateState::Passed]),
            "{kind}"
        );
        assert_eq!(
            (case.refunds(), case.part(1, 0).effects.is_empty()),
            (vec![(1, 200, Due)], true)
        );
    }
}

#[test]
fn a_loss_is_for_support_where_one_gate_says_so() {
    let gates = [
        lost("CARRIER_INTERCEPT", "PASS"),
        lost("PARCEL_RECEIPT", "ESCALATE"),
    ];
    let mut case = sent_and_requested(&[&gates[0], &gates[1]]);
    case.scan(1, TrackingFact::Lost).unwrap();
    assert_eq!(
        case.gates(1, 0),
        [GateState::Closed, GateState::Closed, GateState::Open]
    );
    assert_eq!(
        case.part(1, 0).open_gate().unwrap().spec.kind,
        GateKind::SupportReview
    );
    case.approve(Role::Support, 1).unwrap();
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Cancelled, "")], vec![(1, 200, Due)])
    );
}

#[test]
fn a_loss_confirmation_waits_until_the_carrier_reports_a_loss() {
    let mut case = sent_and_requested(&[&lost("LOSS_CONFIRMATION", "PASS")]);
    case.wait(HOURS_48).settle();
    assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
    case.scan(1, TrackingFact::Lost).unwrap();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
}

#[test]
fn what_is_lost_already_passes_when_it_is_asked_for() {
    let mut case = sent(&[&lost("LOSS_CONFIRMATION", "PASS")]);
    case.scan(1, TrackingFact::Lost).unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
}

#[test]
fn what_was_lost_and_arrives_after_all_is_a_contradiction() {
    let mut case = sent_and_requested(&[&lost("LOSS_CONFIRMATION", "PASS")]);
    case.scan(1, TrackingFact::Lost).unwrap();
    case.scan(1, TrackingFact::InTransit).unwrap();
    assert_eq!(
        case.incidents(),
        Vec::<IncidentKind>::new(),
        "it may still come home"
    );
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 200, Blocked)])
    );
}

#[test]
fn what_was_lost_and_comes_home_contradicts_nothing() {
    let mut case = sent_and_requested(&[&lost("LOSS_CONFIRMATION", "PASS")]);
    case.scan(1, TrackingFact::Lost).unwrap();
    case.receive(1, GoodsCondition::Unopened).unwrap();
    assert_eq!((case.stage(1), case.incidents()), (Stage::Returned, vec![]));
    assert!(case.part(1, 0).receipt.is_some());
}

#[test]
fn what_its_carrier_gave_up_on_and_delivers_after_all_is_a_contradiction() {
    let mut case = sent(&[]);
    case.scan(1, TrackingFact::Returning).unwrap();
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Cancelled, "")], vec![(1, 200, Due)])
    );
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 200, Blocked)])
    );
}

#[test]
fn a_whole_order_ends_differently_where_its_shipments_stand() {
    let stop = gate("WAREHOUSE_STOP", "REFUSE", "BAR");
    let rules = format!(
        "
  - {{id: packed, when: {{stage: READY, path: CANCEL}}, allow: {{gates: [{stop}], refund: FULL}}}}
  - {{id: sent, when: {{stage: [IN_TRANSIT, RETURNING, RETURNED], path: INTERCEPT}},
      allow: {{gates: [{}, {}], refund: FULL}}}}{PLAIN}",
        intercept("REFUSE"),
        receipt("REFUSE")
    );
    let cart = Cart::of(&[(3, 300)]).split(&[&[(1, 1)], &[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(policy(&rules));
    case.bring_to(2, Stage::Ready).bring_to(3, Stage::InTransit);
    case.cancel(CancellationRequest::all().paths(&[Path::Cancel, Path::Intercept]))
        .unwrap();
    let waits = (PartState::Waiting, "");
    assert_eq!(case.parts(1), [(PartState::Cancelled, ""), waits, waits]);
    assert_eq!(
        case.refunds(),
        [(1, 100, Due)],
        "what is cancelled is paid back at once"
    );
    case.cannot_stop(2).unwrap();
    case.dispatch(2).unwrap();
    case.confirm_intercept(3).unwrap();
    case.receive(3, GoodsCondition::Unopened).unwrap();
    let cancelled = (PartState::Cancelled, "");
    assert_eq!(
        case.parts(1),
        [
            cancelled,
            (PartState::Refused, "WAREHOUSE_CANNOT_STOP"),
            cancelled
        ]
    );
    assert_eq!(
        case.stages(),
        [Stage::Cancelled, Stage::InTransit, Stage::Returned]
    );
    assert_eq!(case.refunds(), [(1, 100, Due), (1, 100, Due)]);
}

/// What the carrier can is asked of it for whatever was cancelled and is scanned out.
#[test]
fn a_cancelled_parcel_that_left_is_turned_round_where_its_carrier_can() {
    for (able, intercept) in [(true, Some(InterceptState::Requested)), (false, None)] {
        let mut case = Cart::of(&[(1, 100)]).paid();
        let carriers = case.store.carriers.values_mut();
        carriers.for_each(|carrier| {
            *carrier = CarrierProfile {
                in_transit_cancel: able,
                ..CarrierProfile::default()
            }
        });
        case.bring_to(1, Stage::Cancelled)
            .scan(1, TrackingFact::PickedUp)
            .unwrap();
        assert_eq!(
            (intercept_of(&case), case.incidents()),
            (intercept, vec![CancelledYetShipped])
        );
    }
}
