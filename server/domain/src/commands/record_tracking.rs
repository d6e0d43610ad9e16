//! RecordTracking: a carrier reports where a shipment is. Facts are recorded, never refused; each counts once, and one that
//! is older than what is known never moves the shipment back.
//!
//! Here is decided whether a unit may be dispatched and cancelled both. It may, and contradicts nothing, where it was cancelled
//! while it was outside, because
//! - its carrier has confirmed that it brings the parcel back (CARRIER_INTERCEPT),
//! - it is home (PARCEL_RECEIPT, or a receipt that support lets count after its time),
//! - it is lost (LOSS_CONFIRMATION, `on_lost`, or support that decides about the loss),
//! - its carrier has given up on it and cancels it (homecoming), or
//! - the policy, asked about a stage outside, gave it away.
//!
//! Every other way opens CANCELLED_YET_SHIPPED, once for a shipment: it had been cancelled whole while it was inside and is
//! scanned out; it was sent and never paid, so that the order closed behind it; or it was given up on the carrier's word (the
//! first, third and fourth above) and is delivered after all. Units that were cancelled inside while others of their shipment left
//! stayed behind: the fence saw to that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft, departure, homecoming, intercepts, parts, start_preparation};
use crate::actor::Role;
use crate::cancellation::{Cancellation, GateAnswer, Part, PartState};
use crate::event::EventDetail;
use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::order::{FACTS_MAX, FACTS_ROOM};
use crate::refund::RefundState;
use crate::rejection::Rejection;
use crate::shipment::{InterceptState, Shipment, Stage, TrackingFact};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordTracking {
    pub shipment: u32,
    /// The fact counts once under this id.
    pub carrier_event_id: ExternalId,
    pub fact: TrackingFact,
    /// By the carrier's clock; none is now.
    pub occurred_time: Option<Timestamp>,
}

/// What a fact does to a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Move(Stage),
    RecordOnly,
    /// The shipment was cancelled and has left all the same.
    Contradiction(Stage),
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &RecordTracking) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let shipment = start_preparation::find(draft, number, None)?;
    if shipment.carrier_event_ids.contains(&command.carrier_event_id) {
        return Ok(Answer::Shipment(number));
    }
    // No scan is of the future: a carrier's clock that is ahead must not hide the scans that follow.
    let occurred_time = command.occurred_time.unwrap_or(draft.now).min(draft.now);
    let is_older = shipment.last_tracking_time.is_some_and(|latest| occurred_time < latest);
    let effect = if is_older { Effect::RecordOnly } else { effect(shipment.stage, command.fact) };
    let max = match effect {
        Effect::RecordOnly => FACTS_MAX,
        Effect::Move(_) | Effect::Contradiction(_) => FACTS_MAX + FACTS_ROOM,
    };
    if shipment.carrier_event_ids.len() >= max {
        return Err(Rejection::LimitReached { limit: "facts of a shipment".to_owned(), max });
    }

    let shipment = draft.shipment_mut(number);
    shipment.carrier_event_ids.push(command.carrier_event_id.clone());
    shipment.last_tracking_time = shipment.last_tracking_time.max(Some(occurred_time));
    draft.emit(EventDetail::TrackingRecorded { shipment: number, fact: command.fact, occurred_time });
    match effect {
        Effect::RecordOnly if command.fact == TrackingFact::Delivered && is_older => {
            departure::note_delivery(draft, number, occurred_time);
        }
        Effect::RecordOnly => {}
        Effect::Move(to) => {
            let was_given_up = is_given_up(draft, number);
            let was_inside = draft.order.shipment(number).is_some_and(|shipment| shipment.stage.is_before_dispatch());
            draft.end_hold(number);
            go(draft, number, to, occurred_time);
            follow(draft, number, to, was_inside);
            if to == Stage::Delivered && was_given_up {
                contest(draft, number);
            }
        }
        Effect::Contradiction(to) => {
            departure::depart(draft, number, to, occurred_time);
            contest(draft, number);
            let carrier = draft.order.shipment(number).and_then(|shipment| draft.store.carriers.get(&shipment.carrier));
            if to == Stage::InTransit && carrier.is_some_and(|carrier| carrier.in_transit_cancel) {
                intercepts::request(draft, number);
            }
        }
    }
    Ok(Answer::Shipment(number))
}

/// One total table, stage × fact.
fn effect(stage: Stage, fact: TrackingFact) -> Effect {
    use Stage::{
        Cancelled, Delivered, InTransit, Lost, Planned, Preparing, Ready, Returned, Returning, Split, Unreleased,
    };
    match (fact, stage) {
        (TrackingFact::PickedUp | TrackingFact::InTransit, Unreleased | Planned | Preparing | Ready | Lost) => {
            Effect::Move(InTransit)
        }
        (TrackingFact::PickedUp | TrackingFact::InTransit, Cancelled) => Effect::Contradiction(InTransit),
        (TrackingFact::PickedUp | TrackingFact::InTransit, InTransit | Delivered | Returning | Returned | Split) => {
            Effect::RecordOnly
        }
        (TrackingFact::Delivered, Unreleased | Planned | Preparing | Ready | InTransit | Lost | Returning) => {
            Effect::Move(Delivered)
        }
        (TrackingFact::Delivered, Cancelled) => Effect::Contradiction(Delivered),
        (TrackingFact::Delivered, Delivered | Returned | Split) => Effect::RecordOnly,
        (TrackingFact::Lost, InTransit | Returning) => Effect::Move(Lost),
        (
            TrackingFact::Lost,
            Unreleased | Planned | Preparing | Ready | Delivered | Cancelled | Lost | Returned | Split,
        ) => Effect::RecordOnly,
        (TrackingFact::Returning, InTransit | Delivered | Lost) => Effect::Move(Returning),
        (
            TrackingFact::Returning,
            Unreleased | Planned | Preparing | Ready | Cancelled | Returning | Returned | Split,
        ) => Effect::RecordOnly,
        (TrackingFact::Returned, InTransit | Delivered | Lost | Returning) => Effect::Move(Returned),
        (TrackingFact::Returned, Unreleased | Planned | Preparing | Ready | Cancelled | Returned | Split) => {
            Effect::RecordOnly
        }
    }
}

fn go(draft: &mut Draft<'_>, number: u32, to: Stage, occurred_time: Timestamp) {
    match to {
        Stage::InTransit | Stage::Delivered => departure::depart(draft, number, to, occurred_time),
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Lost
        | Stage::Returning
        | Stage::Returned
        | Stage::Split => draft.move_shipment(number, to),
    }
}

/// What waits for the shipment, where it stands now.
fn follow(draft: &mut Draft<'_>, number: u32, to: Stage, was_inside: bool) {
    match to {
        Stage::Lost => parts::lose_on(draft, number),
        Stage::Returning | Stage::Returned => {
            // It was to be turned round, and was.
            let by_scan = GateAnswer::by(draft.caller.clone());
            intercepts::answered(draft, number, &by_scan);
            intercepts::advance(draft, number, InterceptState::Returning);
            parts::ask_again_on(draft, number);
            // Who waits for some of it waits for the parcel; what else is in it, its receipt will show.
            if !draft.order.has_waiting_part_on(number) {
                let comes =
                    |shipment: &Shipment| draft.order.live_units(shipment).intersection(&shipment.whereabouts.out());
                let units = draft.order.shipment(number).map(comes);
                homecoming::open(draft, number, units.unwrap_or_default(), None);
            }
        }
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Split => {
            if was_inside {
                parts::let_go(draft, number);
            }
            parts::ask_again_on(draft, number);
        }
    }
}

/// Units of it were cancelled on the carrier's word that they would not arrive: it brings them back, has lost them or has given
/// up on them.
fn is_given_up(draft: &Draft<'_>, number: u32) -> bool {
    let Some(shipment) = draft.order.shipment(number) else { return false };
    let out = shipment.whereabouts.out();
    let live = draft.order.live_units(shipment);
    let is_taken_as_lost = shipment.stage == Stage::Lost && live.is_empty() && !out.is_empty();
    let given_up = |of: &Cancellation| {
        let is_gone = |part: &&Part| part.state == PartState::Cancelled && !part.units.intersection(&out).is_empty();
        let mut here = of.parts.iter().filter(|part| part.shipment == number).filter(is_gone);
        here.any(|part| of.requester.role == Role::Carrier || part.relies_on_the_carrier())
    };
    is_taken_as_lost || draft.order.cancellations.iter().any(given_up)
}

/// What was cancelled has gone out, or has arrived, all the same: nothing that is not sent yet is paid back for it until the
/// goods are home or support has decided.
fn contest(draft: &mut Draft<'_>, number: u32) {
    draft.open_incident_once(IncidentKind::CancelledYetShipped, About::shipment(number));
    let due = draft.order.refunds.iter().filter(|refund| refund.state == RefundState::Due);
    let contested = due.filter(|refund| draft.order.is_contested(refund.cancellation));
    for refund in contested.map(|refund| refund.number).collect::<Vec<_>>() {
        draft.move_refund(refund, RefundState::Blocked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are stages in the order of `Stage::ALL`; letters say what the fact does: the first letters of the stage it
    /// moves to, `.` only recorded, `!` a contradiction.
    #[test]
    fn every_stage_takes_every_fact_as_the_table_says() {
        let table = [
            // UNRELEASED PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING RETURNED SPLIT
            (TrackingFact::PickedUp, "IN IN IN IN . . !IN IN . . ."),
            (TrackingFact::InTransit, "IN IN IN IN . . !IN IN . . ."),
            (TrackingFact::Delivered, "DE DE DE DE DE . !DE DE DE . ."),
            (TrackingFact::Lost, ". . . . LO . . . LO . ."),
            (TrackingFact::Returning, ". . . . RETURNING RETURNING . RETURNING . . ."),
            (TrackingFact::Returned, ". . . . RETURNED RETURNED . RETURNED RETURNED . ."),
        ];
        assert_eq!(table.map(|(fact, _)| fact).as_slice(), TrackingFact::ALL);
        for (fact, row) in table {
            let cells: Vec<&str> = row.split(' ').collect();
            assert_eq!(cells.len(), Stage::ALL.len());
            for (stage, cell) in Stage::ALL.iter().zip(cells) {
                let found = effect(*stage, fact);
                let as_expected = match found {
                    Effect::RecordOnly => cell == ".",
                    Effect::Move(to) => !cell.starts_with('!') && to.name().starts_with(cell),
                    Effect::Contradiction(to) => cell.strip_prefix('!').is_some_and(|cell| to.name().starts_with(cell)),
                };
                assert!(as_expected, "{stage} × {fact}: {found:?}, the table says {cell}");
            }
        }
    }
}
