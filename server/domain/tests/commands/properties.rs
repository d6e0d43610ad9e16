//! Random commands on random orders, and what must hold after each of them, whatever they are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use belay_domain::actor::Actor;
use belay_domain::cancellation::{PartState, Path};
use belay_domain::commands::{Command, RefundResult, Selection, preview};
use belay_domain::context::Context;
use belay_domain::incident::{IncidentKind, IncidentState};
use belay_domain::money::Amounts;
use belay_domain::order::{Order, OrderState};
use belay_domain::payment::PaymentFact;
use belay_domain::policy::Policy;
use belay_domain::refund::{RefundKind, RefundState};
use belay_domain::rejection::{LineQuantity, Rejection};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::units::UnitSet;
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use crate::kit::{
    Cart, Case, GRACE, LEASE, MICROSECOND, PLAIN, Wish, gate, gated, independent_site, policy, policy_with, settled,
};

/// Random orders at least; PROPTEST_CASES tries more of them. The first ones are always the same.
const CASES: u32 = 1000;
const STEPS_MAX: usize = 40;
/// Stands for any that the policy takes from a buyer.
const A_REASON: &str = "A_REASON";

#[derive(Debug, Clone)]
enum Step {
    Wait(SignedDuration),
    Pay {
        payment: usize,
        fact: PaymentFact,
        percent: i64,
    },
    Prepare(u32),
    Ready(u32),
    Dispatch {
        shipment: u32,
        fence_behind: u32,
    },
    Scan {
        shipment: u32,
        fact: TrackingFact,
        is_old: bool,
    },
    Cancel(Wish),
    Lease(u32),
    /// The amount settled is in per cent of what was asked.
    Result {
        refund: u32,
        result: RefundResult,
    },
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let stages = select(vec!["[UNRELEASED, PLANNED]", "PLANNED", "PREPARING", "[PREPARING, READY]", "LOST"]);
    let on_timeout = select(vec!["PASS", "REFUSE", "ESCALATE"]);
    let on_dispatch = select(vec!["BAR", "REFUSE_PART"]);
    let consent =
        (stages, on_timeout, on_dispatch, any::<bool>()).prop_map(|(stages, on_timeout, on_dispatch, stop)| {
            let consent = gate("SELLER_CONSENT", on_timeout, on_dispatch);
            let stop = if stop { vec![gate("WAREHOUSE_STOP", "REFUSE", "BAR")] } else { Vec::new() };
            let gates: Vec<&str> = std::iter::once(&consent).chain(&stop).map(String::as_str).collect();
            gated(stages, &gates)
        });
    let never = [("WHEN_SHIPMENT_WHOLLY_CANCELLED", "NEVER")];
    let anywhere = "\n  - {id: anywhere, when: {path: CANCEL}, allow: {refund: FULL}}";
    let fixed = vec![
        independent_site(),
        policy(PLAIN),
        policy_with(PLAIN, &never),
        policy(&PLAIN.replace("{refund: FULL}", "{refund: NONE}")),
        policy(anywhere),
    ];
    prop_oneof![2 => select(fixed), 3 => consent]
}

/// Up to three lines of up to four units, each unit in one of up to three shipments.
fn any_cart() -> impl Strategy<Value = Cart> {
    let line = (prop::collection::vec(0..3usize, 1..=4), 0..500i64, 0..=100i64, 0..90i64);
    (prop::collection::vec(line, 1..=3), 0..60i64, 0..20i64).prop_map(|(lines, shipping, shipping_tax)| {
        let mut cart = Cart::of(&[]).shipping(shipping, shipping_tax);
        let mut shipments: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); 3];
        for (number, (units, goods, discount_percent, tax)) in (1..).zip(lines) {
            let quantity = u32::try_from(units.len()).expect("a handful");
            cart.0.lines.extend(Cart::of(&[(quantity, goods)]).0.lines);
            cart = cart.discount_and_tax(goods * discount_percent / 100, tax);
            for shipment in units {
                *shipments[shipment].entry(number).or_default() += 1;
            }
        }
        let shipments: Vec<Vec<(u32, u32)>> =
            shipments.into_iter().filter(|s| !s.is_empty()).map(|s| s.into_iter().collect()).collect();
        cart.split(&shipments.iter().map(Vec::as_slice).collect::<Vec<_>>())
    })
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let lines =
        prop::collection::btree_map(1..=4u32, 1..=5u32, 1..=3).prop_map(|lines| Wish::lines(&Vec::from_iter(lines)));
    let whose = prop_oneof![
        4 => Just(Wish::all()),
        3 => (1..=4u32).prop_map(Wish::shipment),
        6 => lines,
    ];
    let paths = select(vec![vec![Path::Cancel], vec![Path::Cancel, Path::Intercept], vec![Path::Intercept]]);
    (whose, paths, any::<bool>(), any::<bool>(), select(vec![A_REASON, A_REASON, A_REASON, "NO_SUCH_REASON"])).prop_map(
        |(wish, paths, leaves_out, by_seller, reason)| {
            let wish = if leaves_out { wish.leave_out() } else { wish };
            let wish = if by_seller { wish.by_seller() } else { wish.because(reason) };
            wish.paths(&paths)
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let hours = |hours| SignedDuration::from_hours(hours);
    let times = select(vec![MICROSECOND, LEASE, GRACE, hours(1), hours(12), hours(24), hours(48)]);
    let pay = (0..3usize, select(PaymentFact::ALL), select(vec![0, 30, 50, 100, 100, 120]));
    let scan = (1..=4u32, select(TrackingFact::ALL), prop::bool::weighted(0.2));
    let failed = RefundResult::Failed { code: "REFUSED".to_owned() };
    let results = select(vec![settled(100), settled(99), RefundResult::Unknown, failed.clone(), failed]);
    prop_oneof![
        3 => times.prop_map(Step::Wait),
        4 => pay.prop_map(|(payment, fact, percent)| Step::Pay { payment, fact, percent }),
        2 => Just(Step::Pay { payment: 0, fact: PaymentFact::Captured, percent: 100 }),
        1 => (1..=3u32).prop_map(Step::Prepare),
        1 => (1..=3u32).prop_map(Step::Ready),
        2 => (1..=4u32, 0..2u32).prop_map(|(shipment, fence_behind)| Step::Dispatch { shipment, fence_behind }),
        2 => scan.prop_map(|(shipment, fact, is_old)| Step::Scan { shipment, fact, is_old }),
        6 => any_wish().prop_map(Step::Cancel),
        3 => (1..=4u32).prop_map(Step::Lease),
        3 => (1..=4u32, results).prop_map(|(refund, result)| Step::Result { refund, result }),
    ]
}

/// What the random runs have come to: runs that never refuse a part prove nothing about refused parts.
#[derive(Debug, Default)]
struct Reached {
    order: BTreeSet<OrderState>,
    part: BTreeSet<PartState>,
    refund: BTreeSet<RefundState>,
    stage: BTreeSet<Stage>,
    incident: BTreeSet<IncidentKind>,
    answer: BTreeSet<&'static str>,
}

#[test]
fn whatever_happens_money_units_and_versions_add_up() {
    let cases = ProptestConfig::default().cases.max(CASES);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };

    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let reached = RefCell::new(Reached::default());
    let runs = (any_cart(), any_policy(), prop::collection::vec(any_step(), 1..=STEPS_MAX));
    let result = runner.run(&runs, |(cart, policy, steps)| {
        let mut case = cart.place_under(policy);
        check_unit_money(&case.order);
        for step in steps {
            let before = case.order.clone();
            let answer = take(&mut case, step);
            check_money(&case.order);
            check_units(&case.order);
            check_progress(&before, &case.order);
            note(&mut reached.borrow_mut(), &case.order, answer);
            let settled = case.order.clone();
            case.settle();
            prop_assert_eq!(&case.order, &settled, "every command leaves nothing that is due");
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }

    let reached = reached.into_inner();

    assert!(reached.order.iter().eq(OrderState::ALL), "{:?}", reached.order);
    let but = |left_out: &str, names: Vec<&'static str>| names.into_iter().filter(|name| *name != left_out).collect();
    // Nobody withdraws, drops or splits anything yet.
    let part: Vec<&str> = but("WITHDRAWN", PartState::ALL.iter().map(|state| state.name()).collect());
    assert!(reached.part.iter().map(|state| state.name()).eq(part), "{:?}", reached.part);
    let refund: Vec<&str> = but("DROPPED", RefundState::ALL.iter().map(|state| state.name()).collect());
    assert!(reached.refund.iter().map(|state| state.name()).eq(refund), "{:?}", reached.refund);
    let stage: Vec<&str> = but("SPLIT", Stage::ALL.iter().map(|stage| stage.name()).collect());
    assert!(reached.stage.iter().map(|stage| stage.name()).eq(stage), "{:?}", reached.stage);
    assert!(reached.incident.iter().eq(IncidentKind::ALL), "{:?}", reached.incident);
    for answer in
        ["OK", "FENCE_STALE", "ALREADY_PENDING", "UNITS_CLAIMED", "QUANTITY_UNAVAILABLE", "SHIPPED", "SHIPMENT_BARRED"]
    {
        assert!(reached.answer.contains(answer), "{answer} is not among {:?}", reached.answer);
    }
}

/// Takes a step and says what came of it. Refusals are as good as successes here.
fn take(case: &mut Case, step: Step) -> &'static str {
    let total = case.order.total().total();
    let result = match step {
        Step::Wait(time) => {
            case.wait(time).settle();
            return "OK";
        }
        Step::Pay { payment, fact, percent } => case.fact(["p0", "p1", "p2"][payment], fact, total * percent / 100),
        Step::Prepare(shipment) => case.prepare(shipment),
        Step::Ready(shipment) => case.ready(shipment),
        Step::Dispatch { shipment, fence_behind } => {
            let fence = case.order.shipment(shipment).map_or(1, |shipment| shipment.fence);
            case.dispatch_seen(shipment, fence.saturating_sub(fence_behind))
        }
        Step::Scan { shipment, fact, is_old } => {
            let at = if is_old { case.order.create_time } else { case.now };
            case.scan_at(shipment, fact, at)
        }
        Step::Cancel(wish) => return cancel(case, wish),
        Step::Lease(refund) => {
            case.lease(&[refund]);
            return "OK";
        }
        Step::Result { refund, result } => {
            let asked = case.order.refund(refund).map_or(0, |refund| refund.amounts.total());
            let result = match result {
                RefundResult::Settled { amount, .. } => {
                    settled(asked * amount.map_or(100, |percent| percent.minor_units) / 100)
                }
                result @ (RefundResult::Failed { .. } | RefundResult::Unknown) => result,
            };
            case.result(refund, result)
        }
    };
    result.map_or_else(|refused| refused.reason(), |_| "OK")
}

/// A preview must say beforehand what the command then does.
fn cancel(case: &mut Case, mut wish: Wish) -> &'static str {
    if wish.request.reason.as_deref() == Some(A_REASON) {
        // The first reason of each policy here is a buyer's.
        let policy = case.store.policies.version(1).expect("the store has one policy");
        wish.request.reason = Some(policy.reasons[0].code.clone());
    }
    let caller = Actor::new(wish.by, "someone");
    let context = Context { now: case.now, caller: &caller, request_id: Uuid::nil(), store: &case.store };
    let previewed = preview(&case.order, &wish.request, &context);
    let was_open = !case.order.is_wholly_cancelled();
    let known_before = case.order.cancellations.len();
    let result = case.cancel(wish.clone());
    match (previewed, &result) {
        (Err(said), Err(refused)) => assert_eq!(said, *refused),
        (Err(said), Ok(number)) => panic!("previewed {said:?}, but it is cancellation {number}"),
        (Ok(preview), Err(refused)) => assert_eq!(preview.refusals.first(), Some(refused)),
        (Ok(preview), Ok(number)) => {
            assert_eq!(preview.refusals, []);
            if was_open && case.order.cancellations.len() > known_before {
                assert_eq!(preview.refund, case.cancellation(*number).expected_refund());
                check_is_what_was_wished(case, &wish.request.selection, *number);
            }
        }
    }
    result.map_or_else(|refused| refused.reason(), |_| "OK")
}

/// A cancellation is never about more than was asked.
fn check_is_what_was_wished(case: &Case, selection: &Selection, number: u32) {
    let parts = case.cancellation(number).parts.iter();
    let units: UnitSet = parts.clone().flat_map(|part| part.units.ranges().iter().copied()).collect();
    assert_eq!(units.count(), parts.map(|part| part.units.count()).sum::<u32>(), "each unit is in one part");
    match selection {
        Selection::All => {}
        Selection::Shipment(shipment) => assert!(units.minus(&case.shipment(*shipment).units).is_empty()),
        Selection::Lines(lines) => {
            let wished = |line| {
                lines.iter().find(|wished| wished.line == line).map_or(0, |wished: &LineQuantity| wished.quantity)
            };
            assert!(units.lines().all(|line| units.count_of(line) <= wished(line)), "{lines:?}: {units:?}");
        }
    }
}

fn components(amounts: Amounts) -> [i64; 3] {
    [amounts.goods, amounts.tax, amounts.shipping]
}

/// M1, S3, and that nothing is kept that is not due.
fn check_money(order: &Order) {
    for kind in [RefundKind::Refund, RefundKind::Void] {
        let rows = order.refunds.iter().filter(|refund| refund.kind == kind);
        let back: Amounts = rows.clone().map(|refund| refund.amounts).sum();
        for ((back, credited), total) in
            components(back).into_iter().zip(components(order.credited())).zip(components(order.total()))
        {
            assert!(0 <= back && back <= credited && credited <= total, "{kind}: {back} of {credited} of {total}");
        }
        assert!(
            rows.clone()
                .all(|refund| refund.amounts.excess >= 0 && refund.amounts.total() > 0 || kind == RefundKind::Void)
        );
    }
    let mut kept = 0;
    for payment in &order.payments {
        let rows = order.refunds.iter().filter(|r| r.payment == payment.number && r.kind == RefundKind::Refund);
        let back: i64 = rows.clone().map(|refund| refund.amounts.total()).sum();
        assert!(back <= payment.captured, "payment {} of {} gives back {back}", payment.number, payment.captured);
        kept += (payment.captured - payment.returned_outside - back).max(0);
        // What has not been sent yet has its money.
        let can_be_sent = |state| !matches!(state, RefundState::Failed | RefundState::Blocked | RefundState::Dropped);
        let sent: i64 = rows.clone().filter(|r| can_be_sent(r.state)).map(|r| r.amounts.total()).sum();
        let is_unsent = |state| matches!(state, RefundState::Due);
        if rows.clone().any(|refund| is_unsent(refund.state)) {
            assert!(sent + payment.returned_outside <= payment.captured, "payment {} pays twice", payment.number);
        }
        if order.state == OrderState::ClosedUnpaid {
            assert!(back + payment.returned_outside >= payment.captured, "a closed unpaid order keeps nothing");
            assert!(payment.returned_outside > 0 || back == payment.captured);
        }
    }
    assert!(kept <= order.amount_due().max(0), "{kept} is kept and {} due", order.amount_due());
    if order.state == OrderState::ClosedUnpaid {
        assert_eq!(order.amount_due(), 0);
    }
    for refund in order.refunds.iter().filter(|refund| refund.state == RefundState::Due) {
        let is_contested = order.is_contested(refund.cancellation);
        assert!(!is_contested, "no money leaves for what was scanned out");
    }
}

/// M2: what single units carry adds up to the totals.
fn check_unit_money(order: &Order) {
    let single = |line: u32, index: u32| {
        order.amounts_of(&UnitSet::new([belay_domain::units::UnitRange { line, first: index, count: 1 }]))
    };
    let units = order.lines.iter().flat_map(|line| (0..line.quantity).map(|index| single(line.number, index)));
    let shipping = order.shipments.iter().map(|shipment| shipment.shipping_amounts());
    assert_eq!(units.chain(shipping).sum::<Amounts>(), order.total());
}

/// M3: every unit is in one shipment and has one end.
fn check_units(order: &Order) {
    let of = |sets: Vec<&UnitSet>| {
        let count: u32 = sets.iter().map(|set| set.count()).sum();
        let union: UnitSet = sets.iter().flat_map(|set| set.ranges().iter().copied()).collect();
        assert_eq!(union.count(), count, "the sets are disjoint");
        union
    };
    assert_eq!(of(order.shipments.iter().map(|shipment| &shipment.units).collect()), order.units());
    let parts = |state| {
        let parts = order.cancellations.iter().flat_map(|cancellation| &cancellation.parts);
        parts.filter(move |part| part.state == state).map(|part| &part.units).collect::<Vec<_>>()
    };
    let (claimed, cancelled) = (of(parts(PartState::Waiting)), of(parts(PartState::Cancelled)));
    assert!(claimed.intersection(&cancelled).is_empty());
    assert!(order.shipped_units().count() + cancelled.count() <= order.units().count());
    for shipment in &order.shipments {
        let is_empty = order.live_units(shipment).is_empty();
        assert!(shipment.stage != Stage::Cancelled || is_empty, "a cancelled shipment has no live units");
        assert!(!(shipment.stage.is_before_dispatch() && is_empty), "what has no live units does not wait to leave");
        let is_released = shipment.stage.is_before_dispatch() && shipment.stage != Stage::Unreleased;
        assert!(!is_released || order.paid_time.is_some(), "only what is paid is packed");
        let may_go = order.paid_time.is_some() && !order.has_waiting_parts();
        assert!(!(may_go && shipment.stage == Stage::Unreleased), "what is paid and waits for nobody is released");
    }
    for cancellation in &order.cancellations {
        let waits = cancellation.parts.iter().any(|part| part.state == PartState::Waiting);
        assert_eq!(cancellation.close_time.is_none(), waits, "cancellation {}", cancellation.number);
        for part in &cancellation.parts {
            assert_eq!(part.open_gate().is_some(), part.state == PartState::Waiting, "who waits, waits for somebody");
        }
    }
}

/// What one command may not undo, and what must not leave.
fn check_progress(before: &Order, after: &Order) {
    let is_final = matches!(before.state, OrderState::Cancelled | OrderState::ClosedUnpaid);
    assert!(!is_final || after.state == before.state, "{} became {}", before.state, after.state);
    assert!(before.paid_time.is_none() || after.paid_time == before.paid_time);
    for (before, after) in before.refunds.iter().zip(&after.refunds) {
        let is_final = matches!(before.state, RefundState::Failed | RefundState::Dropped);
        assert!(!is_final || after.state == before.state);
        assert_eq!((before.number, before.amounts, before.payment), (after.number, after.amounts, after.payment));
    }
    for (before, after) in before.cancellations.iter().zip(&after.cancellations) {
        assert!(before.close_time.is_none() || before == after, "a closed cancellation does not change");
        for (before, after) in before.parts.iter().zip(&after.parts) {
            assert!(before.state == PartState::Waiting || before.state == after.state);
        }
    }
    for (was, is) in before.shipments.iter().zip(&after.shipments) {
        assert!(is.fence >= was.fence);
        let cancelled_there = |order: &Order| shipment_cancelled_units(order, was.number);
        let is_changed = cancelled_there(before) != cancelled_there(after);
        assert!(!is_changed || is.fence > was.fence, "a cancellation on shipment {} moves its fence", was.number);
        let is_released = (was.stage, is.stage) == (Stage::Unreleased, Stage::Planned);
        assert!(!(is_released && after.has_waiting_parts()), "shipment {} is released while a part waits", is.number);
        let leaves = !was.stage.is_dispatched() && is.stage.is_dispatched();
        let is_contested = after.incidents.iter().any(|incident| {
            incident.kind == IncidentKind::CancelledYetShipped
                && incident.state == IncidentState::Open
                && incident.shipment == Some(is.number)
        });
        assert!(!leaves || is_contested || !before.live_units(was).is_empty(), "shipment {} leaves empty", is.number);
        let closes_unpaid = before.state != OrderState::ClosedUnpaid && after.state == OrderState::ClosedUnpaid;
        let is_gone = is.stage.is_dispatched() && is.stage != Stage::Returned;
        assert!(!(closes_unpaid && is_gone) || is_contested, "shipment {} was sent and never paid", is.number);
    }
}

fn shipment_cancelled_units(order: &Order, shipment: u32) -> u32 {
    let units = order.shipment(shipment).map(|shipment| shipment.units.clone()).unwrap_or_default();
    units.intersection(&order.cancelled_units()).count()
}

fn note(reached: &mut Reached, order: &Order, answer: &'static str) {
    reached.order.insert(order.state);
    reached.part.extend(order.cancellations.iter().flat_map(|c| &c.parts).map(|part| part.state));
    reached.refund.extend(order.refunds.iter().map(|refund| refund.state));
    reached.stage.extend(order.shipments.iter().map(|shipment| shipment.stage));
    reached.incident.extend(order.incidents.iter().map(|incident| incident.kind));
    reached.answer.insert(answer);
}

#[test]
fn a_refused_command_leaves_a_settled_order_as_it_was() {
    let refused = |case: &mut Case, wish: Wish| {
        let before = case.order.clone();
        let answer = case.run(wish.by, None, Command::RequestCancellation(wish.request));
        assert!(matches!(answer, Err(Rejection::Ineligible { .. })));
        assert_eq!(case.order, before);
    };
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.bring_to(1, Stage::InTransit);
    refused(&mut case, Wish::all());
    refused(&mut case, Wish::shipment(1).leave_out());
}
