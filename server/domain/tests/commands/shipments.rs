//! What moves a shipment, what keeps it in, and what comes of one that leaves all the same.

use belay_domain::cancellation::{CancellationState, PartState};
use belay_domain::event::EventType;
use belay_domain::incident::IncidentKind;
use belay_domain::order::OrderState;
use belay_domain::refund::RefundState::{Blocked, Due, Submitted};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, MICROSECOND, PLAIN, gate, gated, independent_site, policy,
};

/// Of two units at PLANNED, one is to be cancelled, and this gate is in the way.
fn waiting(gate: &str) -> Case {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated("PLANNED", &[gate]));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case
}

/// Rows are commands, columns the stages they find: the stage after, `-` NOT_RELEASED, `x`
/// STAGE_MISMATCH, `?` GATE_NOT_OPEN, `0` QUANTITY_UNAVAILABLE.
#[test]
fn every_stage_takes_every_command_as_the_table_says() {
    type Step = fn(&mut Case) -> Result<belay_domain::decision::Answer, Rejection>;
    let table: [(&str, Step, &str); 9] = [
        // UNRELEASED PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING RETURNED
        // SPLIT
        (
            "StartPreparation",
            |case| case.prepare(1),
            "- PREPARING PREPARING x x x x x x x x",
        ),
        (
            "MarkReady",
            |case| case.ready(1),
            "- READY READY READY x x x x x x x",
        ),
        (
            "DispatchShipment",
            |case| case.dispatch(1),
            "- IN_TRANSIT IN_TRANSIT IN_TRANSIT x x x x x x x",
        ),
        ("AnswerStop", |case| case.stop(1), "? ? ? ? ? ? ? ? ? ? ?"),
        (
            "AnswerIntercept",
            |case| case.confirm_intercept(1),
            "? ? ? ? ? ? ? ? ? ? ?",
        ),
        (
            "ReceiveParcel",
            |case| case.receive(1, GoodsCondition::Unopened),
            "x x x x RETURNED RETURNED x RETURNED RETURNED RETURNED x",
        ),
        (
            "HoldShipment",
            |case| case.hold(1, case.now + SignedDuration::from_hours(1)),
            "UNRELEASED PLANNED PREPARING READY x x x x x x x",
        ),
        (
            "ReleaseHold",
            |case| case.release_hold(1),
            "UNRELEASED PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING RETURNED SPLIT",
        ),
        (
            "SplitShipment",
            |case| case.split(1, &[&[(1, 1)], &[(1, 1)]]),
            "SPLIT SPLIT SPLIT SPLIT x x 0 x x x 0",
        ),
    ];
    for (command, step, row) in table {
        let cells: Vec<&str> = row.split(' ').collect();
        assert_eq!(cells.len(), Stage::ALL.len());
        for (stage, cell) in Stage::ALL.iter().zip(cells) {
            let cart = Cart::of(&[(2, 100)]);
            let mut case = if *stage == Stage::Unreleased {
                cart.place()
            } else {
                cart.paid()
            };
            case.bring_to(1, *stage);
            let found = match step(&mut case) {
                Ok(_) => case.stage(1).name(),
                Err(Rejection::NotReleased) => "-",
                Err(Rejection::StageMismatch { stage: present }) if present == *stage => "x",
                Err(Rejection::GateNotOpen { .. }) => "?",
                Err(Rejection::QuantityUnavailable { .. }) => "0",
                Err(other) => panic!("{command} at {stage}: {other:?}"),
            };
            assert_eq!(found, cell, "{command} at {stage}");
        }
    }
}

#[test]
fn a_fence_grows_whenever_a_cancellation_on_its_shipment_opens_or_ends_and_only_then() {
    let cart = Cart::of(&[(3, 300)]).split(&[&[(1, 2)], &[(1, 1)]]);
    let mut case = cart.paid_under(gated(
        "PREPARING",
        &[&gate("SELLER_CONSENT", "REFUSE", "BAR")],
    ));
    let fences = |case: &Case| [case.shipment(1).fence, case.shipment(2).fence];
    case.prepare(1).unwrap();
    case.scan(2, TrackingFact::InTransit).unwrap();
    assert_eq!(fences(&case), [1, 1], "stages do not move it");
    case.cancel(CancellationRequest::shipment(1).leave_out())
        .unwrap();
    assert_eq!(fences(&case), [2, 1], "it opens");
    case.wait(SignedDuration::from_hours(48)).settle();
    assert_eq!(fences(&case), [3, 1], "it ends");
    case.ready(1).unwrap();
    case.cancel(CancellationRequest::all().leave_out()).unwrap();
    assert_eq!(
        fences(&case),
        [4, 1],
        "it opens and ends in one; what is left out of it touches no fence"
    );
}

#[test]
fn a_warehouse_that_saw_an_older_fence_is_told_the_present_one() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(
        case.dispatch_seen(1, 1),
        Err(Rejection::FenceStale {
            present: 2,
            stage: Stage::Planned,
            cancellations: vec![1]
        })
    );
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        case.dispatch_seen(1, 2),
        Err(Rejection::FenceStale {
            present: 3,
            stage: Stage::Cancelled,
            cancellations: vec![1, 2]
        })
    );
}

#[test]
fn a_waiting_part_bars_the_dispatch_or_ends_by_it_as_its_gate_says() {
    let table = [
        (gate("SELLER_CONSENT", "REFUSE", "BAR"), None),
        (gate("WAREHOUSE_STOP", "REFUSE", "BAR"), None),
        (
            gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART"),
            Some("NO_AGREEMENT"),
        ),
        (
            gate("SELLER_CONSENT", "PASS", "REFUSE_PART"),
            Some("NO_AGREEMENT"),
        ),
    ];
    for (gate, ended) in table {
        let mut case = waiting(&gate);
        let answer = case.dispatch(1);
        match ended {
            None => {
                assert_eq!(
                    answer,
                    Err(Rejection::ShipmentBarred { cancellation: 1 }),
                    "{gate}"
                );
                assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
            }
            Some(reason) => {
                assert_eq!(
                    (answer.is_ok(), case.stage(1)),
                    (true, Stage::InTransit),
                    "{gate}"
                );
                assert_eq!(case.parts(1), [(PartState::Refused, reason)]);
                assert_eq!(case.cancellation(1).state(), CancellationState::Rejected);
                assert_eq!(case.refunds(), []);
            }
        }
    }
}

#[test]
fn a_scan_out_ends_a_part_as_a_dispatch_does_where_its_gate_lets_the_shipment_go() {
    for fact in [
        TrackingFact::PickedUp,
        TrackingFact::InTransit,
        TrackingFact::Delivered,
    ] {
        let mut case = waiting(&gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART"));
        case.scan(1, fact).unwrap();
        assert_eq!(
            case.parts(1),
            [(PartState::Refused, "NO_AGREEMENT")],
            "{fact}"
        );
    }
}

#[test]
fn a_stop_bars_even_where_its_gate_says_otherwise() {
    let mut case = waiting(&gate("WAREHOUSE_STOP", "REFUSE", "BAR"));
    let gate = &mut case.order.cancellations[0].parts[0].gates[0];
    gate.spec.on_dispatch = belay_domain::terms::OnDispatch::RefusePart;
    assert_eq!(
        case.dispatch(1),
        Err(Rejection::ShipmentBarred { cancellation: 1 })
    );
}

#[test]
fn one_part_that_bars_is_enough() {
    let gates = |kind: &str| {
        gate(
            kind,
            "REFUSE",
            if kind == "WAREHOUSE_STOP" {
                "BAR"
            } else {
                "REFUSE_PART"
            },
        )
    };
    let mut case = waiting(&gates("SELLER_CONSENT"));
    let mut second = case.order.cancellations[0].clone();
    second.number = 2;
    second.parts[0].units = case
        .order
        .units()
        .take_highest(1, 2)
        .minus(&second.parts[0].units);
    second.parts[0].gates = waiting(&gates("WAREHOUSE_STOP")).order.cancellations[0].parts[0]
        .gates
        .clone();
    case.order.cancellations.push(second);
    assert_eq!(
        case.dispatch(1),
        Err(Rejection::ShipmentBarred { cancellation: 2 })
    );
    assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
}

#[test]
fn a_waiting_part_does_not_bar_another_shipment() {
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(gated(
        "PLANNED",
        &[&gate("SELLER_CONSENT", "REFUSE", "BAR")],
    ));
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    assert!(case.dispatch(2).is_ok());
}

#[test]
fn a_parcel_that_is_scanned_out_ends_the_parts_that_its_policy_denies_from_there() {
    for (fact, reason) in [
        (TrackingFact::PickedUp, "SHIPPED"),
        (TrackingFact::Delivered, "DELIVERED"),
    ] {
        let mut case = waiting(&gate("WAREHOUSE_STOP", "REFUSE", "BAR"));
        case.scan(1, fact).unwrap();
        assert_eq!(case.parts(1), [(PartState::Refused, reason)]);
        assert_eq!((case.incidents(), case.refunds()), (vec![], vec![]));
    }
}

#[test]
fn an_intercept_goes_on_while_the_parcel_comes_back_and_ends_when_it_is_delivered() {
    let mut case = Cart::of(&[(1, 100)]).paid_under(independent_site());
    case.dispatch(1).unwrap();
    case.cancel(
        CancellationRequest::all()
            .because("FOUND_BETTER")
            .paths(&[Path::Cancel, Path::Intercept]),
    )
    .unwrap();
    assert_eq!(
        (case.part(1, 0).path, case.refunds()),
        (Path::Intercept, vec![])
    );
    let table = [
        (TrackingFact::InTransit, PartState::Waiting, ""),
        (TrackingFact::Returning, PartState::Waiting, ""),
        (TrackingFact::Returned, PartState::Waiting, ""),
        (TrackingFact::Lost, PartState::Waiting, ""),
        (
            TrackingFact::Delivered,
            PartState::Refused,
            "NOT_INTERCEPTABLE",
        ),
    ];
    for (fact, state, reason) in table {
        let mut case = case.clone();
        case.scan(1, fact).unwrap();
        assert_eq!(case.parts(1), [(state, reason)], "{fact}");
    }
}

#[test]
fn a_scan_counts_once_and_an_older_one_never_moves_a_stage_back() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let earlier = case.now;
    case.wait(MICROSECOND)
        .scan(1, TrackingFact::Delivered)
        .unwrap();
    case.scan_at(1, TrackingFact::Returning, earlier).unwrap();
    assert_eq!(
        (case.stage(1), case.events()),
        (Stage::Delivered, vec![EventType::TrackingRecorded])
    );
    assert_eq!(case.shipment(1).last_tracking_time, Some(case.now));
    case.scan(1, TrackingFact::Returning).unwrap();
    assert_eq!(case.stage(1), Stage::Returning);
}

#[test]
fn a_repeated_carrier_event_writes_nothing() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.scan(1, TrackingFact::PickedUp).unwrap();
    let command = belay_domain::commands::RecordTracking {
        shipment: 1,
        carrier_event_id: case.shipment(1).carrier_event_ids[0].clone(),
        fact: TrackingFact::Delivered,
        occurred_time: Some(case.now),
    };
    let before = case.order.clone();
    case.run(
        belay_domain::actor::Role::Carrier,
        None,
        belay_domain::commands::Command::RecordTracking(command),
    )
    .unwrap();
    assert_eq!(case.order, before);
}

#[test]
fn the_first_delivery_and_the_first_dispatch_keep_their_time() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.dispatch(1).unwrap();
    let left = case.now;
    case.wait(MICROSECOND)
        .scan(1, TrackingFact::Delivered)
        .unwrap();
    assert_eq!(
        (
            case.shipment(1).dispatch_time,
            case.shipment(1).deliver_time
        ),
        (Some(left), Some(case.now))
    );
}

#[test]
fn a_cancelled_shipment_that_is_scanned_out_opens_an_incident_and_blocks_what_was_not_sent() {
    for (fact, stage) in [
        (TrackingFact::PickedUp, Stage::InTransit),
        (TrackingFact::InTransit, Stage::InTransit),
        (TrackingFact::Delivered, Stage::Delivered),
    ] {
        let mut case = Cart::of(&[(2, 200)]).paid();
        case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
        case.cancel(CancellationRequest::all()).unwrap();
        case.lease(&[1]);
        case.scan(1, fact).unwrap();
        assert_eq!(
            (case.stage(1), case.state()),
            (stage, OrderState::Cancelled),
            "{fact}"
        );
        assert_eq!(case.incidents(), [IncidentKind::CancelledYetShipped]);
        assert_eq!(
            case.refunds(),
            [(1, 100, Submitted), (1, 100, Blocked)],
            "what a worker has cannot be held"
        );
        assert_eq!(case.lease(&[2]), [0_u32; 0]);
        // Money that comes later is held back as well.
        case.capture("p2", 50);
        assert_eq!(case.refunds()[2], (2, 50, Blocked));
        case.scan(1, TrackingFact::Delivered).unwrap();
        assert_eq!(
            case.incidents().len(),
            1,
            "it is one contradiction, however often it is scanned"
        );
    }
}

/// A parcel that is lost, comes back or is back has left as much as one that is on its way.
#[test]
fn whatever_finds_a_cancelled_shipment_outside_contradicts() {
    for (fact, stage) in [
        (TrackingFact::Lost, Stage::Lost),
        (TrackingFact::Returning, Stage::Returning),
        (TrackingFact::Returned, Stage::Returned),
    ] {
        let mut case = Cart::of(&[(1, 100)]).paid();
        case.cancel(CancellationRequest::all()).unwrap();
        case.scan(1, fact).unwrap();
        assert_eq!(
            (case.stage(1), case.incidents()),
            (stage, vec![IncidentKind::CancelledYetShipped]),
            "{fact}"
        );
        assert_eq!(case.refunds(), [(1, 100, Blocked)]);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(
            (case.stage(1), case.incidents(), case.refunds()),
            (Stage::Returned, vec![], vec![(1, 100, Due)])
        );
    }
}

#[test]
fn a_partly_cancelled_shipment_leaves_with_the_rest() {
    let mut case = Cart::of(&[(3, 300)]).paid_under(policy(PLAIN));
    case.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    case.dispatch(1).unwrap();
    assert_eq!(
        (
            case.order.shipped_units().count(),
            case.order.cancelled_units().count()
        ),
        (1, 2)
    );
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::Shipped, vec![])
    );
}
