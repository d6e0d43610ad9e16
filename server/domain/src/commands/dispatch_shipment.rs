//! DispatchShipment: the warehouse asks to let a shipment go. This is the moment that cancelling races against, so the
//! warehouse names the fence it last saw: whatever was stopped or cancelled since makes the fence stale.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, parts, start_preparation};
use crate::cancellation::GateKind;
use crate::ids::ExternalId;
use crate::policy::OnDispatch;
use crate::rejection::Rejection;
use crate::shipment::Stage;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchShipment {
    pub shipment: u32,
    pub fence: u32,
    pub tracking_number: Option<ExternalId>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &DispatchShipment) -> Result<Answer, Rejection> {
    let shipment = start_preparation::find(draft, command.shipment, Some(command.fence))?;
    match shipment.stage {
        Stage::Planned | Stage::Preparing | Stage::Ready => {}
        Stage::Unreleased => return Err(Rejection::NotReleased),
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
    let waiting = parts::waiting_on(draft, command.shipment);
    if let Some((cancellation, _)) = waiting.iter().find(|(cancellation, part)| bars(draft, *cancellation, *part)) {
        return Err(Rejection::ShipmentBarred { cancellation: *cancellation });
    }

    let shipment = draft.shipment_mut(command.shipment);
    shipment.tracking_number = command.tracking_number.clone().or(shipment.tracking_number.take());
    draft.move_shipment(command.shipment, Stage::InTransit);
    // Whoever was asked and let it go has answered by that.
    for (cancellation, part) in waiting {
        parts::refuse_part(draft, cancellation, part, "NO_AGREEMENT");
        parts::close_if_over(draft, cancellation);
    }
    Ok(Answer::Shipment(command.shipment))
}

fn bars(draft: &Draft<'_>, cancellation: u32, part: usize) -> bool {
    let part = draft.order.cancellation(cancellation).map(|cancellation| &cancellation.parts[part]);
    part.and_then(|part| part.open_gate())
        .is_none_or(|gate| gate.spec.on_dispatch == OnDispatch::Bar || gate.spec.kind == GateKind::WarehouseStop)
}
