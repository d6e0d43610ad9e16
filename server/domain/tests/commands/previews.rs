//! A preview answers as the command would, and changes nothing.

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::DirectCancellation::{self, Offered, OnRequest, Refused};
use belay_domain::commands::{Preview, PreviewedVerdict, direct_cancellation, preview};
use belay_domain::context::Context;
use belay_domain::error_reason::ErrorReason;
use belay_domain::order::CANCELLATIONS_MAX;
use belay_domain::refund::RefundState::Due;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use belay_domain::shipment::Stage;
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::kit::{
    CancellationRequest, Cart, Case, EXPIRE_AFTER, PLAIN, amounts, consent_when_preparing, gate,
    independent_site, policy_with,
};
use crate::quotes::quoted;

pub(crate) fn previewed(
    case: &Case,
    cancel_request: &CancellationRequest,
) -> Result<Preview, Rejection> {
    let caller = Actor::new(cancel_request.by, "someone");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    preview(&case.order, &cancel_request.request, &context)
}

fn rejections(case: &Case, cancel_request: &CancellationRequest) -> Vec<&'static str> {
    let preview = previewed(case, cancel_request).unwrap_or_else(|refused| panic!("{refused:?}"));
    preview
        .rejections
        .iter()
        .map(|refused| refused.reason().name())
        .collect()
}

/// What the preview says first is what the command fails with; where it says nothing the command is
/// accepted.
#[test]
fn a_preview_says_what_the_command_would() {
    let cart = Cart::of(&[(3, 300), (2, 200), (1, 100)]).split(&[&[(1, 3)], &[(2, 2)], &[(3, 1)]]);
    let mut open = cart.paid_under(consent_when_preparing());
    open.bring_to(1, Stage::Preparing)
        .bring_to(3, Stage::InTransit);
    open.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    let mut closed = Cart::of(&[(1, 100)]).paid();
    closed.cancel(CancellationRequest::all()).unwrap();
    let mut due = Cart::of(&[(1, 100)]).place();
    due.wait(EXPIRE_AFTER);
    let mut full = cart.paid();
    full.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    full.order.cancellations = vec![full.order.cancellations[0].clone(); CANCELLATIONS_MAX];
    let no_reason = |mut cancel_request: CancellationRequest| {
        cancel_request.request.reason = None;
        cancel_request
    };
    let table: &[(&Case, CancellationRequest, &[&str])] = &[
        (&open, CancellationRequest::lines(&[(2, 1)]), &[]),
        (&open, CancellationRequest::lines(&[(1, 1)]), &[]),
        (
            &open,
            CancellationRequest::lines(&[(1, 2)]),
            &["ALREADY_PENDING"],
        ),
        (&open, CancellationRequest::all(), &["UNITS_CLAIMED"]),
        (
            &open,
            CancellationRequest::lines(&[(2, 3)]),
            &["QUANTITY_UNAVAILABLE"],
        ),
        (&open, CancellationRequest::shipment(3), &["SHIPPED"]),
        (
            &open,
            CancellationRequest::lines(&[(2, 1), (3, 1)]),
            &["SHIPPED"],
        ),
        (
            &open,
            CancellationRequest::lines(&[(2, 1), (3, 1)]).leave_out(),
            &[],
        ),
        (
            &open,
            CancellationRequest::shipment(3).leave_out(),
            &["SHIPPED"],
        ),
        (
            &open,
            no_reason(CancellationRequest::shipment(3)),
            &["REASON_REQUIRED", "SHIPPED"],
        ),
        (
            &open,
            CancellationRequest::lines(&[(9, 1)]),
            &["LINE_NOT_FOUND"],
        ),
        (
            &open,
            no_reason(CancellationRequest::shipment(9)),
            &["SHIPMENT_NOT_FOUND"],
        ),
        (&closed, CancellationRequest::all(), &[]),
        (&closed, CancellationRequest::lines(&[(1, 1)]), &[]),
        (&closed, CancellationRequest::shipment(1), &[]),
        (&due, CancellationRequest::all(), &[]),
        (
            &full,
            CancellationRequest::lines(&[(1, 1)]),
            &["LIMIT_REACHED"],
        ),
        (
            &full,
            no_reason(CancellationRequest::lines(&[(1, 1)])),
            &["REASON_REQUIRED", "LIMIT_REACHED"],
        ),
    ];
    for (row, (case, cancel_request, expected)) in table.iter().enumerate() {
        let said = previewed(case, cancel_request).map_or_else(
            |r| vec![r.reason().name()],
            |_| rejections(case, cancel_request),
        );
        assert_eq!(said, *expected, "row {row}");
        let done = (*case).clone().try_cancel(cancel_request.clone());
        assert_eq!(done, expected.first().copied().unwrap_or("OK"), "row {row}");
    }
}

#[test]
fn a_preview_lists_every_path_of_every_portion_and_the_money() {
    let cart = Cart::of(&[(2, 200)])
        .split(&[&[(1, 1)], &[(1, 1)]])
        .shipping(20, 4);
    let mut case = cart.paid_under(independent_site());
    case.bring_to(1, Stage::InTransit);
    let cancel_request = CancellationRequest::all()
        .because("FOUND_BETTER")
        .paths(&[Path::Cancel, Path::Intercept]);
    let preview = previewed(&case, &cancel_request).unwrap();
    let paths: Vec<_> = preview
        .paths
        .iter()
        .map(|path| match &path.verdict {
            PreviewedVerdict::Allowed { gates, refund, .. } => (
                path.shipment,
                path.path,
                gates.len(),
                refund.amounts.total(),
            ),
            PreviewedVerdict::Denied(denied) => {
                (path.shipment, path.path, denied.next_actions.len() + 90, 0)
            }
        })
        .collect();
    let expected = [
        (1, Path::Cancel, 92, 0),
        (1, Path::Intercept, 2, 100),
        (1, Path::RefuseDelivery, 91, 0),
        (1, Path::ReturnUnopened, 91, 0),
        (1, Path::ReturnOpened, 91, 0),
        (2, Path::Cancel, 0, 112),
        (2, Path::Intercept, 91, 0),
        (2, Path::RefuseDelivery, 91, 0),
        (2, Path::ReturnUnopened, 91, 0),
        (2, Path::ReturnOpened, 91, 0),
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        (preview.refund, preview.rejections, preview.policy_version),
        (amounts(200, 2, 10, 0), vec![], 1)
    );
}

#[test]
fn a_preview_of_tomorrow_applies_what_is_due_by_then() {
    let mut case = Cart::of(&[(1, 100)]).paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        rejections(&case, &CancellationRequest::all()),
        ["ALREADY_PENDING"]
    );
    let before = case.order.clone();
    case.wait(SignedDuration::from_hours(48));
    assert_eq!(rejections(&case, &CancellationRequest::all()), [""; 0]);
    assert_eq!(case.order, before);
}

#[test]
fn a_stranger_is_shown_no_preview() {
    let case = Cart::of(&[(1, 100)]).paid();
    let cancel_request =
        CancellationRequest::all().by_support_for(belay_domain::commands::Identity::Email([0; 32]));
    assert_eq!(
        previewed(&case, &cancel_request),
        Err(Rejection::OrderNotFound)
    );
}

#[test]
fn an_order_list_says_whether_the_buyer_may_cancel_now() {
    type Steps = fn(&mut Case) -> &mut Case;
    let table: &[(Steps, DirectCancellation)] = &[
        (|case| case, Offered),
        (|case| case.bring_to(1, Stage::Ready), Offered),
        (|case| case.bring_to(1, Stage::Preparing), OnRequest),
        (
            |case| case.bring_to(1, Stage::InTransit),
            Refused(ErrorReason::Shipped),
        ),
        (
            |case| case.bring_to(1, Stage::Delivered),
            Refused(ErrorReason::Delivered),
        ),
        (
            |case| {
                case.bring_to(1, Stage::Preparing)
                    .cancelled(CancellationRequest::all())
            },
            Refused(ErrorReason::AlreadyPending),
        ),
        (
            |case| case.cancelled(CancellationRequest::all()),
            Refused(ErrorReason::OrderClosed),
        ),
    ];
    for (row, (steps, expected)) in table.iter().enumerate() {
        let mut case = Cart::of(&[(1, 100)]).paid_under(consent_when_preparing());
        steps(&mut case);
        assert_eq!(offer(&case), *expected, "row {row}");
    }
}

#[test]
fn an_order_list_counts_no_reason_where_one_is_required() {
    let rules = "\n  - {id: broken, when: {reason: [BROKEN]}, deny: {code: NOT_ALLOWED}}
  - {id: minds, when: {reason: [CHANGED_MIND]}, deny: {code: REFUND_NOT_OFFERED}}
  - {id: others, when: {path: CANCEL}, allow: {refund: FULL}}";
    let asked = Cart::of(&[(1, 100)]).paid_under(policy_with(rules, &[]));
    assert_eq!(offer(&asked), Refused(ErrorReason::RefundNotOffered));
    let not_asked =
        Cart::of(&[(1, 100)]).paid_under(policy_with(rules, &[("reason_required: [BUYER]\n", "")]));
    assert_eq!(offer(&not_asked), Offered);
}

fn offer(case: &Case) -> DirectCancellation {
    let caller = Actor::new(Role::Storefront, "shop");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    direct_cancellation(&case.order, &context)
}

/// Three units of 100 and shipping of 30, delivered; what goes back is asked for by
/// RETURN_UNOPENED, and the seller bears the way out.
fn delivered(rule: &str) -> Case {
    let terms = "refund: {share: FULL, outbound_shipping: SELLER}";
    let rules = format!("{}{PLAIN}", rule.replace("TERMS", terms));
    let mut case = Cart::of(&[(3, 300)])
        .shipping(30, 0)
        .paid_under(policy_with(&rules, &[]));
    case.bring_to(1, Stage::Delivered);
    case
}

#[test]
fn what_is_left_out_is_not_taken_for_the_last_unit() {
    // Two are home, of too much value to be taken back together, and one is out.
    let mut case = delivered(
        "
  - {id: small, when: {stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED, value: {less_than: 150}},
     allow: {TERMS}}",
    );
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 2)])
        .unwrap();
    let request = CancellationRequest::all()
        .paths(&[Path::ReturnUnopened])
        .leave_out();
    let preview = previewed(&case, &request).unwrap();
    assert_eq!(
        (preview.refund.total(), preview.refund.shipping),
        (100, 0),
        "two stay sold, so the shipping does"
    );
    let known = case.order.cancellations.len();
    let number = case.cancel(quoted(&case, request)).unwrap();
    assert_eq!(case.order.cancellations.len(), known + 1);
    assert_eq!(case.promise(number).refund, preview.refund);
    assert_eq!(case.refunds(), [(1, 100, Due)]);
}

#[test]
fn a_part_that_ends_leaves_others_what_they_will_give_back() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let consent = gate("SELLER_CONSENT", "REFUSE", "BAR");
    let rule = format!(
        "
  - {{id: back, when: {{stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED}},
     allow: {{gates: [{receipt}, {consent}], TERMS}}}}"
    );
    let asked = || {
        let mut case = delivered(&rule);
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
        let request = CancellationRequest::all().paths(&[Path::ReturnUnopened]);
        let number = case.cancel(quoted(&case, request)).unwrap();
        assert_eq!(case.promise(number).refund, amounts(300, 0, 30, 0));
        (case, number)
    };
    let home = |case: &mut Case| {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 2)])
            .unwrap();
    };
    // One is refused, so the others are not the last.
    let (mut case, number) = asked();
    case.reject(Role::Seller, number).unwrap();
    assert_eq!(case.promise(number).refund, amounts(200, 0, 0, 0));
    home(&mut case);
    case.approve(Role::Seller, number).unwrap();
    assert_eq!(case.refunds(), [(1, 200, Due)]);

    // What comes later takes the last unit, whichever it is.
    let (mut case, number) = asked();
    case.approve(Role::Seller, number).unwrap();
    assert_eq!(case.promise(number).refund, amounts(300, 0, 30, 0));
    home(&mut case);
    case.approve(Role::Seller, number).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due), (1, 230, Due)]);

    // Those that are out come home in two parcels.
    let (mut case, number) = asked();
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    assert_eq!(case.promise(number).refund, amounts(300, 0, 30, 0));
    case.approve(Role::Seller, number).unwrap();
    assert_eq!(case.promise(number).refund, amounts(300, 0, 30, 0));
}
