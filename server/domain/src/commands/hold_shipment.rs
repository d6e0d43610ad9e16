//! HoldShipment: a seller or support keeps a shipment in of their own will, while they think or
//! talk.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::rejection::{FieldViolation, Rejection};
use crate::shipment::Hold;

/// Longest hold from now.
pub const HOLD_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldShipment {
    pub shipment: u32,
    /// The fence that the caller last saw, where it wants it compared.
    pub fence: Option<u32>,
    /// Then the hold ends by itself.
    pub until: Timestamp,
    pub note: Option<String>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &HoldShipment) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let now = draft.now;
    let left = command.until.duration_since(now);
    if left <= SignedDuration::ZERO || left > HOLD_MAX {
        let description = "must be in the future, at most 30 days from now".to_owned();
        return Err(Rejection::InvalidField(vec![FieldViolation {
            field: "hold_until".to_owned(),
            description,
        }]));
    }
    draft.shipment_inside(number, command.fence)?;
    let hold = Hold {
        until: command.until,
        note: command.note.clone(),
        placed_by: draft.caller.clone(),
        create_time: now,
    };
    draft.shipment_mut(number).hold = Some(hold);
    draft.raise_fence(number);
    draft.emit(EventDetail::ShipmentHeld {
        shipment: number,
        until: command.until,
    });
    Ok(Answer::Shipment(number))
}
