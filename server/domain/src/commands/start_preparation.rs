//! StartPreparation: the warehouse has begun to pack a shipment.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, parts};
use crate::rejection::Rejection;
use crate::shipment::{Shipment, Stage};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPreparation {
    pub shipment: u32,
    /// The fence that the warehouse last saw, where it wants it compared.
    pub fence: Option<u32>,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &StartPreparation,
) -> Result<Answer, Rejection> {
    let shipment = find(draft, command.shipment, command.fence)?;
    match shipment.stage {
        Stage::Planned => {
            draft.move_shipment(command.shipment, Stage::Preparing);
            parts::ask_again_on(draft, command.shipment);
        }
        // Begun is begun: a second scan of the pick list harms nothing.
        Stage::Preparing => {}
        Stage::Unreleased => return Err(not_released(draft)),
        stage @ (Stage::Ready
        | Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Lost
        | Stage::Returning
        | Stage::Returned
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    }
    Ok(Answer::Shipment(command.shipment))
}

/// Why a shipment is not released.
pub(super) fn not_released(draft: &Draft<'_>) -> Rejection {
    match draft.order.lapse_time {
        Some(_) => Rejection::PaymentLapsed {
            pay_by: draft.order.pay_by,
        },
        None => Rejection::NotReleased,
    }
}

/// The shipment, as the warehouse last saw it.
pub(super) fn find<'d>(
    draft: &'d Draft<'_>,
    number: u32,
    fence: Option<u32>,
) -> Result<&'d Shipment, Rejection> {
    let shipment = draft
        .order
        .shipment(number)
        .ok_or(Rejection::ShipmentNotFound { shipment: number })?;
    match fence {
        Some(seen) if seen != shipment.fence => {
            let cancellations = draft.order.cancellations_on(number);
            Err(Rejection::FenceStale {
                present: shipment.fence,
                stage: shipment.stage,
                cancellations,
            })
        }
        _ => Ok(shipment),
    }
}
