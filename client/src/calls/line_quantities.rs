//! Numbers of units by line, as several calls send them.

use belay_proto::v1 as pb;

use crate::argument_errors::ArgumentErrors;
use crate::ids::{IntoId, LineId};

/// The numbers as they are sent in `field`.
pub(crate) fn line_quantities(
    errors: &mut ArgumentErrors,
    field: &str,
    quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
) -> Vec<pb::LineQuantity> {
    let mut messages = Vec::new();
    for (index, (line_id, quantity)) in quantities.into_iter().enumerate() {
        messages.push(pb::LineQuantity {
            line_id: errors.id(&format!("{field}[{index}].line_id"), line_id),
            quantity,
        });
    }
    messages
}
