//! What a carrier tells late, or out of order: a shipment comes to the same end.

use belay_domain::actor::Role;
use belay_domain::cancellation::PartState;
use belay_domain::context::CarrierProfile;
use belay_domain::incident::IncidentKind::CancelledYetShipped;
use belay_domain::incident::{IncidentKind, IncidentState, Resolution};
use belay_domain::order::OrderState;
use belay_domain::policy::Policy;
use belay_domain::refund::RefundState::{Blocked, Due};
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_domain::terms::GoodsCondition::Unopened;
use belay_domain::terms::Path;
use jiff::{SignedDuration, Timestamp};

use crate::kit::{CancellationRequest, Cart, Case, cross_border, gate, independent_site, policy};
use crate::{acts, history, invariants};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const PICKED_UP: TrackingFact = TrackingFact::PickedUp;
const IN_TRANSIT: TrackingFact = TrackingFact::InTransit;
const DELIVERED: TrackingFact = TrackingFact::Delivered;
const LOST: TrackingFact = TrackingFact::Lost;
const RETURNING: TrackingFact = TrackingFact::Returning;
const RETURNED: TrackingFact = TrackingFact::Returned;

/// One unit of 1.00 under the policy of a web shop, by a carrier that turns parcels round.
fn paid() -> Case {
    Cart::of(&[(1, 100)]).paid_under(independent_site())
}

/// A way begins here.
#[derive(Debug, Clone, Copy)]
enum Start {
    Inside,
    Dispatched,
    Cancelled,
}

fn start(from: Start) -> Case {
    let mut case = paid();
    case.wait(DAY / 2);
    match from {
        Start::Inside => {}
        Start::Dispatched => drop(case.dispatch(1).unwrap()),
        Start::Cancelled => drop(
            case.cancel(CancellationRequest::all().because("FOUND_BETTER"))
                .unwrap(),
        ),
    }
    case.wait(DAY * 10);
    case
}

/// The end of a run, as it is compared: a cancellation that the carrier took back leaves nothing
/// but its record.
#[derive(Debug, PartialEq)]
struct End {
    stage: Stage,
    state: OrderState,
    times: (Option<Timestamp>, Option<Timestamp>),
    incidents: Vec<(IncidentKind, IncidentState)>,
    parts: Vec<(Option<String>, PartState)>,
    refunds: Vec<(u32, i64, belay_domain::refund::RefundState)>,
}

fn end(case: &Case) -> End {
    let shipment = case.shipment(1);
    let parts = case
        .order
        .cancellations
        .iter()
        .flat_map(|of| of.parts.iter().map(|part| (of.reason.clone(), part.state)));
    End {
        stage: shipment.stage,
        state: case.state(),
        times: (shipment.dispatch_time, shipment.deliver_time),
        incidents: case
            .order
            .incidents
            .iter()
            .map(|incident| (incident.kind, incident.state))
            .collect(),
        parts: parts
            .filter(|(_, state)| matches!(state, PartState::Waiting | PartState::Cancelled))
            .collect(),
        refunds: case.refunds(),
    }
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in orders(last) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, last);
            all.push(order);
        }
    }
    all
}

#[test]
fn facts_of_one_way_come_to_one_end_in_whatever_order_they_are_told() {
    let ways: Vec<Vec<TrackingFact>> = (2..=4_u32)
        .flat_map(|len| {
            let facts = TrackingFact::ALL;
            let way = move |number: usize| {
                (0..len)
                    .map(|at| facts[number / facts.len().pow(at) % facts.len()])
                    .collect::<Vec<_>>()
            };
            // Of the longest ways a sample: every nineteenth.
            (0..facts.len().pow(len))
                .step_by(if len == 4 { 19 } else { 1 })
                .map(way)
        })
        .collect();
    for from in [Start::Inside, Start::Dispatched, Start::Cancelled] {
        let begun = start(from);
        for way in &ways {
            let told = |order: &[usize]| {
                let mut case = begun.clone();
                for at in order {
                    let when = begun.now - DAY * 9 + DAY * i32::try_from(*at).unwrap();
                    case.scan_at(1, way[*at], when).unwrap();
                    invariants::check(&case.order, case.now);
                }
                history::check(&case.history, &case.order);
                end(&case)
            };
            let orders = orders(way.len());
            let mut in_sequence = orders[0].clone();
            in_sequence.sort_unstable();
            let expected = told(&in_sequence);
            for order in orders {
                assert_eq!(
                    told(&order),
                    expected,
                    "{from:?}: {way:?} told as {order:?}"
                );
            }
        }
    }
}

#[test]
fn a_parcel_outside_never_counts_as_inside() {
    for fact in [LOST, RETURNING, RETURNED] {
        let mut case = paid();
        case.wait(DAY).scan(1, fact).unwrap();
        let stage = case.stage(1);
        case.scan_at(1, PICKED_UP, case.now - DAY / 2).unwrap();
        assert_eq!(
            (case.stage(1), stage.is_dispatched()),
            (stage, true),
            "{fact}"
        );
        assert_eq!(case.shipment(1).dispatch_time, Some(case.now - DAY / 2));
        assert_ne!(
            case.try_cancel(CancellationRequest::all().because("FOUND_BETTER")),
            "OK"
        );
        case.receive(1, Unopened).unwrap();
        assert_eq!(
            (case.state(), case.refunds()),
            (OrderState::Cancelled, vec![(1, 100, Due)]),
            "{fact}"
        );
    }
}

#[test]
fn a_parcel_that_was_turned_round_answers_its_carriers_gate_however_late_it_is_told() {
    let mut case = start(Start::Dispatched);
    case.cancel(
        CancellationRequest::all()
            .because("FOUND_BETTER")
            .paths(&[Path::Intercept]),
    )
    .unwrap();
    case.scan_at(1, IN_TRANSIT, case.now).unwrap();
    case.scan_at(1, RETURNING, case.now - DAY).unwrap();
    assert_eq!(
        (case.stage(1), case.parts(1)),
        (Stage::Returning, vec![(PartState::Waiting, "")])
    );
    case.wait(DAY * 2).settle();
    assert_eq!(
        case.parts(1),
        [(PartState::Waiting, "")],
        "the carrier has answered"
    );
    case.receive(1, Unopened).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due)]);
}

#[test]
fn what_was_given_up_for_lost_and_had_arrived_is_a_contradiction() {
    let mut case = start(Start::Dispatched);
    case.scan_at(1, LOST, case.now - DAY).unwrap();
    let request = CancellationRequest {
        by: Role::Support,
        ..CancellationRequest::all().because("LOST_IN_TRANSIT")
    };
    case.cancel(request).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due)]);
    case.scan_at(1, DELIVERED, case.now - DAY * 2).unwrap();
    assert_eq!(
        (case.stage(1), case.incidents()),
        (Stage::Delivered, vec![CancelledYetShipped])
    );
    assert_eq!(case.refunds(), [(1, 100, Blocked)]);
}

/// Support cancels so many of two units because the parcel is lost.
fn cancelled_as_lost(policy: Policy, units: u32) -> Case {
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    case.wait(DAY).dispatch(1).unwrap();
    case.wait(DAY).scan(1, LOST).unwrap();
    case.wait(DAY);
    let request = CancellationRequest {
        by: Role::Support,
        ..CancellationRequest::lines(&[(1, units)]).because("LOST_IN_TRANSIT")
    };
    case.cancelled(request);
    let refund = i64::from(units) * 100;
    assert_eq!(case.refunds(), [(1, refund, Due)]);
    case
}

/// The stage that a unit was cancelled at counts, and not where its parcel has been seen since.
#[test]
fn what_was_cancelled_as_lost_and_is_delivered_after_all_is_a_contradiction() {
    for policy in [independent_site(), cross_border()] {
        for units in [1, 2] {
            let lost = cancelled_as_lost(policy.clone(), units);
            // Found after it was cancelled, found before and told late, and not seen again.
            for found in [Some(DAY), Some(-DAY / 2), None] {
                let mut case = lost.clone();
                case.wait(DAY);
                if let Some(found) = found {
                    case.scan_at(1, IN_TRANSIT, lost.now + found).unwrap();
                    assert_eq!(case.stage(1), Stage::InTransit);
                    assert_eq!(case.incidents(), [], "it may still come home");
                }
                case.wait(DAY).scan(1, DELIVERED).unwrap();
                let refund = i64::from(units) * 100;
                assert_eq!(
                    (case.incidents(), case.refunds()),
                    (vec![CancelledYetShipped], vec![(1, refund, Blocked)]),
                    "{}: {units} units, found {found:?}",
                    policy.name
                );
                history::check(&case.history, &case.order);
            }
        }
    }
}

/// What support has decided about the first unit says nothing of the second.
#[test]
fn what_was_cancelled_as_lost_since_the_last_contradiction_is_one_of_its_own() {
    let mut case = cancelled_as_lost(independent_site(), 1);
    case.wait(DAY).scan(1, DELIVERED).unwrap();
    assert_eq!(case.incidents(), [CancelledYetShipped]);
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!(case.lease(&[1]), [1]);
    case.wait(DAY).scan(1, RETURNING).unwrap();
    case.wait(DAY).scan(1, LOST).unwrap();
    let mut again = case.clone();

    // What the carrier was to bring back.
    case.wait(DAY).approve(Role::Support, 2).unwrap();
    assert_eq!(
        (case.parts(2), case.incidents()),
        (vec![(PartState::Cancelled, "")], vec![])
    );
    case.wait(DAY).scan(1, DELIVERED).unwrap();
    assert_eq!(case.incidents(), [CancelledYetShipped]);
    assert_eq!(case.refunds()[1..], [(1, 100, Blocked)]);
    invariants::check(&case.order, case.now);
    history::check(&case.history, &case.order);

    // The same unit once more is no news.
    again.wait(DAY).scan(1, DELIVERED).unwrap();
    assert_eq!(again.incidents(), []);
}

/// What the policy gave away on its way is the buyer's, whatever becomes of the parcel.
#[test]
fn what_was_given_away_before_it_was_lost_and_is_delivered_contradicts_nothing() {
    let anywhere = policy("\n  - {id: anywhere, when: {path: CANCEL}, allow: {refund: FULL}}");
    let mut case = Cart::of(&[(1, 100)]).paid_under(anywhere);
    case.dispatch(1).unwrap();
    case.wait(DAY).cancelled(CancellationRequest::all());
    case.wait(DAY).scan(1, LOST).unwrap();
    case.wait(DAY).scan(1, DELIVERED).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![], vec![(1, 100, Due)])
    );
}

#[test]
fn what_was_cancelled_on_the_carriers_word_and_had_arrived_is_a_contradiction() {
    let mut case = Cart::of(&[(1, 100)]).paid_under(acts::outside(&[&gate(
        "CARRIER_INTERCEPT",
        "REFUSE",
        "BAR",
    )]));
    case.dispatch(1).unwrap();
    case.wait(DAY * 3)
        .cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    case.confirm_intercept(1).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due)]);
    case.scan_at(1, IN_TRANSIT, case.now).unwrap();
    case.scan_at(1, DELIVERED, case.now - DAY).unwrap();
    assert_eq!(
        (case.stage(1), case.incidents()),
        (Stage::Delivered, vec![CancelledYetShipped])
    );
    assert_eq!(case.refunds(), [(1, 100, Blocked)]);
    assert_eq!(
        case.shipment(1).intercept.unwrap().state,
        InterceptState::Failed
    );
}

#[test]
fn a_carrier_that_delivers_after_all_takes_back_its_cancellation() {
    for able in [true, false] {
        let mut case = paid();
        let carriers = case.store.carriers.values_mut();
        carriers.for_each(|carrier| {
            *carrier = CarrierProfile {
                in_transit_cancel: able,
                ..CarrierProfile::default()
            }
        });
        case.dispatch(1).unwrap();
        case.wait(DAY).scan(1, RETURNING).unwrap();
        assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
        case.wait(DAY).scan(1, DELIVERED).unwrap();
        assert_eq!(case.parts(1), [(PartState::Withdrawn, "")]);
        let back = CancellationRequest::all()
            .because("FOUND_BETTER")
            .paths(&[Path::ReturnUnopened]);
        // What comes home by itself now is a new cancellation of the carrier's.
        let mut by_itself = case.clone();
        by_itself.wait(DAY).receive(1, Unopened).unwrap();
        assert_eq!(
            (by_itself.parts(2), by_itself.incidents()),
            (vec![(PartState::Cancelled, "")], vec![])
        );
        case.cancel(back).unwrap();
        case.receive(1, Unopened).unwrap();
        assert_eq!(
            (case.parts(2), case.refunds()),
            (vec![(PartState::Cancelled, "")], vec![(1, 100, Due)])
        );
    }
}

#[test]
fn an_order_to_bring_back_what_is_delivered_after_all_has_failed() {
    let mut case = start(Start::Dispatched);
    case.cancel(
        CancellationRequest::all()
            .because("FOUND_BETTER")
            .paths(&[Path::Intercept]),
    )
    .unwrap();
    case.confirm_intercept(1).unwrap();
    case.scan(1, DELIVERED).unwrap();
    assert_eq!(case.parts(1), [(PartState::Refused, "NOT_INTERCEPTABLE")]);
    assert_eq!(
        case.shipment(1).intercept.unwrap().state,
        InterceptState::Failed
    );
}

/// Facts that were told before they were kept: the stage and the times still show what they came
/// to.
#[test]
fn what_was_told_before_facts_were_kept_still_stands() {
    for (known, told, stage) in [
        (IN_TRANSIT, DELIVERED, Stage::Delivered),
        (LOST, DELIVERED, Stage::Delivered),
        (RETURNING, DELIVERED, Stage::Returning),
        (DELIVERED, RETURNING, Stage::Delivered),
        (RETURNED, IN_TRANSIT, Stage::Returned),
    ] {
        let mut case = start(Start::Dispatched);
        case.scan_at(1, known, case.now - DAY).unwrap();
        case.order.shipments[0].whereabouts.scans.clear();
        case.scan_at(1, told, case.now - DAY * 2).unwrap();
        assert_eq!(case.stage(1), stage, "{known}, then {told}");
        assert_eq!(
            case.shipment(1).deliver_time.is_some(),
            [known, told].contains(&DELIVERED)
        );
    }
}
