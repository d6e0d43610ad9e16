//! Units by line and quantity.

use crate::rejection::Rejection;
use crate::units::{LineQuantity, UnitSet};

/// So many units of each line out of these.
pub(crate) fn take(from: &UnitSet, quantities: &[LineQuantity]) -> Result<UnitSet, Rejection> {
    let mut taken = UnitSet::default();
    for LineQuantity { line, quantity } in quantities.iter().copied() {
        let left = from.minus(&taken);
        let available = left.count_of(line);
        if quantity > available {
            return Err(Rejection::QuantityUnavailable {
                line,
                requested: quantity,
                available,
            });
        }
        taken = taken.union(&left.take_highest(line, quantity));
    }
    Ok(taken)
}
