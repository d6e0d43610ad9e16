//! The selection of units, which three requests have alike and the generator writes once for each.

use crate::v1::list_reasons_request::Selection as Listed;
use crate::v1::preview_cancellation_request::Selection as Previewed;
use crate::v1::request_cancellation_request::Selection as Requested;

macro_rules! alike {
    ($($from:ident => $to:ident),*) => {
        $(impl From<$from> for $to {
            fn from(selection: $from) -> Self {
                match selection {
                    $from::All(all) => $to::All(all),
                    $from::Lines(lines) => $to::Lines(lines),
                    $from::ShipmentId(shipment_id) => $to::ShipmentId(shipment_id),
                }
            }
        })*
    };
}

alike!(Requested => Previewed, Requested => Listed, Previewed => Requested, Listed => Requested);
