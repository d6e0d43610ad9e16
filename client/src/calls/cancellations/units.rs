//! The units of a cancellation request, and the buyer on whose behalf it is made.

use std::fmt;

use belay_proto::v1 as pb;
use belay_proto::v1::request_cancellation_request::Selection;

use crate::argument_errors::ArgumentErrors;
use crate::calls::line_quantities::line_quantities;
use crate::ids::{IntoId, LineId, ShipmentId};

/// A selection of units of an order.
///
/// ```
/// use belay_client::Units;
///
/// let whole = Units::all();
/// let some = Units::lines([("A-1:l1", 2), ("A-1:l3", 1)]);
/// let parcel = Units::shipment("A-1:s2");
/// # let _ = (whole, some, parcel);
/// ```
#[derive(Debug, Clone)]
pub struct Units {
    pub(crate) selection: Selection,
    pub(crate) errors: ArgumentErrors,
}

impl Units {
    /// Every unit that is not cancelled yet.
    pub fn all() -> Self {
        Self {
            selection: Selection::All(pb::AllUnits {}),
            errors: ArgumentErrors::default(),
        }
    }

    /// A number of units of one line: 1 to 1,000,000.
    pub fn line(line_id: impl IntoId<LineId>, quantity: i32) -> Self {
        Self::lines([(line_id, quantity)])
    }

    /// Numbers of units by line: 1 to 200 lines, none twice. Belay chooses among a line's units:
    /// those whose cancellation takes the fewest steps.
    pub fn lines(lines: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>) -> Self {
        let mut errors = ArgumentErrors::default();
        let lines = line_quantities(&mut errors, "lines.lines", lines);
        let selection = Selection::Lines(pb::LineSelection { lines });
        Self { selection, errors }
    }

    /// Every unit in this shipment that is not cancelled yet.
    pub fn shipment(shipment_id: impl IntoId<ShipmentId>) -> Self {
        let mut errors = ArgumentErrors::default();
        let selection = Selection::ShipmentId(errors.id("shipment_id", shipment_id));
        Self { selection, errors }
    }
}

/// The buyer on whose behalf a request is made, by what the buyer registered with the order. It is
/// compared without regard to case and surrounding space; a mismatch is `OrderNotFound`.
#[derive(Clone)]
pub struct OnBehalfOf(pub(crate) pb::OnBehalfOf);

impl OnBehalfOf {
    /// By the registered e-mail address, at most 254 characters.
    pub fn email(email: impl Into<String>) -> Self {
        Self(pb::OnBehalfOf {
            buyer: Some(pb::on_behalf_of::Buyer::BuyerEmail(email.into())),
        })
    }

    /// By the registered user name, at most 128 characters.
    pub fn username(username: impl Into<String>) -> Self {
        Self(pb::OnBehalfOf {
            buyer: Some(pb::on_behalf_of::Buyer::BuyerUsername(username.into())),
        })
    }
}

/// No field: e-mail address and user name belong in no log.
impl fmt::Debug for OnBehalfOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnBehalfOf").finish_non_exhaustive()
    }
}
