//! Random commands on random orders under random policies, and what must hold after each of them,
//! whatever they are.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{GateState, PartState};
use belay_domain::commands::{self, Command, Matching, RequestCancellation, Selection, preview};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::decision::AskedQuestion;
use belay_domain::decision::LoggedEvaluation;
use belay_domain::event::EventType;
use belay_domain::incident::{IncidentKind, Resolution};
use belay_domain::order::{Order, OrderState};
use belay_domain::policy::Verdict;
use belay_domain::refund::RefundState;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use belay_domain::shipment::{InterceptState, Stage};
use belay_domain::terms::GateKind;
use belay_domain::units::{LineQuantity, UnitSet};
use jiff::Timestamp;
use uuid::Uuid;

use crate::history;
use crate::invariants::{self, TakenAsLost};
use crate::kit::{CancellationRequest, Cart, Case, PLACED};
use crate::random::{self, Random, Step};
use crate::simulation;
use crate::states::{self, Changes};

/// Random orders, each under policies of its own. BELAY_PROPERTY_CASES tries more of them.
const CASES: u64 = 2500;
/// The same of what goods that were cancelled and have left are about.
const CONTESTED_CASES: u64 = 1000;
/// Cases beyond the first that meet what is rare.
const RARE_CASES: [u64; 4] = [3386, 10730, 18491, 24802];
/// Of each order at most.
const STEPS_MAX: usize = 40;
/// Runs that fail, before it is enough of them.
const FAILURES_MAX: usize = 20;

/// The states that the random runs have come to: runs that never refuse a part prove nothing about
/// refused parts.
#[derive(Debug, Default)]
struct Reached {
    order: BTreeSet<OrderState>,
    part: BTreeSet<PartState>,
    gate: BTreeSet<(GateKind, GateState)>,
    refund: BTreeSet<RefundState>,
    stage: BTreeSet<Stage>,
    intercept: BTreeSet<InterceptState>,
    incident: BTreeSet<(IncidentKind, Option<Resolution>)>,
    event: BTreeSet<EventType>,
    answer: BTreeSet<(String, &'static str)>,
    changes: Changes,
}

/// The kind of store that random orders are placed in, and what comes to pass there.
#[derive(Debug, Clone, Copy)]
struct Course {
    store: fn(&mut Random, Timestamp) -> StoreConfig,
    step: fn(&mut Random, &Order, Timestamp) -> Step,
}

#[test]
fn whatever_happens_money_units_and_versions_add_up() {
    let mut reached = Reached::default();
    let course = Course {
        store: random::store,
        step: random::step,
    };
    run_all((0..cases(CASES)).chain(RARE_CASES), course, &mut reached);
    check_reached(&reached);
    states::rare(&mut reached.changes);
    reached.changes.check();
}

/// What is cancelled leaves or is found more often than not, and money goes back meanwhile.
#[test]
fn whatever_becomes_of_contested_goods_money_and_units_add_up() {
    let mut reached = Reached::default();
    let course = Course {
        store: random::store_that_pays_for_losses,
        step: random::step_of_contested,
    };
    run_all(0..cases(CONTESTED_CASES), course, &mut reached);
    use Resolution::{DropRefund, RefundAnyway, RetryRefund};
    let contested = [None, Some(DropRefund), Some(RefundAnyway)];
    let mismatch = [
        None,
        Some(DropRefund),
        Some(RefundAnyway),
        Some(RetryRefund),
    ];
    let contested = contested.map(|by| (IncidentKind::CancelledYetShipped, by));
    let mismatch = mismatch.map(|by| (IncidentKind::RefundMismatch, by));
    for resolved in contested.iter().chain(&mismatch) {
        assert!(reached.incident.contains(resolved), "{resolved:?}");
    }
}

fn cases(usual: u64) -> u64 {
    let cases = std::env::var("BELAY_PROPERTY_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn run_all(seeds: impl Iterator<Item = u64>, course: Course, reached: &mut Reached) {
    let mut failures = Vec::new();
    for seed in seeds {
        let mut steps = Vec::new();
        let run = catch_unwind(AssertUnwindSafe(|| run(seed, course, &mut steps, reached)));
        if let Err(failure) = run {
            let said = failure.downcast_ref::<String>().cloned();
            let said = said.or_else(|| failure.downcast_ref::<&str>().map(|&said| said.to_owned()));
            failures.push((steps, seed, said.unwrap_or_default()));
        }
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    // Of several runs that fail, the shortest tells most.
    failures.sort_by_key(|(steps, seed, _)| (steps.len(), *seed));
    if let Some((steps, seed, _)) = failures.first() {
        let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
        let all: Vec<String> = failures
            .iter()
            .map(|(_, seed, said)| format!("seed {seed}: {said}"))
            .collect();
        panic!(
            "{}\nseed {seed} does so after\n{}",
            all.join("\n"),
            steps.join("\n")
        );
    }
}

/// One order from its placing on. `steps` are those taken so far.
fn run(seed: u64, course: Course, steps: &mut Vec<Step>, reached: &mut Reached) {
    let random = &mut Random::from_seed(seed);
    let store = (course.store)(random, PLACED);
    let mut taken_as_lost = TakenAsLost::default();
    let mut case = Cart(random::create_order(random)).place_in(store);
    invariants::check(&case.order, case.now);
    reached.changes.placed(&case.order);
    for _ in 0..=random.below(STEPS_MAX) {
        let step = (course.step)(random, &case.order, case.now);
        steps.push(step.clone());
        let before = case.order.clone();
        let (name, answer) = take(&mut case, step, random);
        invariants::check(&case.order, case.now);
        history::check(&case.history, &case.order);
        // What was due and what was asked are two steps, though they are one command.
        let was_due = commands::settled(&before, &case.context());
        invariants::check_step(&before, &was_due);
        invariants::check_step(&was_due, &case.order);
        taken_as_lost.check_step(&before, &was_due);
        taken_as_lost.check_step(&was_due, &case.order);
        let changes = &mut reached.changes;
        changes.step(&before, &was_due, states::DEADLINE);
        changes.step(&was_due, &case.order, &name);
        check_given_away(&before, &case);
        simulation::check_same(&case);
        note(reached, &case, name, answer);
        let settled = case.order.clone();
        case.settle();
        assert_eq!(
            case.order, settled,
            "every command leaves nothing that is due"
        );
    }
}

/// Takes a step and says of what kind it was and what came of it. Rejections are as good as
/// successes here.
fn take(case: &mut Case, step: Step, random: &mut Random) -> (String, &'static str) {
    match step {
        Step::Wait(time) => {
            case.wait(time);
            check_lateness(case);
            case.settle();
            ("WAIT".to_owned(), "OK")
        }
        Step::Do {
            by,
            expected_version,
            command,
        } => match (expected_version, *command) {
            (None, Command::RequestCancellation(request)) => (
                "RequestCancellation".to_owned(),
                cancel(case, by, request, random),
            ),
            (expected_version, command) => {
                let debug = format!("{command:?}");
                let name = debug.split('(').next().unwrap_or_default().to_owned();
                let result = case.run(by, expected_version, command);
                (
                    name,
                    result.map_or_else(|refused| refused.reason().name(), |_| "OK"),
                )
            }
        },
    }
}

/// S1: what is cancelled outside although no carrier and no receipt says where it is, was given
/// away by a policy that was asked about the stage outside.
fn check_given_away(before: &Order, case: &Case) {
    let log = case.last.log.as_ref();
    for of in &case.order.cancellations {
        let cancelled = of
            .parts
            .iter()
            .filter(|part| part.state == PartState::Cancelled);
        for part in cancelled.filter(|part| !part.units.minus(&before.cancelled_units()).is_empty())
        {
            let stage = before
                .shipment(part.shipment)
                .map(|shipment| shipment.stage);
            let is_outside =
                stage.is_some_and(|stage| stage.is_dispatched() && stage != Stage::Lost);
            let is_of_carrier =
                of.requester.role == Role::Carrier || of.requester.role == Role::System;
            let is_explained =
                part.receipt.is_some() || part.relies_on_the_carrier_alone() || is_of_carrier;
            let was_asked = |logged: &LoggedEvaluation| logged.policy_version == of.policy_version;
            let is_asked = log.is_some_and(|log| log.evaluations.iter().any(was_asked));
            // Of what is lost just now its gates say what that means, and no rule.
            let is_lost = case.shipment(part.shipment).stage == Stage::Lost;
            if is_outside && !is_explained && (is_asked || !is_lost) {
                let gave = |logged: &LoggedEvaluation| {
                    let is_outside = |asked: &AskedQuestion| asked.question.stage.is_dispatched();
                    let last = logged.asked.last().filter(|asked| is_outside(asked));
                    let allows =
                        last.is_some_and(|asked| matches!(asked.answer, Verdict::Allow { .. }));
                    logged.shipment == part.shipment && was_asked(logged) && allows
                };
                assert!(
                    log.is_some_and(|log| log.evaluations.iter().any(gave)),
                    "{part:?} is outside, and nobody gave it away"
                );
            }
        }
    }
}

/// It makes no difference whether a worker applied each deadline in time or all of them late.
fn check_lateness(case: &Case) {
    let mut in_time = case.order.clone();
    let caller = Actor::system();
    let context = |now: Timestamp| Context {
        now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    while let Some(due) = in_time.next_due().filter(|due| *due <= case.now) {
        in_time = commands::settled(&in_time, &context(due));
    }
    let late = commands::settled(&case.order, &context(case.now));
    let told = |order: Order| Order {
        version: 0,
        update_time: PLACED,
        ..order
    };
    assert_eq!(
        told(late),
        told(in_time),
        "late and in time come to the same"
    );
}

/// A preview must say beforehand what the command then does, and what it quotes must be what is
/// got.
fn cancel(
    case: &mut Case,
    by: Role,
    mut request: RequestCancellation,
    random: &mut Random,
) -> &'static str {
    let caller = Actor::new(by, "someone");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    let previewed = preview(&case.order, &request, &context);
    if let Ok(previewed) = &previewed
        && random.chance(50)
    {
        request.quote = previewed.quote.clone().map(Box::new);
    }
    let was_open = !case.order.is_wholly_cancelled();
    let known_before = case.order.cancellations.len();
    let selection = request.selection.clone();
    let result = case.cancel(CancellationRequest { by, request });
    match (previewed, &result) {
        (Err(said), Err(refused)) => assert_eq!(said, *refused),
        (Err(said), Ok(number)) => panic!("previewed {said:?}, but it is cancellation {number}"),
        (Ok(preview), Err(refused)) => assert_eq!(preview.rejections.first(), Some(refused)),
        (Ok(preview), Ok(number)) => {
            assert_eq!(preview.rejections, []);
            if was_open && case.order.cancellations.len() > known_before {
                let promise = case.promise(*number);
                assert_eq!(
                    (preview.refund, preview.release),
                    (promise.refund, promise.release)
                );
                check_is_what_was_requested(case, &selection, *number);
            }
        }
    }
    result.map_or_else(|refused| refused.reason().name(), |_| "OK")
}

/// A cancellation is never about more than was asked.
fn check_is_what_was_requested(case: &Case, selection: &Selection, number: u32) {
    let parts = case.cancellation(number).parts.iter();
    let units: UnitSet = parts
        .clone()
        .flat_map(|part| part.units.ranges().iter().copied())
        .collect();
    assert_eq!(
        units.count(),
        parts.map(|part| part.units.count()).sum::<u32>(),
        "each unit is in one part"
    );
    match selection {
        Selection::All => {}
        Selection::Shipment(shipment) => {
            assert!(units.minus(&case.shipment(*shipment).units).is_empty())
        }
        Selection::Matching(matching) => {
            let Matching { sku, warehouse } = &**matching;
            let is_of = |line| {
                sku.as_ref()
                    .is_none_or(|sku| case.order.line(line).unwrap().sku == *sku)
            };
            assert!(units.lines().all(is_of), "{sku:?}: {units:?}");
            let shipments = case.order.shipments.iter();
            let elsewhere = shipments
                .filter(|shipment| {
                    warehouse
                        .as_ref()
                        .is_some_and(|id| shipment.warehouse != *id)
                })
                .all(|shipment| units.intersection(&shipment.units).is_empty());
            assert!(elsewhere, "{warehouse:?}: {units:?}");
        }
        Selection::Lines(lines) => {
            let requested = |line| {
                lines
                    .iter()
                    .find(|requested| requested.line == line)
                    .map_or(0, |requested: &LineQuantity| requested.quantity)
            };
            assert!(
                units
                    .lines()
                    .all(|line| units.count_of(line) <= requested(line)),
                "{lines:?}: {units:?}"
            );
        }
    }
}

fn note(reached: &mut Reached, case: &Case, name: String, answer: &'static str) {
    let order = &case.order;
    reached.order.insert(order.state);
    let parts = || {
        order
            .cancellations
            .iter()
            .flat_map(|cancellation| &cancellation.parts)
    };
    reached.part.extend(parts().map(|part| part.state));
    reached.gate.extend(
        parts()
            .flat_map(|part| &part.gates)
            .map(|gate| (gate.spec.kind, gate.state)),
    );
    reached
        .refund
        .extend(order.refunds.iter().map(|refund| refund.state));
    reached
        .stage
        .extend(order.shipments.iter().map(|shipment| shipment.stage));
    let intercepts = order
        .shipments
        .iter()
        .filter_map(|shipment| shipment.intercept);
    reached
        .intercept
        .extend(intercepts.map(|intercept| intercept.state));
    reached.incident.extend(
        order
            .incidents
            .iter()
            .map(|incident| (incident.kind, incident.resolution)),
    );
    reached.event.extend(
        case.last
            .events
            .iter()
            .map(|event| event.detail.event_type()),
    );
    reached.answer.insert((name, answer));
}

fn check_reached(reached: &Reached) {
    assert!(
        reached.order.iter().eq(OrderState::ALL),
        "{:?}",
        reached.order
    );
    assert!(reached.part.iter().eq(PartState::ALL), "{:?}", reached.part);
    assert!(
        reached.refund.iter().eq(RefundState::ALL),
        "{:?}",
        reached.refund
    );
    assert!(reached.stage.iter().eq(Stage::ALL), "{:?}", reached.stage);
    assert!(
        reached.intercept.iter().eq(InterceptState::ALL),
        "{:?}",
        reached.intercept
    );
    for kind in GateKind::ALL {
        for state in GateState::ALL {
            assert!(
                reached.gate.contains(&(*kind, *state)),
                "{kind} is never {state}"
            );
        }
    }
    let missing = |kind, resolutions: &[Option<Resolution>]| {
        let is_missing =
            |resolution: &&Option<Resolution>| !reached.incident.contains(&(kind, **resolution));
        resolutions
            .iter()
            .filter(is_missing)
            .copied()
            .collect::<Vec<_>>()
    };
    use Resolution::{Accept, DropRefund, RefundAnyway, RetryRefund};
    let incidents: &[(IncidentKind, &[Option<Resolution>])] = &[
        (
            IncidentKind::CancelledYetShipped,
            &[None, Some(RefundAnyway), Some(DropRefund)],
        ),
        (IncidentKind::LateFact, &[None, Some(Accept)]),
        (
            IncidentKind::RefundMismatch,
            &[None, Some(DropRefund), Some(Accept)],
        ),
        (
            IncidentKind::RefundFailed,
            &[None, Some(RetryRefund), Some(Accept)],
        ),
        (IncidentKind::PaymentLapsed, &[None, Some(Accept)]),
        (IncidentKind::GoodsUnpaid, &[None, Some(Accept)]),
        (IncidentKind::OverRefunded, &[None, Some(Accept)]),
        (
            IncidentKind::CaptureMismatch,
            &[None, Some(Accept), Some(RefundAnyway)],
        ),
    ];
    for (kind, resolutions) in incidents {
        assert_eq!(missing(*kind, resolutions), [], "{kind}");
    }
    // Placing an order is no step.
    let events: BTreeSet<EventType> = EventType::ALL
        .iter()
        .copied()
        .filter(|event| *event != EventType::OrderCreated)
        .collect();
    assert_eq!(
        events.difference(&reached.event).collect::<Vec<_>>(),
        Vec::<&EventType>::new()
    );
    let wanted = ANSWERS.iter().flat_map(|(command, answers)| {
        answers
            .iter()
            .map(|answer| ((*command).to_owned(), *answer))
    });
    let missing: Vec<_> = wanted
        .filter(|wanted| !reached.answer.contains(wanted))
        .collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are never answered, only {:?}",
        reached.answer
    );
}

/// What each command must have been answered at least once.
const ANSWERS: &[(&str, &[&str])] = &[
    ("RecordPayment", &["OK"]),
    (
        "RequestCancellation",
        &[
            "OK",
            "ALREADY_PENDING",
            "UNITS_CLAIMED",
            "QUANTITY_UNAVAILABLE",
            "PAYMENT_VERIFYING",
            "REASON_UNKNOWN",
        ],
    ),
    (
        "StartPreparation",
        &[
            "OK",
            "NOT_RELEASED",
            "STAGE_MISMATCH",
            "FENCE_STALE",
            "ETAG_MISMATCH",
        ],
    ),
    (
        "MarkReady",
        &["OK", "NOT_RELEASED", "STAGE_MISMATCH", "FENCE_STALE"],
    ),
    (
        "DispatchShipment",
        &[
            "OK",
            "NOT_RELEASED",
            "PAYMENT_LAPSED",
            "FENCE_STALE",
            "SHIPMENT_HELD",
            "SHIPMENT_BARRED",
        ],
    ),
    ("RecordTracking", &["OK", "SHIPMENT_NOT_FOUND"]),
    ("LeaseRefunds", &["OK"]),
    (
        "RecordRefundResult",
        &["OK", "REFUND_NOT_FOUND", "REFUND_NOT_CLAIMED"],
    ),
    (
        "ApproveCancellation",
        &["OK", "CANCELLATION_NOT_FOUND", "GATE_NOT_OPEN"],
    ),
    (
        "RejectCancellation",
        &["OK", "CANCELLATION_NOT_FOUND", "GATE_NOT_OPEN"],
    ),
    (
        "WithdrawCancellation",
        &["OK", "NOT_THE_REQUESTER", "TOO_LATE_TO_WITHDRAW"],
    ),
    (
        "AnswerStop",
        &["OK", "GATE_NOT_OPEN", "QUANTITY_UNAVAILABLE"],
    ),
    ("AnswerIntercept", &["OK"]),
    (
        "ReceiveParcel",
        &["OK", "STAGE_MISMATCH", "QUANTITY_UNAVAILABLE"],
    ),
    ("HoldShipment", &["OK", "INVALID_FIELD", "STAGE_MISMATCH"]),
    ("ReleaseHold", &["OK"]),
    (
        "SplitShipment",
        &[
            "OK",
            "INVALID_FIELD",
            "SHIPMENT_BARRED",
            "SPLIT_NOT_ALLOWED",
        ],
    ),
    (
        "ResolveIncident",
        &["OK", "INCIDENT_RESOLVED", "RESOLUTION_NOT_ALLOWED"],
    ),
    ("UpdateMetadata", &["OK", "CANCELLATION_NOT_FOUND"]),
    ("AddNote", &["OK", "CANCELLATION_NOT_FOUND"]),
];

#[test]
fn a_refused_command_leaves_a_settled_order_as_it_was() {
    let refused = |case: &mut Case, cancel_request: CancellationRequest| {
        let before = case.order.clone();
        let answer = case.run(
            cancel_request.by,
            None,
            Command::RequestCancellation(cancel_request.request),
        );
        assert!(matches!(answer, Err(Rejection::Ineligible { .. })));
        assert_eq!(case.order, before);
    };
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.bring_to(1, Stage::InTransit);
    refused(&mut case, CancellationRequest::all());
    refused(&mut case, CancellationRequest::shipment(1).leave_out());
}
