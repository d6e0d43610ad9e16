//! The order to a carrier to bring a parcel back, as it goes with gates, scans and receipts.

use crate::cancellation::GateState;
use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::shipment::{Intercept, InterceptState, Stage};
use crate::terms::GateKind;

/// Opens an intercept: the carrier is asked to bring the parcel back.
pub(crate) fn request(draft: &mut Draft<'_>, shipment: u32) {
    let now = draft.now;
    let state = InterceptState::Requested;
    draft.shipment_mut(shipment).intercept = Some(Intercept {
        state,
        request_time: now,
        update_time: now,
    });
    draft.emit(EventDetail::InterceptChanged { shipment, state });
}

pub(crate) fn gate_opened(draft: &mut Draft<'_>, shipment: u32, gate: GateKind) {
    // A second request for the same parcel does not ask the carrier a second time, and what comes
    // back already asks nobody.
    let comes_back = is_under_way(draft, shipment) || is_confirmed(draft, shipment);
    if gate == GateKind::CarrierIntercept && !comes_back {
        request(draft, shipment);
    }
}

pub(crate) fn gate_closed(draft: &mut Draft<'_>, shipment: u32, gate: GateKind, state: GateState) {
    if gate != GateKind::CarrierIntercept {
        return;
    }
    match state {
        // The carrier may still be at it for somebody else.
        GateState::Refused | GateState::Closed => {
            let waits = draft
                .order
                .parts_waiting_for(shipment, None, GateKind::CarrierIntercept);
            if waits.is_empty() {
                fail(draft, shipment);
            }
        }
        // A receipt of some of the parcel passes the gate, too: the carrier confirms by its own
        // word alone.
        GateState::Passed | GateState::Queued | GateState::Open => {}
    }
}

/// Moves an intercept that is under way on, never back.
pub(crate) fn advance(draft: &mut Draft<'_>, shipment: u32, to: InterceptState) {
    let present = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| shipment.intercept);
    if present.is_some_and(|present| present.state < to && present.state != InterceptState::Failed)
    {
        set(draft, shipment, to);
    }
}

/// The carrier brings the parcel back, and did not say so before: perhaps when nobody counted on it
/// any more.
pub(crate) fn confirm(draft: &mut Draft<'_>, shipment: u32) {
    let present = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| shipment.intercept);
    if present.is_some_and(|present| {
        matches!(
            present.state,
            InterceptState::Requested | InterceptState::Failed
        )
    }) {
        set(draft, shipment, InterceptState::Confirmed);
    }
}

/// The parcel is known to come back, or is back.
pub(crate) fn is_confirmed(draft: &Draft<'_>, shipment: u32) -> bool {
    let Some(shipment) = draft.order.shipment(shipment) else {
        return false;
    };
    if matches!(shipment.stage, Stage::Returning | Stage::Returned) {
        return true;
    }
    let is_coming_back = shipment.stage == Stage::InTransit;
    let is_confirmed = |intercept: Intercept| match intercept.state {
        InterceptState::Confirmed | InterceptState::Returning | InterceptState::Received => true,
        InterceptState::Requested | InterceptState::Failed => false,
    };
    is_coming_back && shipment.intercept.is_some_and(is_confirmed)
}

/// The carrier cannot, or has not. What it has confirmed stays confirmed.
pub(crate) fn fail(draft: &mut Draft<'_>, shipment: u32) {
    let present = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| shipment.intercept);
    if present.is_some_and(|present| present.state == InterceptState::Requested) {
        set(draft, shipment, InterceptState::Failed);
    }
}

/// The parcel has arrived after all: the carrier did not bring it back, whatever it had said. One
/// that is still asked may.
pub(crate) fn arrived(draft: &mut Draft<'_>, shipment: u32) {
    let present = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| shipment.intercept);
    let is_going = |present: Intercept| match present.state {
        InterceptState::Requested | InterceptState::Confirmed | InterceptState::Returning => true,
        InterceptState::Received | InterceptState::Failed => false,
    };
    let is_asked = !draft
        .order
        .parts_waiting_for(shipment, None, GateKind::CarrierIntercept)
        .is_empty();
    if present.is_some_and(is_going) && !is_asked {
        set(draft, shipment, InterceptState::Failed);
    }
}

fn is_under_way(draft: &Draft<'_>, shipment: u32) -> bool {
    let intercept = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| shipment.intercept);
    intercept.is_some_and(|intercept| intercept.state != InterceptState::Failed)
}

fn set(draft: &mut Draft<'_>, shipment: u32, state: InterceptState) {
    let now = draft.now;
    if let Some(intercept) = &mut draft.shipment_mut(shipment).intercept {
        intercept.state = state;
        intercept.update_time = now;
        draft.emit(EventDetail::InterceptChanged { shipment, state });
    }
}
