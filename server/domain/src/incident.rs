//! Incidents: facts that contradict what was decided. Support must resolve them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::names::named_enum;

named_enum! {
    pub enum IncidentKind {
        /// A cancelled shipment was scanned out, or what was cancelled as lost or coming back was
        /// delivered.
        CancelledYetShipped = "CANCELLED_YET_SHIPPED",
        /// A fact came after its gate had ended.
        LateFact = "LATE_FACT",
        /// The provider paid back another amount than was asked.
        RefundMismatch = "REFUND_MISMATCH",
        /// The provider could not pay back, or the money came back.
        RefundFailed = "REFUND_FAILED",
        /// An authorisation that the order was paid with has lapsed, was released or declined, and
        /// what is left does not cover what is due.
        PaymentLapsed = "PAYMENT_LAPSED",
        /// Money went back of an order whose goods have not left, and what is left of it does not
        /// cover what is due.
        GoodsUnpaid = "GOODS_UNPAID",
        /// More went back of a payment than it brought.
        OverRefunded = "OVER_REFUNDED",
        /// More was told as captured than was authorised: perhaps one capture told twice.
        CaptureMismatch = "CAPTURE_MISMATCH",
    }
}

named_enum! {
    /// The resolution of an incident, as support decides it.
    pub enum Resolution {
        /// Refunds that it holds back become due; goods that came home too late are paid for all
        /// the same; captures above what was authorised happened, and what nobody owes of them goes
        /// back.
        RefundAnyway = "REFUND_ANYWAY",
        /// The refund that it names is dropped for good; of a contested shipment, what refunds give
        /// for its units that are out.
        DropRefund = "DROP_REFUND",
        /// A new row stands for the refund that failed or is held back, for as much as may still be
        /// refunded.
        RetryRefund = "RETRY_REFUND",
        /// Things stay as they are.
        Accept = "ACCEPT",
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
    pub payment: Option<u32>,
    /// How much money it is about, in minor units, where it is about money: the most it was while
    /// it was open. A decision about it covers no more.
    pub amount: Option<i64>,
    /// The cancellation whose gate the fact came too late for.
    pub cancellation: Option<u32>,
    pub create_time: Timestamp,
    pub resolve_time: Option<Timestamp>,
    /// `None` while it is open, and where a later fact resolved it.
    pub resolution: Option<Resolution>,
    pub resolved_by: Option<Actor>,
    pub note: Option<String>,
}

impl Incident {
    /// Goods of this shipment came home, and there was no room for a cancellation of theirs.
    pub fn is_of_late_shipment(&self, shipment: u32) -> bool {
        self.kind == IncidentKind::LateFact
            && self.shipment == Some(shipment)
            && self.cancellation.is_none()
    }
}
