//! DispatchShipment: the warehouse asks to let a shipment go. This is the moment that cancelling
//! races against, so the warehouse names the fence it last saw: whatever was stopped or cancelled
//! since makes the fence stale.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, departure, parts, start_preparation};
use crate::ids::ExternalId;
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
    let shipment = start_preparation::find(draft, command.shipment, Some(command.fence))?;
    match shipment.stage {
        Stage::Planned | Stage::Preparing | Stage::Ready => {}
        Stage::Unreleased => return Err(start_preparation::not_released(draft)),
        stage @ (Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Lost
        | Stage::Returning
        | Stage::Returned
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    }
    if let Some(until) = shipment.hold_ends() {
        return Err(Rejection::ShipmentHeld { until });
    }
    let mut waiting = parts::waiting_on(draft, command.shipment).into_iter();
    if let Some((cancellation, _)) = waiting.find(|part| !parts::lets_go(draft, *part)) {
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
    parts::let_go(draft, command.shipment);
    Ok(Answer::Shipment(command.shipment))
}
