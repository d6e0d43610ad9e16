//! What becomes of a parcel that somebody wants back: where it is × what is waited for × what is
//! told × what time it is, each with its end, when all deadlines have passed.

use belay_domain::cancellation::PartState;
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::incident::IncidentState;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GateKind, GoodsCondition, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, MICROSECOND};
use crate::{history, invariants};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

/// The phase of the gate's time in which the fact is told.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// It runs.
    InTime,
    /// It is over, and support is asked in place of whoever kept silent.
    WithSupport,
    /// It is over, and silence meant no.
    Refused,
}

const TIMES: [Phase; 3] = [Phase::InTime, Phase::WithSupport, Phase::Refused];

#[derive(Debug, Clone, Copy)]
enum Fact {
    /// Nothing is told.
    Silence,
    Received,
    Confirmed,
    Scanned(TrackingFact),
}

fn facts() -> Vec<Fact> {
    let scans = TrackingFact::ALL.iter().map(|fact| Fact::Scanned(*fact));
    [Fact::Silence, Fact::Received, Fact::Confirmed]
        .into_iter()
        .chain(scans)
        .collect()
}

/// One unit of 1.00 that the buyer wants back while it is on its way; then its time goes on, and
/// then its way.
fn waiting(kind: GateKind, time: Phase, stage: Stage) -> Case {
    let on_timeout = match time {
        Phase::Refused => "REFUSE",
        // Support has nobody to escalate to.
        Phase::InTime | Phase::WithSupport if kind == GateKind::SupportReview => "REFUSE",
        Phase::InTime | Phase::WithSupport => "ESCALATE",
    };
    // A loss is what is to be confirmed, or what support decides about; consents know no loss.
    let on_lost = match kind {
        GateKind::LossConfirmation => "PASS",
        GateKind::WarehouseStop | GateKind::CarrierIntercept | GateKind::ParcelReceipt => {
            "ESCALATE"
        }
        GateKind::SellerConsent | GateKind::SupportReview => "-",
    };
    let mut gate = format!("kind: {kind}, respond_within: 48h, on_timeout: {on_timeout}");
    if [on_timeout, on_lost].contains(&"ESCALATE") {
        gate += ", escalate_within: 48h";
    }
    if on_lost != "-" {
        gate += &format!(", on_lost: {on_lost}");
    }
    let gate = format!("{{{gate}}}");
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[&gate]));
    case.dispatch(1).unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    match time {
        Phase::InTime => {}
        Phase::WithSupport | Phase::Refused => drop(case.wait(HOURS_48).settle()),
    }
    let scan = match stage {
        Stage::Delivered => Some(TrackingFact::Delivered),
        Stage::Lost => Some(TrackingFact::Lost),
        Stage::Returning => Some(TrackingFact::Returning),
        Stage::Returned => Some(TrackingFact::Returned),
        Stage::InTransit => None,
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Split => {
            panic!("{stage} is inside")
        }
    };
    case.wait(MICROSECOND);
    scan.into_iter()
        .for_each(|scan| drop(case.scan(1, scan).unwrap()));
    assert_eq!(case.stage(1), stage);
    case.wait(MICROSECOND);
    case
}

/// `paid`, `kept`, or `open` while somebody is asked; `+told` where an incident says so.
fn stands(case: &Case) -> String {
    let parts = || case.order.cancellations.iter().flat_map(|of| &of.parts);
    let any = |state| parts().any(|part| part.state == state);
    let word = match (any(PartState::Cancelled), any(PartState::Waiting)) {
        (true, _) => "paid",
        (false, true) => "open",
        (false, false) => "kept",
    };
    let is_told = case
        .order
        .incidents
        .iter()
        .any(|incident| incident.state == IncidentState::Open);
    format!("{word}{}", if is_told { "+told" } else { "" })
}

fn cell(kind: GateKind, time: Phase, stage: Stage, fact: Fact) -> String {
    let mut case = waiting(kind, time, stage);
    let answer = match fact {
        Fact::Silence => Ok(belay_domain::decision::Answer::Nothing),
        Fact::Received => case.receive(1, GoodsCondition::Opened),
        Fact::Confirmed => case.confirm_intercept(1),
        Fact::Scanned(fact) => case.scan(1, fact),
    };
    if let Err(refused) = answer {
        assert_eq!(refused.reason(), ErrorReason::GateNotOpen);
        return "-".to_owned();
    }
    let at_once = stands(&case);
    if matches!(fact, Fact::Received) {
        assert!(
            case.events().contains(&EventType::ParcelReceived),
            "whoever watches is told"
        );
        assert_eq!(
            (case.stage(1), case.shipment(1).whereabouts.out().count()),
            (Stage::Returned, 0)
        );
    }
    // Until nobody is asked any more.
    for _ in 0..6 {
        case.wait(HOURS_48).settle();
    }
    let end = stands(&case);
    let name = format!("{kind} {time:?} {stage} {fact:?}");
    assert!(!end.starts_with("open"), "{name} never ends");
    let is_lost_to_silence = matches!(fact, Fact::Received) && end == "kept";
    assert!(
        !is_lost_to_silence,
        "{name}: the parcel is home, its money is kept, and nobody was told"
    );
    invariants::check(&case.order, case.now);
    history::check(&case.history, &case.order);
    if at_once == end {
        at_once
    } else {
        format!("{at_once}>{end}")
    }
}

#[test]
fn every_parcel_comes_to_the_end_that_the_table_says() {
    let stages: Vec<Stage> = Stage::ALL
        .iter()
        .copied()
        .filter(|stage| stage.is_dispatched())
        .collect();
    let mut found = String::new();
    for kind in GateKind::ALL {
        for time in TIMES {
            for stage in &stages {
                let cells: Vec<String> = facts()
                    .into_iter()
                    .map(|fact| cell(*kind, time, *stage, fact))
                    .collect();
                found += &format!("{kind} {time:?} {stage} | {}\n", cells.join(" "));
            }
        }
    }
    let expected = include_str!("ends.txt");
    let rows = |table: &str| {
        table
            .lines()
            .filter(|row| !row.starts_with('#'))
            .map(squeezed)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rows(expected).len(),
        GateKind::ALL.len() * TIMES.len() * stages.len()
    );
    for (expected, found) in rows(expected).into_iter().zip(rows(&found)) {
        assert_eq!(found, expected);
    }
}

fn squeezed(row: &str) -> String {
    row.split_whitespace().collect::<Vec<_>>().join(" ")
}
