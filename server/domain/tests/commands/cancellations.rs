//! Which units a request takes, what comes back for them, and what stands in its way.

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{CancellationOutcome, CancellationState, Part, PartState};
use belay_domain::commands::{Command, Identity, Matching};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::ids::{Sku, WarehouseId};
use belay_domain::money::Amounts;
use belay_domain::order::OrderState;
use belay_domain::refund::RefundState::Due;
use belay_domain::rejection::{Denial, Rejection};
use belay_domain::shipment::Stage;
use belay_domain::terms::{DenyCode, Effect, Fault, Path};
use belay_domain::units::LineQuantity;
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, EMAIL_HASH, EXPIRE_AFTER, PLAIN, USERNAME_HASH, amounts,
    consent_when_preparing, gate, gated, independent_site, indexes, policy, policy_with, store,
};

/// `(line, quantity)` each.
type Lines = Vec<(u32, u32)>;

/// What stands against a request, as `(shipment, code)`, and what would be accepted instead.
fn acceptable(rejection: Rejection) -> (Vec<(u32, DenyCode)>, Lines) {
    let Rejection::Ineligible {
        violations,
        acceptable,
    } = rejection
    else {
        panic!("{rejection:?}")
    };
    let violation = |violation: &Denial| (violation.shipment, violation.code);
    let quantity = |quantity: &LineQuantity| (quantity.line, quantity.quantity);
    (
        violations.iter().map(violation).collect(),
        acceptable.iter().map(quantity).collect(),
    )
}

#[test]
fn a_request_takes_the_whole_order_lines_quantities_or_one_shipment() {
    let cart = Cart::of(&[(3, 300), (2, 80)]).split(&[&[(1, 2), (2, 1)], &[(1, 1), (2, 1)]]);
    type Row = (
        CancellationRequest,
        &'static [(u32, &'static [u32], &'static [u32])],
        i64,
        OrderState,
    );
    // A row's parts: shipment, indexes of line 1, indexes of line 2.
    let table: &[Row] = &[
        (
            CancellationRequest::all(),
            &[(1, &[0, 1], &[0]), (2, &[2], &[1])],
            380,
            OrderState::Cancelled,
        ),
        (
            CancellationRequest::lines(&[(2, 2)]),
            &[(1, &[], &[0]), (2, &[], &[1])],
            80,
            OrderState::ToShip,
        ),
        (
            CancellationRequest::lines(&[(1, 3), (2, 2)]),
            &[(1, &[0, 1], &[0]), (2, &[2], &[1])],
            380,
            OrderState::Cancelled,
        ),
        (
            CancellationRequest::lines(&[(1, 1)]),
            &[(1, &[1], &[])],
            100,
            OrderState::ToShip,
        ),
        (
            CancellationRequest::lines(&[(1, 2), (2, 1)]),
            &[(1, &[0, 1], &[0])],
            240,
            OrderState::ToShip,
        ),
        (
            CancellationRequest::shipment(2),
            &[(2, &[2], &[1])],
            140,
            OrderState::ToShip,
        ),
    ];
    for (cancel_request, parts, money, state) in table {
        let mut case = cart.paid();
        let number = case.cancel(cancel_request.clone()).unwrap();
        let cancellation = case.cancellation(number);
        let found = cancellation
            .parts
            .iter()
            .map(|p| (p.shipment, indexes(&p.units, 1), indexes(&p.units, 2)));
        let expected = parts
            .iter()
            .map(|(shipment, first, second)| (*shipment, first.to_vec(), second.to_vec()));
        assert!(
            found.eq(expected),
            "{cancel_request:?}: {:?}",
            cancellation.parts
        );
        assert_eq!(
            (case.refunds(), case.state()),
            (vec![(1, *money, Due)], *state),
            "{cancel_request:?}"
        );
        assert_eq!(cancellation.outcome(), Some(CancellationOutcome::Full));
        assert_eq!(
            (cancellation.close_time, cancellation.state()),
            (Some(case.now), CancellationState::Completed)
        );
    }
}

#[test]
fn a_request_to_many_orders_takes_the_units_of_a_sku_in_a_warehouse() {
    let mut cart = Cart::of(&[(3, 300), (2, 80)]).split(&[&[(1, 2), (2, 1)], &[(1, 1), (2, 1)]]);
    cart.0.lines[1].sku = Sku::parse("SKU-2").unwrap();
    let east = WarehouseId::parse("east").unwrap();
    cart.0.shipments[1].warehouse = Some(east.clone());
    let mut store = store(policy(PLAIN));
    let main = store.warehouses.values().next().unwrap().clone();
    store.warehouses.insert(east, main);
    let paid = || {
        let mut case = cart.place_in(store.clone());
        case.capture("pay-1", 380);
        case
    };
    type Row = (
        Option<&'static str>,
        Option<&'static str>,
        &'static [(u32, u32)],
    );
    // A row's units by shipment: of line 1, of line 2.
    let table: &[Row] = &[
        (None, None, &[(2, 1), (1, 1)]),
        (Some("SKU-1"), None, &[(2, 0), (1, 0)]),
        (Some("SKU-2"), Some("east"), &[(0, 0), (0, 1)]),
        (None, Some("main"), &[(2, 1), (0, 0)]),
    ];
    for (sku, warehouse, expected) in table {
        let matching = || {
            CancellationRequest::matching(Matching {
                sku: sku.map(|sku| Sku::parse(sku).unwrap()),
                warehouse: warehouse.map(|id| WarehouseId::parse(id).unwrap()),
            })
        };
        let mut case = paid();
        let number = case.cancel(matching()).unwrap();
        let parts = &case.cancellation(number).parts;
        let found = (1..=2).map(|shipment| {
            let of = |part: &&Part| part.shipment == shipment;
            let units = parts.iter().find(of).map(|part| part.units.clone());
            let units = units.unwrap_or_default();
            (units.count_of(1), units.count_of(2))
        });
        assert!(
            found.eq(expected.iter().copied()),
            "{sku:?} {warehouse:?}: {parts:?}"
        );
        // What is gone is not asked for again.
        match case.order.closing_cancellation() {
            Some(_) => assert_eq!(case.cancel(matching()), Ok(number)),
            None => assert_eq!(case.try_cancel(matching()), "NOTHING_TO_CANCEL"),
        }
    }
    let nothing = Matching {
        sku: Some(Sku::parse("SKU-9").unwrap()),
        warehouse: None,
    };
    let nothing = CancellationRequest::matching(nothing);
    assert_eq!(paid().try_cancel(nothing), "NOTHING_TO_CANCEL");
}

#[test]
fn a_shipment_that_loses_its_last_unit_is_cancelled_and_others_go_on() {
    let mut case = Cart::of(&[(3, 300)]).split(&[&[(1, 2)], &[(1, 1)]]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(case.stages(), [Stage::Planned, Stage::Planned]);
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    assert_eq!(case.stages(), [Stage::Cancelled, Stage::Planned]);
    assert!(case.dispatch(2).is_ok());
}

#[test]
fn a_cancellation_remembers_who_requested_it_why_and_under_which_rule() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let cancel_request =
        CancellationRequest::all().by_support_for(Identity::Username(USERNAME_HASH));
    case.cancel(cancel_request).unwrap();
    let cancellation = case.cancellation(1);
    assert_eq!(cancellation.requester, Actor::new(Role::Buyer, "buyer-1"));
    assert_eq!(
        cancellation.submitted_by,
        Actor::new(Role::Support, "someone")
    );
    assert_eq!(
        (
            cancellation.reason.as_deref(),
            cancellation.fault,
            cancellation.counted
        ),
        (Some("CHANGED_MIND"), Fault::Buyer, false)
    );
    assert_eq!(
        (&*cancellation.effects, cancellation.policy_version),
        ([Effect::Restock].as_slice(), 1)
    );
    assert_eq!(cancellation.parts[0].rule.as_deref(), Some("inside"));
    for event in &case.last.events {
        assert_eq!(
            (event.actor.role, event.rule.as_deref()),
            (Role::Support, Some("inside")),
            "{event:?}"
        );
        assert_eq!(event.on_behalf_of, Some(Actor::new(Role::Buyer, "buyer-1")));
    }
}

#[test]
fn the_events_of_a_cancellation_tell_it_from_the_request_to_the_money() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    let expected = [
        EventType::CancellationRequested,
        EventType::PartEnded,
        EventType::ShipmentStageChanged,
        EventType::CancellationCompleted,
        EventType::RefundCreated,
    ];
    assert_eq!(case.events(), expected);
    let told: Vec<EventType> = case
        .last
        .events
        .iter()
        .filter(|event| event.notify_buyer)
        .map(|event| event.detail.event_type())
        .collect();
    assert_eq!(
        told,
        [EventType::CancellationRequested],
        "the policy names no other"
    );
}

#[test]
fn whose_request_it_is_depends_on_who_brings_it() {
    let support_reason = ("actors: [SELLER]", "actors: [SELLER, SUPPORT]");
    let table = [
        (Role::Storefront, None, "CHANGED_MIND", Role::Buyer),
        (
            Role::Support,
            Some(Identity::Email(EMAIL_HASH)),
            "CHANGED_MIND",
            Role::Buyer,
        ),
        (
            Role::Operator,
            Some(Identity::Username(USERNAME_HASH)),
            "CHANGED_MIND",
            Role::Buyer,
        ),
        (Role::Support, None, "OUT_OF_STOCK", Role::Support),
        (Role::Operator, None, "OUT_OF_STOCK", Role::Support),
        (Role::Seller, None, "OUT_OF_STOCK", Role::Seller),
    ];
    for (by, on_behalf_of, reason, requester) in table {
        let mut case = Cart::of(&[(1, 100)]).paid_under(policy_with(PLAIN, &[support_reason]));
        let mut cancel_request = CancellationRequest::all().because(reason);
        (cancel_request.by, cancel_request.request.on_behalf_of) = (by, on_behalf_of);
        case.cancel(cancel_request).unwrap();
        assert_eq!(
            case.cancellation(1).requester.role,
            requester,
            "{by} for {on_behalf_of:?}"
        );
    }
}

#[test]
fn an_order_without_that_identity_answers_as_if_it_were_not_there() {
    let mut cart = Cart::of(&[(1, 100)]);
    (cart.0.buyer.email_hash, cart.0.buyer.username_hash) = (None, Some(USERNAME_HASH));
    for identity in [
        Identity::Email(EMAIL_HASH),
        Identity::Email(USERNAME_HASH),
        Identity::Username([0; 32]),
    ] {
        assert_eq!(
            cart.paid()
                .cancel(CancellationRequest::all().by_support_for(identity)),
            Err(Rejection::OrderNotFound)
        );
    }
}

#[test]
fn units_of_a_line_come_from_the_shipment_with_the_fewest_gates_then_the_lowest_number_then_the_highest_index()
 {
    // Stages of three shipments of two units each; how many units are requested; the indexes taken.
    let table: &[([Stage; 3], u32, &[u32])] = &[
        ([Stage::Planned, Stage::Planned, Stage::Planned], 1, &[1]),
        (
            [Stage::Planned, Stage::Planned, Stage::Planned],
            3,
            &[0, 1, 3],
        ),
        (
            [Stage::Preparing, Stage::Planned, Stage::Planned],
            3,
            &[2, 3, 5],
        ),
        (
            [Stage::Preparing, Stage::Preparing, Stage::Planned],
            3,
            &[1, 4, 5],
        ),
        (
            [Stage::InTransit, Stage::Preparing, Stage::Planned],
            3,
            &[3, 4, 5],
        ),
        (
            [Stage::InTransit, Stage::Preparing, Stage::Preparing],
            4,
            &[2, 3, 4, 5],
        ),
        (
            [Stage::Cancelled, Stage::Planned, Stage::Planned],
            4,
            &[2, 3, 4, 5],
        ),
    ];
    for (stages, count, taken) in table {
        let cart = Cart::of(&[(6, 600)]).split(&[&[(1, 2)], &[(1, 2)], &[(1, 2)]]);
        let mut case = cart.paid_under(consent_when_preparing());
        for (shipment, stage) in (1..).zip(stages) {
            case.bring_to(shipment, *stage);
        }
        let number = case
            .cancel(CancellationRequest::lines(&[(1, *count)]))
            .unwrap();
        let parts = case.cancellation(number).parts.iter();
        let found: Vec<u32> = parts.flat_map(|part| indexes(&part.units, 1)).collect();
        assert_eq!(found, *taken, "{stages:?}");
    }
}

#[test]
fn what_cannot_be_cancelled_stops_all_or_is_left_out_as_the_caller_chose() {
    let cart = Cart::of(&[(4, 400)]).split(&[&[(1, 1)], &[(1, 1)], &[(1, 2)]]);
    let mut shipped = cart.paid();
    shipped
        .bring_to(1, Stage::InTransit)
        .bring_to(2, Stage::Delivered);

    let mut case = shipped.clone();
    let (violations, most) = acceptable(case.cancel(CancellationRequest::all()).unwrap_err());
    assert_eq!(
        violations,
        [(1, DenyCode::Shipped), (2, DenyCode::Delivered)],
        "every one"
    );
    assert_eq!(most, [(1, 2)]);
    assert_eq!(
        case.order, shipped.order,
        "nothing is recorded on the order"
    );
    assert_eq!(
        case.last.log.as_ref().unwrap().evaluations.len(),
        3,
        "but what was asked is"
    );
    assert_eq!(
        case.cancel(CancellationRequest::lines(&most)),
        Ok(1),
        "and the most that was acceptable is accepted"
    );

    let mut case = shipped.clone();
    case.cancel(CancellationRequest::all().leave_out()).unwrap();
    let expected = [
        (PartState::Refused, "SHIPPED"),
        (PartState::Refused, "DELIVERED"),
        (PartState::Cancelled, ""),
    ];
    assert_eq!(case.parts(1), expected);
    assert_eq!(
        (case.cancellation(1).outcome(), case.refunds()),
        (Some(CancellationOutcome::Partial), vec![(1, 200, Due)])
    );
    assert_eq!(
        case.cancellation(1).close_reason(),
        Some(ErrorReason::Shipped)
    );

    let mut case = shipped.clone();
    case.cancel(CancellationRequest::shipment(3)).unwrap();
    let (violations, most) = acceptable(
        case.cancel(CancellationRequest::all().leave_out())
            .unwrap_err(),
    );
    assert_eq!(
        (violations.len(), most),
        (2, vec![]),
        "with nothing left over there is nothing to do"
    );
}

#[test]
fn a_portion_takes_the_first_path_that_its_rule_allows() {
    let mut case = Cart::of(&[(2, 200)])
        .split(&[&[(1, 1)], &[(1, 1)]])
        .paid_under(independent_site());
    case.bring_to(1, Stage::InTransit);
    case.cancel(
        CancellationRequest::all()
            .because("WRONG_PURCHASE")
            .paths(&[Path::Cancel, Path::Intercept]),
    )
    .unwrap();
    let paths: Vec<_> = case
        .cancellation(1)
        .parts
        .iter()
        .map(|part| (part.path, part.state))
        .collect();
    assert_eq!(
        paths,
        [
            (Path::Intercept, PartState::Waiting),
            (Path::Cancel, PartState::Cancelled)
        ]
    );
    assert_eq!(
        case.part(1, 0).refund,
        amounts(100, 0, 0, 0),
        "expected, not yet due"
    );
    assert_eq!(case.refunds(), [(1, 100, Due)]);
    let asked: Vec<_> = case
        .last
        .log
        .as_ref()
        .unwrap()
        .evaluations
        .iter()
        .flat_map(|of| of.asked.iter().map(|a| (of.shipment, a.question.path)))
        .collect();
    assert_eq!(
        asked,
        [(1, Path::Cancel), (1, Path::Intercept), (2, Path::Cancel)]
    );
}

#[test]
fn waiting_units_are_claimed() {
    type Setup = &'static [&'static [(u32, u32)]];
    let claimed = |requested, available| {
        Err(Rejection::UnitsClaimed {
            line: 1,
            requested,
            available,
        })
    };
    let missing = |line, requested, available| {
        Err(Rejection::QuantityUnavailable {
            line,
            requested,
            available,
        })
    };
    let pending = |cancellation| Err(Rejection::AlreadyPending { cancellation });
    // Line 1 has five units, line 2 two; what waits already, what is asked, and the answer.
    let table: &[(Setup, CancellationRequest, Result<u32, Rejection>)] = &[
        (&[&[(1, 2)]], CancellationRequest::lines(&[(1, 3)]), Ok(2)),
        (
            &[&[(1, 2)]],
            CancellationRequest::lines(&[(1, 4)]),
            claimed(4, 3),
        ),
        (&[&[(1, 2)]], CancellationRequest::lines(&[(1, 2)]), Ok(2)),
        (
            &[&[(1, 3)]],
            CancellationRequest::lines(&[(1, 3)]),
            pending(1),
        ),
        (
            &[&[(1, 3)]],
            CancellationRequest::lines(&[(1, 3)]).leave_out(),
            pending(1),
        ),
        (
            &[&[(1, 1)], &[(1, 3)]],
            CancellationRequest::lines(&[(1, 3)]),
            pending(2),
        ),
        (
            &[&[(1, 3), (2, 1)]],
            CancellationRequest::lines(&[(1, 3)]),
            claimed(3, 2),
        ),
        (
            &[&[(1, 3)]],
            CancellationRequest::lines(&[(1, 3), (2, 1)]),
            claimed(3, 2),
        ),
        (&[&[(1, 5), (2, 2)]], CancellationRequest::all(), pending(1)),
        (
            &[&[(1, 5), (2, 2)]],
            CancellationRequest::shipment(1),
            pending(1),
        ),
        (
            &[&[(1, 5), (2, 2)]],
            CancellationRequest::lines(&[(2, 2), (1, 5)]),
            pending(1),
        ),
        (&[&[(1, 5)]], CancellationRequest::all(), claimed(5, 0)),
        (&[&[(1, 5)]], CancellationRequest::all().leave_out(), Ok(2)),
        (
            &[&[(1, 5)]],
            CancellationRequest::lines(&[(1, 1)]).leave_out(),
            claimed(1, 0),
        ),
        (
            &[&[(1, 5)]],
            CancellationRequest::lines(&[(1, 1), (2, 1)]).leave_out(),
            Ok(2),
        ),
        (
            &[&[(1, 1)]],
            CancellationRequest::lines(&[(1, 6)]),
            claimed(6, 4),
        ),
        (
            &[&[(1, 1)]],
            CancellationRequest::lines(&[(2, 3), (1, 5)]),
            claimed(5, 4),
        ),
        (
            &[],
            CancellationRequest::lines(&[(2, 3), (1, 6)]),
            missing(2, 3, 2),
        ),
        (
            &[],
            CancellationRequest::lines(&[(2, 3)]).leave_out(),
            Ok(1),
        ),
    ];
    for (row, (setup, cancel_request, answer)) in table.iter().enumerate() {
        let mut case = Cart::of(&[(5, 500), (2, 200)]).paid_under(consent_when_preparing());
        case.prepare(1).unwrap();
        for lines in *setup {
            case.cancelled(CancellationRequest::lines(lines));
        }
        let before = case.order.clone();
        assert_eq!(case.cancel(cancel_request.clone()), *answer, "row {row}");
        assert!(
            answer.is_ok() || case.order == before,
            "row {row} writes nothing"
        );
    }
}

#[test]
fn another_shipment_with_as_many_units_is_not_the_very_same_units() {
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(gated(
        "PLANNED",
        &[&gate("SELLER_CONSENT", "REFUSE", "BAR")],
    ));
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    case.cancel(CancellationRequest::shipment(2)).unwrap();
    assert_eq!(
        case.cancel(CancellationRequest::shipment(2)),
        Err(Rejection::AlreadyPending { cancellation: 2 })
    );
}

#[test]
fn claimed_units_that_were_left_out_are_on_record_as_refused() {
    let mut case = Cart::of(&[(3, 300)]).paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    case.cancel(CancellationRequest::all().leave_out()).unwrap();
    assert_eq!(
        case.parts(2),
        [
            (PartState::Waiting, ""),
            (PartState::Refused, "UNITS_CLAIMED")
        ]
    );
    assert_eq!(
        (
            indexes(&case.part(2, 0).units, 1),
            indexes(&case.part(2, 1).units, 1)
        ),
        (vec![0], vec![1, 2])
    );
    assert_eq!(
        case.order.claimed_units().count(),
        3,
        "each is claimed once"
    );
}

#[test]
fn to_cancel_what_is_wholly_cancelled_is_answered_by_the_cancellation_that_took_the_last_unit() {
    let mut case = Cart::of(&[(3, 300)]).paid();
    for expected in [1, 2, 3] {
        assert_eq!(
            case.cancel(CancellationRequest::lines(&[(1, 1)])),
            Ok(expected)
        );
    }
    let before = case.order.clone();
    for cancel_request in [
        CancellationRequest::all(),
        CancellationRequest::lines(&[(1, 2)]),
        CancellationRequest::shipment(1),
        CancellationRequest::all().by_seller(),
        CancellationRequest::all().leave_out(),
    ] {
        assert_eq!(case.cancel(cancel_request), Ok(3));
        assert_eq!(
            (&case.order, case.events()),
            (&before, vec![]),
            "nothing is written"
        );
    }
}

#[test]
fn to_cancel_what_closed_unpaid_is_answered_by_the_closing() {
    let mut case = Cart::of(&[(2, 200)]).place();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(EXPIRE_AFTER);
    assert_eq!(case.cancel(CancellationRequest::all()), Ok(2));
    assert_eq!(
        (case.state(), case.cancellation(2).requester.clone()),
        (OrderState::ClosedUnpaid, Actor::system())
    );
}

#[test]
fn a_shipment_that_is_wholly_cancelled_has_nothing_to_give() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    assert_eq!(
        case.cancel(CancellationRequest::shipment(1)),
        Err(Rejection::NothingToCancel)
    );
}

#[test]
fn lines_that_are_wholly_cancelled_have_nothing_to_give_while_others_have() {
    let mut case = Cart::of(&[(2, 200), (1, 100), (1, 100)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 2), (2, 1)]))
        .unwrap();
    let before = case.order.clone();
    for cancel_request in [
        CancellationRequest::lines(&[(1, 1)]),
        CancellationRequest::lines(&[(2, 1), (1, 2)]),
        CancellationRequest::lines(&[(1, 1)]).leave_out(),
    ] {
        assert_eq!(case.cancel(cancel_request), Err(Rejection::NothingToCancel));
    }
    // As soon as one of them has units left, it is a matter of how many.
    let missing = Rejection::QuantityUnavailable {
        line: 1,
        requested: 1,
        available: 0,
    };
    assert_eq!(
        case.cancel(CancellationRequest::lines(&[(3, 1), (1, 1)])),
        Err(missing)
    );
    assert_eq!(case.order, before, "nothing is written");
}

#[test]
fn shipping_comes_back_with_the_last_unit_of_a_shipment_and_only_before_it_has_left() {
    let cart = Cart::of(&[(2, 200), (1, 100)])
        .split(&[&[(1, 2)], &[(2, 1)]])
        .shipping(30, 6);
    let mut case = cart.paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.cancel(CancellationRequest::shipment(2)).unwrap();
    let back: Vec<Amounts> = case
        .order
        .refunds
        .iter()
        .map(|refund| refund.amounts)
        .collect();
    assert_eq!(
        back,
        [
            amounts(100, 0, 0, 0),
            amounts(100, 4, 20, 0),
            amounts(100, 2, 10, 0)
        ]
    );

    // Whoever may cancel what is on its way does not get the shipping charge back.
    let anywhere = "\n  - {id: anywhere, when: {path: CANCEL}, allow: {refund: FULL}}";
    let mut case = cart.paid_under(policy(anywhere));
    case.bring_to(1, Stage::InTransit).bring_to(2, Stage::Ready);
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(case.order.refunds[0].amounts, amounts(300, 2, 10, 0));

    let mut case = cart.paid_under(policy_with(
        PLAIN,
        &[("WHEN_SHIPMENT_WHOLLY_CANCELLED", "NEVER")],
    ));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(case.order.refunds[0].amounts, amounts(300, 0, 0, 0));
}

#[test]
fn two_parts_of_one_shipment_return_its_shipping_once() {
    let mut case = Cart::of(&[(2, 200)])
        .shipping(30, 0)
        .paid_under(consent_when_preparing_passes());
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(SignedDuration::from_hours(1))
        .cancel(CancellationRequest::lines(&[(1, 1)]))
        .unwrap();
    assert_eq!(case.promise(2).refund, amounts(100, 0, 0, 0));
    case.wait(SignedDuration::from_hours(48)).settle();
    let back: Vec<Amounts> = case
        .order
        .refunds
        .iter()
        .map(|refund| refund.amounts)
        .collect();
    assert_eq!(back, [amounts(100, 0, 0, 0), amounts(100, 0, 30, 0)]);
    assert_eq!(
        (case.state(), case.stage(1)),
        (OrderState::Cancelled, Stage::Cancelled)
    );
}

fn consent_when_preparing_passes() -> belay_domain::policy::Policy {
    gated("PREPARING", &[&gate("SELLER_CONSENT", "PASS", "BAR")])
}

#[test]
fn a_rule_may_give_nothing_back() {
    let mut case = Cart::of(&[(1, 100)])
        .shipping(10, 0)
        .paid_under(policy(&PLAIN.replace("FULL", "NONE")));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        (case.state(), case.refunds()),
        (OrderState::Cancelled, vec![])
    );
    assert_eq!(case.order.amount_due(), 110);
}

#[test]
fn a_refused_part_expects_no_money() {
    let mut case = Cart::of(&[(1, 100)]).paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(case.part(1, 0).refund, amounts(100, 0, 0, 0));
    case.wait(SignedDuration::from_hours(48)).settle();
    assert_eq!(
        (case.part(1, 0).refund, case.refunds()),
        (Amounts::ZERO, vec![])
    );
}

#[test]
fn partial_cancellations_in_any_order_return_to_the_cent_what_was_paid() {
    let cart = Cart::of(&[(3, 1000), (2, 333)])
        .discount_and_tax(10, 61)
        .shipping(499, 95);
    let total = cart.place().order.total();
    let orders: [&[(u32, u32)]; 4] = [
        &[(1, 1), (2, 1), (1, 1), (2, 1), (1, 1)],
        &[(2, 2), (1, 3)],
        &[(1, 2), (2, 2), (1, 1)],
        &[(1, 3), (2, 1), (2, 1)],
    ];
    for steps in orders {
        let mut case = cart.paid();
        for step in steps {
            case.cancelled(CancellationRequest::lines(&[*step]));
        }
        let back: Amounts = case.order.refunds.iter().map(|refund| refund.amounts).sum();
        assert_eq!((back, case.order.amount_due()), (total, 0), "{steps:?}");
    }
}

#[test]
fn what_was_asked_and_answered_is_on_record_for_rejections_too() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.dispatch(1).unwrap();
    case.wait(SignedDuration::from_hours(3));
    assert_eq!(case.try_cancel(CancellationRequest::all()), "SHIPPED");
    let log = case.last.log.as_ref().expect("a rejection is a decision");
    let [of] = log.evaluations.as_slice() else {
        panic!("{log:?}")
    };
    assert_eq!(
        (of.policy_version, of.shipment, of.units.count()),
        (1, 1, 2)
    );
    let [asked] = of.asked.as_slice() else {
        panic!("{of:?}")
    };
    assert_eq!(asked.rule.as_deref(), Some("shipped"));
    let question = &asked.question;
    assert_eq!(
        (question.actor, question.stage, question.path),
        (Role::Buyer, Stage::InTransit, Path::Cancel)
    );
    assert_eq!(
        (question.reason.as_deref(), question.paid),
        (Some("CHANGED_MIND"), true)
    );
    assert_eq!(
        (question.since_placed, question.since_paid),
        (
            SignedDuration::from_hours(3),
            Some(SignedDuration::from_hours(3))
        )
    );
    assert_eq!(
        (
            question.value,
            &*question.currency,
            &*question.destination_country
        ),
        (200, "EUR", "DE")
    );
    assert_eq!(
        (
            &*question.payment_methods,
            question.carrier.in_transit_cancel
        ),
        (["CREDIT_CARD".to_owned()].as_slice(), true)
    );
}

#[test]
fn a_card_payment_is_verified_before_its_buyer_may_cancel() {
    let verification = (
        "\nnotify:",
        "\nverification: {methods: [CREDIT_CARD], wait: 24h}\nnotify:",
    );
    let day = SignedDuration::from_hours(24);
    let policy = policy_with(PLAIN, &[verification]);
    let table = [
        (day - crate::kit::MICROSECOND, "PAYMENT_VERIFYING"),
        (day, "OK"),
    ];
    for (after, answer) in table {
        let mut case = Cart::of(&[(1, 100)]).paid_under(policy.clone());
        let paid = case.now;
        case.wait(after);
        let refused = case.cancel(CancellationRequest::all()).err();
        assert_eq!(
            refused
                .as_ref()
                .map_or("OK", |refused| refused.reason().name()),
            answer
        );
        if let Some(Rejection::Ineligible { violations, .. }) = refused {
            assert_eq!(violations[0].available_from, Some(paid + day));
        }
    }
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy);
    assert_eq!(
        case.try_cancel(CancellationRequest::all().by_seller()),
        "OK",
        "only the buyer waits"
    );
}

#[test]
fn a_command_that_expects_the_present_version_is_accepted() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let cancel_request = CancellationRequest::all();
    let version = case.order.version;
    assert!(
        case.run(
            cancel_request.by,
            Some(version),
            Command::RequestCancellation(cancel_request.request)
        )
        .is_ok()
    );
    assert_eq!(case.order.version, version + 1);
}
