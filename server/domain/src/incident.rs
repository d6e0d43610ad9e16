//! Incidents: facts that contradict what was decided. Someone must settle them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::named_enum;

named_enum! {
    pub enum IncidentKind {
        /// A cancelled shipment was scanned out.
        CancelledYetShipped = "CANCELLED_YET_SHIPPED",
        /// A fact came after its gate had ended.
        LateFact = "LATE_FACT",
        /// The provider paid back another amount than was asked.
        RefundMismatch = "REFUND_MISMATCH",
    }
}

named_enum! {
    pub enum IncidentState {
        Open = "OPEN",
        Resolved = "RESOLVED",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub number: u32,
    pub kind: IncidentKind,
    pub state: IncidentState,
    pub shipment: Option<u32>,
    pub refund: Option<u32>,
    pub create_time: Timestamp,
    pub resolve_time: Option<Timestamp>,
}
