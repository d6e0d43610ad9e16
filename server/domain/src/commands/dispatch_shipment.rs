//! DispatchShipment: the warehouse asks to let a shipment go. This is the moment that cancelling
//! races against, so the warehouse names the fence it last saw: whatever was stopped or cancelled
//! since makes the fence stale.

use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::ids::ExternalId;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::{departure, parts};
use crate::rejection::Rejection;
use crate::shipment::Stage;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchShipment {
    pub shipment: u32,
    pub fence: u32,
    pub tracking_number: Option<ExternalId>,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &DispatchShipment,
) -> Result<Answer, Rejection> {
    let shipment = draft.released_shipment(command.shipment, Some(command.fence))?;
    if let Some(until) = shipment.hold_ends() {
        return Err(Rejection::ShipmentHeld { until });
    }
    let mut waiting = draft.order.parts_waiting_on(command.shipment).into_iter();
    if let Some(bar) = waiting.find(|id| !parts::yields_to_dispatch(draft, *id)) {
        let cancellation = bar.cancellation;
        return Err(Rejection::ShipmentBarred { cancellation });
    }

    let shipment = draft.shipment_mut(command.shipment);
    shipment.tracking_number = command
        .tracking_number
        .clone()
        .or(shipment.tracking_number.take());
    let now = draft.now;
    departure::depart(draft, command.shipment, now);
    draft.move_shipment(command.shipment, Stage::InTransit);
    parts::yield_to_dispatch(draft, command.shipment);
    Ok(Answer::Shipment(command.shipment))
}
