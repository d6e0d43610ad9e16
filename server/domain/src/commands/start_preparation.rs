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
    let stage = draft
        .released_shipment(command.shipment, command.fence)?
        .stage;
    if stage == Stage::Ready {
        return Err(Rejection::StageMismatch { stage });
    }
    // Begun is begun: a second scan of the pick list harms nothing.
    if stage != Stage::Preparing {
        draft.move_shipment(command.shipment, Stage::Preparing);
        parts::reevaluate_on(draft, command.shipment);
    }
    Ok(Answer::Shipment(command.shipment))
}
