//! StartPreparation: the warehouse has begun to pack a shipment.

use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::parts;
use crate::rejection::Rejection;
use crate::shipment::Stage;

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
    let shipment = draft.shipment_at(command.shipment, command.fence)?;
    match shipment.stage {
        Stage::Planned => {
            draft.move_shipment(command.shipment, Stage::Preparing);
            parts::reevaluate_on(draft, command.shipment);
        }
        // Begun is begun: a second scan of the pick list harms nothing.
        Stage::Preparing => {}
        Stage::Unreleased => return Err(draft.not_released()),
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
