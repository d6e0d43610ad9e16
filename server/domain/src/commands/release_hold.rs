//! ReleaseHold: a shipment that was held may go.

use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::lifecycle::draft::Draft;
use crate::rejection::Rejection;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseHold {
    pub shipment: u32,
    /// The fence that the caller last saw, where it wants it compared.
    pub fence: Option<u32>,
}

/// A shipment that nobody holds is released already.
pub(super) fn decide(draft: &mut Draft<'_>, command: &ReleaseHold) -> Result<Answer, Rejection> {
    draft.shipment_at(command.shipment, command.fence)?;
    draft.end_hold(command.shipment);
    Ok(Answer::Shipment(command.shipment))
}
