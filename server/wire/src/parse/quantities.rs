//! Units by line, wherever a request counts some.

use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::order::{LINE_QUANTITY_MAX, LINES_MAX};
use belay_domain::units::LineQuantity;
use belay_proto::v1 as pb;

use super::{Violations, all, child_of, distinct, positive};

/// At least so many entries, no line twice. `order` is `None` where its own id was refused.
pub(super) fn line_quantities(
    v: &mut Violations,
    field: &str,
    quantities: &[pb::LineQuantity],
    entries_min: usize,
    order: Option<&OrderId>,
) -> Option<Vec<LineQuantity>> {
    let entries = quantities.len();
    if !(entries_min..=LINES_MAX).contains(&entries) {
        return v.refuse(
            field,
            format!("must have from {entries_min} to {LINES_MAX} entries, has {entries}"),
        );
    }
    let line_field = |index: usize| format!("{field}[{index}].line_id");
    let read = all(quantities.iter().enumerate().map(|(index, wanted)| {
        let line = child_of(
            v,
            &line_field(index),
            &wanted.line_id,
            ChildKind::Line,
            order,
        );
        let quantity_field = format!("{field}[{index}].quantity");
        let quantity = positive(
            v,
            &quantity_field,
            wanted.quantity.into(),
            LINE_QUANTITY_MAX,
        );
        Some(LineQuantity {
            line: line?,
            quantity: quantity?,
        })
    }));
    let ids = quantities.iter().enumerate();
    distinct(
        v,
        ids.map(|(index, wanted)| (line_field(index), Some(&wanted.line_id))),
    );
    read
}
