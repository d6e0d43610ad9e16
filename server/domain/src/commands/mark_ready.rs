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
    let shipment = draft.released_shipment(command.shipment, command.fence)?;
    if shipment.stage != Stage::Ready {
        draft.move_shipment(command.shipment, Stage::Ready);
        parts::reevaluate_on(draft, command.shipment);
    }
    Ok(Answer::Shipment(command.shipment))
}
