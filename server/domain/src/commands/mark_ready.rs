//! MarkReady: a shipment is packed and waits for its carrier.

use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::parts;
use crate::rejection::Rejection;
use crate::shipment::Stage;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkReady {
    pub shipment: u32,
    /// The fence that the warehouse last saw, where it wants it compared.
    pub fence: Option<u32>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &MarkReady) -> Result<Answer, Rejection> {
    let shipment = draft.shipment_at(command.shipment, command.fence)?;
    match shipment.stage {
        Stage::Planned | Stage::Preparing => {
            draft.move_shipment(command.shipment, Stage::Ready);
            parts::reevaluate_on(draft, command.shipment);
        }
        Stage::Ready => {}
        Stage::Unreleased => return Err(draft.not_released()),
        stage @ (Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Lost
        | Stage::Returning
        | Stage::Returned
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    }
    Ok(Answer::Shipment(command.shipment))
}
