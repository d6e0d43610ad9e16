//! RecordTracking: a carrier reports where a shipment is. Facts are recorded, never refused; each
//! counts once.
//!
//! Where a shipment stands is folded from its facts in the order in which they happened, so that it
//! ends the same in whatever order they are told. A scan on the way says least: it never takes back
//! a delivery or that the parcel was turned round. So an older fact never moves a shipment back,
//! and moves it on where nothing later says otherwise.
//!
//! Here is decided whether a unit may be dispatched and cancelled both. It may, and contradicts
//! nothing, where it was cancelled while it was outside, because
//! - its carrier has confirmed that it brings the parcel back (CARRIER_INTERCEPT),
//! - it is home (PARCEL_RECEIPT, or a receipt that support lets count after its time),
//! - it is lost (LOSS_CONFIRMATION, `on_lost`, support that decides about the loss, or the policy
//!   that is asked while it is LOST),
//! - its carrier has given up on it and cancels it (undeliverable return), or
//! - the policy, asked about another stage outside, gave it away.
//!
//! Every other way opens CANCELLED_YET_SHIPPED, once for the same units: it had been cancelled
//! whole while it was inside and is scanned out; it was sent and never paid, so that the order
//! closed behind it; or units of it were given up on the carrier's word (the first, third and
//! fourth above) and are delivered after all. Units that were cancelled inside while others of
//! their shipment left stayed behind: the fence saw to that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::cancellation::{Cancellation, GateAnswer, Part, PartState};
use crate::decision::Answer;
use crate::event::EventDetail;
use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{departure, intercepts, parts, undeliverable};
use crate::order::{FACTS_MAX, FACTS_ROOM};
use crate::refund::RefundState;
use crate::rejection::{Limit, Rejection};
use crate::shipment::{InterceptState, Scan, Shipment, Stage, TrackingFact};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordTracking {
    pub shipment: u32,
    /// The fact counts once under this id.
    pub carrier_event_id: ExternalId,
    pub fact: TrackingFact,
    /// By the carrier's clock; none is now.
    pub occurred_time: Option<Timestamp>,
}

/// The transition that a fact causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transition {
    Move(Stage),
    RecordOnly,
    /// The shipment was cancelled and has left all the same.
    Contradiction(Stage),
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &RecordTracking) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let shipment = draft.shipment_at(number, None)?;
    if shipment
        .carrier_event_ids
        .contains(&command.carrier_event_id)
    {
        return Ok(Answer::Shipment(number));
    }
    // No scan is of the future: a carrier's clock that is ahead must not hide the scans that
    // follow.
    let occurred_time = command.occurred_time.unwrap_or(draft.now).min(draft.now);
    let mut scans = known_scans(shipment);
    let before = ScanSummary::of(&scans);
    scans.push(Scan {
        fact: command.fact,
        time: occurred_time,
    });
    let summary = ScanSummary::of(&scans);
    let transition = transition_now(shipment.stage, command.fact, summary);
    let max = match transition {
        Transition::RecordOnly => FACTS_MAX,
        Transition::Move(_) | Transition::Contradiction(_) => FACTS_MAX + FACTS_ROOM,
    };
    Limit::ShipmentFacts.check(shipment.carrier_event_ids.len(), max)?;

    let was_given_up = is_given_up_untold(draft, number);
    let was_dispatched = shipment.stage.is_dispatched();
    let shipment = draft.shipment_mut(number);
    shipment
        .carrier_event_ids
        .push(command.carrier_event_id.clone());
    shipment.last_tracking_time = shipment.last_tracking_time.max(Some(occurred_time));
    draft.emit(EventDetail::TrackingRecorded {
        shipment: number,
        fact: command.fact,
        occurred_time,
    });
    match transition {
        Transition::RecordOnly if !was_dispatched => {}
        Transition::RecordOnly => keep(draft, number, scans, summary),
        Transition::Move(to) => {
            let unseen = (!was_dispatched).then_some(occurred_time);
            move_on(draft, number, to, unseen, scans, summary);
            if to == Stage::Delivered && was_given_up {
                contest(draft, number);
            }
        }
        Transition::Contradiction(to) => {
            leave(draft, number, occurred_time);
            keep(draft, number, scans, summary);
            draft.move_shipment(number, to);
            contest(draft, number);
            if to == Stage::InTransit && can_intercept(draft, number) {
                intercepts::request(draft, number);
            }
        }
    }
    // It had been turned round before it was lost: as much is told now.
    let is_lost = is_at(draft, number, Stage::Lost);
    if is_lost && was_dispatched && summary.turned_round && !before.turned_round {
        turned_round(draft, number);
    }
    Ok(Answer::Shipment(number))
}

/// Moves a shipment to where it is outside. `unseen` is when it is first seen there, where nobody
/// dispatched it.
fn move_on(
    draft: &mut Draft<'_>,
    number: u32,
    to: Stage,
    unseen: Option<Timestamp>,
    scans: Vec<Scan>,
    summary: ScanSummary,
) {
    draft.end_hold(number);
    if let Some(first_seen) = unseen {
        leave(draft, number, first_seen);
    }
    keep(draft, number, scans, summary);
    if unseen.is_some() {
        let first = way_out(to);
        draft.move_shipment(number, first);
        parts::yield_to_dispatch(draft, number);
        follow(draft, number, first);
    }
    if !is_at(draft, number, to) {
        draft.move_shipment(number, to);
        follow(draft, number, to);
    }
}

fn is_at(draft: &Draft<'_>, number: u32, stage: Stage) -> bool {
    let shipment = draft.order.shipment(number);
    shipment.is_some_and(|shipment| shipment.stage == stage)
}

fn can_intercept(draft: &Draft<'_>, number: u32) -> bool {
    let shipment = draft.order.shipment(number);
    let carrier = shipment.and_then(|shipment| draft.store.carriers.get(&shipment.carrier));
    carrier.is_some_and(|carrier| carrier.in_transit_cancel)
}

/// Nobody dispatched it, and it is seen outside.
fn leave(draft: &mut Draft<'_>, number: u32, occurred_time: Timestamp) {
    departure::depart(draft, number, occurred_time);
    draft.shipment_mut(number).whereabouts.left_unseen = true;
}

/// Keeps what was told of a shipment that is outside. What is home was not delivered afterwards.
fn keep(draft: &mut Draft<'_>, number: u32, scans: Vec<Scan>, summary: ScanSummary) {
    let parts = draft
        .order
        .cancellations
        .iter()
        .flat_map(|of| &of.parts)
        .filter(|part| part.shipment == number);
    let home = parts
        .filter_map(|part| part.receipt.map(|receipt| receipt.receive_time))
        .min();
    let shipment = draft.shipment_mut(number);
    shipment.whereabouts.scans = scans;
    let is_home = shipment.stage == Stage::Returned;
    let is_late = |delivered| is_home && home.is_some_and(|home| delivered > home);
    let delivered = if summary.deliver_time.is_some_and(is_late) {
        shipment.deliver_time
    } else {
        summary.deliver_time
    };
    departure::follow_scans(draft, number, delivered);
}

/// The facts of a shipment. Of one whose facts were not kept when they were told, what its stage
/// and times still show of them.
fn known_scans(shipment: &Shipment) -> Vec<Scan> {
    let kept = &shipment.whereabouts.scans;
    let Some(latest) = shipment
        .last_tracking_time
        .filter(|_| kept.is_empty() && shipment.stage.is_dispatched())
    else {
        return kept.clone();
    };
    let delivery = shipment.deliver_time.map(|time| Scan {
        fact: TrackingFact::Delivered,
        time,
    });
    let last = match shipment.stage {
        Stage::Lost => Some(TrackingFact::Lost),
        Stage::Returning => Some(TrackingFact::Returning),
        Stage::Returned => Some(TrackingFact::Returned),
        Stage::InTransit => Some(TrackingFact::InTransit),
        Stage::Delivered
        | Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Split => None,
    };
    delivery
        .into_iter()
        .chain(last.map(|fact| Scan { fact, time: latest }))
        .collect()
}

/// A summary of the facts about a parcel outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ScanSummary {
    stage: Stage,
    /// It is on its way back, or was when it was lost.
    turned_round: bool,
    /// Of the delivery that counts: the first since it was last on its way.
    deliver_time: Option<Timestamp>,
}

impl ScanSummary {
    /// Takes the facts in the order in which they happened, and those of one instant as they were
    /// told.
    fn of(scans: &[Scan]) -> Self {
        let mut scans = scans.to_vec();
        scans.sort_by_key(|scan| scan.time);
        let mut summary = Self {
            stage: Stage::InTransit,
            turned_round: false,
            deliver_time: None,
        };
        for scan in scans {
            if let Transition::Move(to) = transition(summary.stage, scan.fact) {
                summary.go(to, scan.time);
            }
        }
        summary
    }

    fn go(&mut self, to: Stage, time: Timestamp) {
        match to {
            // What was lost on its way back and is found goes on back.
            Stage::InTransit if self.turned_round => self.stage = Stage::Returning,
            Stage::Delivered => {
                *self = Self {
                    stage: to,
                    turned_round: false,
                    deliver_time: Some(time),
                }
            }
            Stage::Returning | Stage::Returned => {
                *self = Self {
                    stage: to,
                    turned_round: true,
                    ..*self
                }
            }
            Stage::Unreleased
            | Stage::Planned
            | Stage::Preparing
            | Stage::Ready
            | Stage::InTransit
            | Stage::Cancelled
            | Stage::Lost
            | Stage::Split => self.stage = to,
        }
    }
}

/// What a fact does to a shipment that stands here, with all that was told of it so far. Any fact
/// finds outside what was thought inside; where a parcel outside stands, all facts say together;
/// what is back stays back.
fn transition_now(stage: Stage, fact: TrackingFact, summary: ScanSummary) -> Transition {
    match stage {
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Returned
        | Stage::Split => transition(stage, fact),
        Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning
            if summary.stage == stage =>
        {
            Transition::RecordOnly
        }
        Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning => {
            Transition::Move(summary.stage)
        }
    }
}

/// One total table, stage × fact.
fn transition(stage: Stage, fact: TrackingFact) -> Transition {
    use Stage::{
        Cancelled, Delivered, InTransit, Lost, Planned, Preparing, Ready, Returned, Returning,
        Split, Unreleased,
    };
    match (fact, stage) {
        (
            TrackingFact::PickedUp | TrackingFact::InTransit,
            Unreleased | Planned | Preparing | Ready | Lost,
        ) => Transition::Move(InTransit),
        (TrackingFact::PickedUp | TrackingFact::InTransit, Cancelled) => {
            Transition::Contradiction(InTransit)
        }
        (
            TrackingFact::PickedUp | TrackingFact::InTransit,
            InTransit | Delivered | Returning | Returned | Split,
        ) => Transition::RecordOnly,
        (
            TrackingFact::Delivered,
            Unreleased | Planned | Preparing | Ready | InTransit | Lost | Returning,
        ) => Transition::Move(Delivered),
        (TrackingFact::Delivered, Cancelled) => Transition::Contradiction(Delivered),
        (TrackingFact::Delivered, Delivered | Returned | Split) => Transition::RecordOnly,
        (TrackingFact::Lost, Unreleased | Planned | Preparing | Ready | InTransit | Returning) => {
            Transition::Move(Lost)
        }
        (TrackingFact::Lost, Cancelled) => Transition::Contradiction(Lost),
        (TrackingFact::Lost, Delivered | Lost | Returned | Split) => Transition::RecordOnly,
        (
            TrackingFact::Returning,
            Unreleased | Planned | Preparing | Ready | InTransit | Delivered | Lost,
        ) => Transition::Move(Returning),
        (TrackingFact::Returning, Cancelled) => Transition::Contradiction(Returning),
        (TrackingFact::Returning, Returning | Returned | Split) => Transition::RecordOnly,
        (
            TrackingFact::Returned,
            Unreleased | Planned | Preparing | Ready | InTransit | Delivered | Lost | Returning,
        ) => Transition::Move(Returned),
        (TrackingFact::Returned, Cancelled) => Transition::Contradiction(Returned),
        (TrackingFact::Returned, Returned | Split) => Transition::RecordOnly,
    }
}

/// Where a shipment that is found outside is put first. Whoever tells that it is lost or comes back
/// tells that it was on its way; who waited for it inside is asked what that means, as by any scan
/// out.
fn way_out(to: Stage) -> Stage {
    match to {
        Stage::Lost | Stage::Returning | Stage::Returned => Stage::InTransit,
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Split => to,
    }
}

/// What waits for the shipment, where it stands now.
fn follow(draft: &mut Draft<'_>, number: u32, to: Stage) {
    match to {
        Stage::Lost => parts::resolve_as_lost_on(draft, number),
        Stage::Returning | Stage::Returned => turned_round(draft, number),
        Stage::Delivered => {
            take_back(draft, number);
            parts::reevaluate_on(draft, number);
            intercepts::arrived(draft, number);
        }
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::InTransit
        | Stage::Cancelled
        | Stage::Split => parts::reevaluate_on(draft, number),
    }
}

/// It was to be turned round, and was; or the carrier has given up on it.
fn turned_round(draft: &mut Draft<'_>, number: u32) {
    let by_scan = GateAnswer::by(draft.caller.clone());
    parts::intercept_confirmed(draft, number, &by_scan);
    intercepts::advance(draft, number, InterceptState::Returning);
    parts::reevaluate_on(draft, number);
    // Who waits for some of it waits for the parcel; what else is in it, its receipt will show.
    if !draft.order.has_waiting_part_on(number) {
        let comes = |shipment: &Shipment| {
            draft
                .order
                .live_units(shipment)
                .intersection(&shipment.whereabouts.out())
        };
        let units = draft.order.shipment(number).map(comes);
        undeliverable::open(draft, number, units.unwrap_or_default(), None);
    }
}

/// The carrier had given up on the parcel and has delivered it after all: it takes back its own
/// cancellation of what is not home, so that the buyer has the parcel and may do with it what the
/// policy allows.
fn take_back(draft: &mut Draft<'_>, number: u32) {
    for id in draft.order.parts_waiting_on(number) {
        let of = draft.cancellation(id.cancellation);
        if of.requester.role == Role::Carrier && of.parts[id.index].receipt.is_none() {
            parts::withdraw(draft, id);
            conclude(draft, id.cancellation);
        }
    }
}

/// Units of it were cancelled on the carrier's word that they would not arrive: it brings them
/// back, has lost them or has given up on them. What an earlier delivery has told of is no news.
fn is_given_up_untold(draft: &Draft<'_>, number: u32) -> bool {
    let Some(shipment) = draft.order.shipment(number) else {
        return false;
    };
    let out = shipment.whereabouts.out();
    let scans = known_scans(shipment);
    let is_out = |part: &&Part| {
        let is_here = part.shipment == number && part.state == PartState::Cancelled;
        is_here && !part.units.intersection(&out).is_empty()
    };
    let told = draft.order.incidents.iter().rfind(|incident| {
        incident.kind == IncidentKind::CancelledYetShipped && incident.shipment == Some(number)
    });
    let is_told = |at: Timestamp| told.is_some_and(|told| at <= told.create_time);
    let given_up = |of: &Cancellation| {
        of.parts.iter().filter(is_out).any(|part| {
            let at = of.cancel_time(part);
            let by_carrier = of.requester.role == Role::Carrier || part.relies_on_the_carrier();
            (by_carrier || may_have_been_lost(&scans, at)) && !is_told(at)
        })
    };
    draft.order.cancellations.iter().any(given_up)
}

/// The shipment was LOST at this instant by what may have been told until then: scans are kept as
/// they were told, and none was told before it happened.
fn may_have_been_lost(scans: &[Scan], at: Timestamp) -> bool {
    let told = scans.iter().take_while(|scan| scan.time <= at).count();
    (1..=told).any(|told| ScanSummary::of(&scans[..told]).stage == Stage::Lost)
}

/// What was cancelled has gone out, or has arrived, all the same: nothing that is not sent yet is
/// paid back for it until the goods are home or support has decided.
fn contest(draft: &mut Draft<'_>, number: u32) {
    let subject = IncidentSubject::shipment(number);
    draft.open_incident_anew(IncidentKind::CancelledYetShipped, subject);
    let due = draft
        .order
        .refunds
        .iter()
        .filter(|refund| refund.state == RefundState::Due);
    let contested = due.filter(|refund| draft.order.is_contested(refund.cancellation));
    for refund in contested.map(|refund| refund.number).collect::<Vec<_>>() {
        draft.move_refund(refund, RefundState::Blocked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_as_told(found: Transition, cell: &str) -> bool {
        match found {
            Transition::RecordOnly => cell == ".",
            Transition::Move(to) => !cell.starts_with('!') && to.name().starts_with(cell),
            Transition::Contradiction(to) => cell
                .strip_prefix('!')
                .is_some_and(|cell| to.name().starts_with(cell)),
        }
    }

    /// Rows are stages in the order of `Stage::ALL`; letters say what the fact does: the first
    /// letters of the stage it moves to, `.` only recorded, `!` a contradiction.
    #[test]
    fn every_stage_takes_every_fact_as_the_table_says() {
        let table = [
            // UNRELEASED PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING
            // RETURNED SPLIT
            (TrackingFact::PickedUp, "IN IN IN IN . . !IN IN . . ."),
            (TrackingFact::InTransit, "IN IN IN IN . . !IN IN . . ."),
            (TrackingFact::Delivered, "DE DE DE DE DE . !DE DE DE . ."),
            (TrackingFact::Lost, "LO LO LO LO LO . !LO . LO . ."),
            (
                TrackingFact::Returning,
                "RETURNING RETURNING RETURNING RETURNING RETURNING RETURNING !RETURNING RETURNING . . .",
            ),
            (
                TrackingFact::Returned,
                "RETURNED RETURNED RETURNED RETURNED RETURNED RETURNED !RETURNED RETURNED RETURNED . .",
            ),
        ];
        assert_eq!(table.map(|(fact, _)| fact).as_slice(), TrackingFact::ALL);
        for (fact, row) in table {
            let cells: Vec<&str> = row.split(' ').collect();
            assert_eq!(cells.len(), Stage::ALL.len());
            for (stage, cell) in Stage::ALL.iter().zip(cells) {
                let found = transition(*stage, fact);
                assert!(
                    is_as_told(found, cell),
                    "{stage} × {fact}: {found:?}, the table says {cell}"
                );
            }
        }
    }

    /// The same, told of an instant before that of the fact that brought the shipment where it
    /// stands. Nothing moves back.
    #[test]
    fn every_stage_takes_every_older_fact_as_the_table_says() {
        let table = [
            // UNRELEASED PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING
            // RETURNED SPLIT
            (TrackingFact::PickedUp, "IN IN IN IN . . !IN . . . ."),
            (TrackingFact::InTransit, "IN IN IN IN . . !IN . . . ."),
            (TrackingFact::Delivered, "DE DE DE DE DE . !DE DE . . ."),
            (TrackingFact::Lost, "LO LO LO LO . . !LO . . . ."),
            (
                TrackingFact::Returning,
                "RETURNING RETURNING RETURNING RETURNING RETURNING . !RETURNING . . . .",
            ),
            (
                TrackingFact::Returned,
                "RETURNED RETURNED RETURNED RETURNED RETURNED RETURNED !RETURNED RETURNED RETURNED . .",
            ),
        ];
        assert_eq!(table.map(|(fact, _)| fact).as_slice(), TrackingFact::ALL);
        for (fact, row) in table {
            let cells: Vec<&str> = row.split(' ').collect();
            assert_eq!(cells.len(), Stage::ALL.len());
            for (stage, cell) in Stage::ALL.iter().zip(cells) {
                let brought = match stage {
                    Stage::InTransit => Some(TrackingFact::InTransit),
                    Stage::Delivered => Some(TrackingFact::Delivered),
                    Stage::Lost => Some(TrackingFact::Lost),
                    Stage::Returning => Some(TrackingFact::Returning),
                    Stage::Returned => Some(TrackingFact::Returned),
                    Stage::Unreleased
                    | Stage::Planned
                    | Stage::Preparing
                    | Stage::Ready
                    | Stage::Cancelled
                    | Stage::Split => None,
                };
                let at = Timestamp::UNIX_EPOCH;
                let later = at + jiff::SignedDuration::from_secs(1);
                let mut scans: Vec<Scan> = brought
                    .map(|fact| Scan { fact, time: later })
                    .into_iter()
                    .collect();
                scans.push(Scan { fact, time: at });
                let found = transition_now(*stage, fact, ScanSummary::of(&scans));
                assert!(
                    is_as_told(found, cell),
                    "{stage} × older {fact}: {found:?}, the table says {cell}"
                );
            }
        }
    }

    /// A scan on the way that happened before the last fact says nothing that the facts after it do
    /// not.
    #[test]
    fn a_scan_on_the_way_that_is_told_late_moves_nothing_outside() {
        let time = |at: usize| {
            Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(i64::try_from(at).unwrap())
        };
        let facts = TrackingFact::ALL;
        for way in 0..facts.len().pow(3) {
            let fact =
                |at: usize| facts[way / facts.len().pow(u32::try_from(at).unwrap()) % facts.len()];
            let told: Vec<Scan> = (0..3)
                .map(|at| Scan {
                    fact: fact(at),
                    time: time(at * 2 + 1),
                })
                .collect();
            for at in 0..3 {
                let late = Scan {
                    fact: TrackingFact::InTransit,
                    time: time(at * 2),
                };
                let stage = ScanSummary::of(&[&told[..], &[late]].concat()).stage;
                assert_eq!(stage, ScanSummary::of(&told).stage, "{told:?} and {late:?}");
            }
        }
    }
}
