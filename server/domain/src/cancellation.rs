//! Cancellations: the record of one wish to cancel, its parts (one a shipment) and what each part waits for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::money::Amounts;
use crate::names::named_enum;
use crate::policy::{Effect, GateSpec, NextAction, RefundPlan};
use crate::units::UnitSet;

named_enum! {
    /// How a unit may still be kept from the buyer, or come back.
    pub enum Path {
        Cancel = "CANCEL",
        Intercept = "INTERCEPT",
        RefuseDelivery = "REFUSE_DELIVERY",
        ReturnUnopened = "RETURN_UNOPENED",
        ReturnOpened = "RETURN_OPENED",
    }
}

named_enum! {
    /// Whose doing it is.
    pub enum Fault {
        Buyer = "BUYER",
        Seller = "SELLER",
        Carrier = "CARRIER",
        Platform = "PLATFORM",
        None = "NONE",
    }
}

named_enum! {
    pub enum CancellationState {
        Pending = "PENDING",
        Completed = "COMPLETED",
        Rejected = "REJECTED",
        Withdrawn = "WITHDRAWN",
    }
}

named_enum! {
    pub enum Outcome {
        /// Every unit asked for is cancelled.
        Full = "FULL",
        Partial = "PARTIAL",
    }
}

named_enum! {
    pub enum PartState {
        Waiting = "WAITING",
        Cancelled = "CANCELLED",
        Refused = "REFUSED",
        Withdrawn = "WITHDRAWN",
    }
}

named_enum! {
    pub enum GateKind {
        SellerConsent = "SELLER_CONSENT",
        SupportReview = "SUPPORT_REVIEW",
        WarehouseStop = "WAREHOUSE_STOP",
        CarrierIntercept = "CARRIER_INTERCEPT",
        ParcelReceipt = "PARCEL_RECEIPT",
    }
}

impl GateKind {
    /// Whose answer the gate waits for.
    pub fn party(self) -> Role {
        match self {
            GateKind::SellerConsent => Role::Seller,
            GateKind::SupportReview => Role::Support,
            GateKind::WarehouseStop | GateKind::ParcelReceipt => Role::Warehouse,
            GateKind::CarrierIntercept => Role::Carrier,
        }
    }

    /// A consent is somebody's will; a fact is something that happened, and nobody's silence makes it happen.
    pub fn is_consent(self) -> bool {
        match self {
            GateKind::SellerConsent | GateKind::SupportReview => true,
            GateKind::WarehouseStop | GateKind::CarrierIntercept | GateKind::ParcelReceipt => false,
        }
    }
}

named_enum! {
    pub enum GateState {
        /// An earlier gate is open.
        Queued = "QUEUED",
        Open = "OPEN",
        Passed = "PASSED",
        Refused = "REFUSED",
        /// The part ended otherwise.
        Closed = "CLOSED",
    }
}

/// What a part waits for. All its terms were copied from the policy when it opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub spec: GateSpec,
    pub state: GateState,
    pub open_time: Option<Timestamp>,
    pub respond_by: Option<Timestamp>,
    pub close_time: Option<Timestamp>,
}

/// The portion of a cancellation inside one shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub shipment: u32,
    pub units: UnitSet,
    pub path: Path,
    pub state: PartState,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// Why it was refused: a name of `ErrorReason`.
    pub refused_reason: Option<String>,
    pub next_actions: Vec<NextAction>,
    /// How much comes back, as the rule said.
    pub plan: RefundPlan,
    /// What comes back for these units: expected while the part waits, exact once it is cancelled.
    pub refund: Amounts,
    pub gates: Vec<Gate>,
}

impl Part {
    pub fn open_gate(&self) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.state == GateState::Open)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    pub number: u32,
    pub reason: String,
    pub fault: Fault,
    pub note: Option<String>,
    pub evidence: Vec<String>,
    /// Counts against the seller's quality.
    pub counted: bool,
    pub effects: Vec<Effect>,
    /// Whose wish it is.
    pub requester: Actor,
    /// Who brought it: support for a buyer, the storefront for its buyer.
    pub submitted_by: Actor,
    pub policy_version: u32,
    pub parts: Vec<Part>,
    pub create_time: Timestamp,
    pub close_time: Option<Timestamp>,
}

impl Cancellation {
    pub fn state(&self) -> CancellationState {
        let any = |state| self.parts.iter().any(|part| part.state == state);
        if any(PartState::Waiting) {
            CancellationState::Pending
        } else if any(PartState::Cancelled) {
            CancellationState::Completed
        } else if self.parts.iter().all(|part| part.state == PartState::Withdrawn) {
            CancellationState::Withdrawn
        } else {
            CancellationState::Rejected
        }
    }

    /// Known once nothing waits and something was cancelled.
    pub fn outcome(&self) -> Option<Outcome> {
        (self.state() == CancellationState::Completed).then(|| {
            let full = self.parts.iter().all(|part| part.state == PartState::Cancelled);
            if full { Outcome::Full } else { Outcome::Partial }
        })
    }

    /// Why nothing, or not all, was cancelled: the first refusal.
    pub fn close_reason(&self) -> Option<&str> {
        self.close_time?;
        self.parts.iter().find_map(|part| part.refused_reason.as_deref())
    }

    /// What comes back for the parts that are cancelled or may still be.
    pub fn expected_refund(&self) -> Amounts {
        let is_live = |part: &&Part| matches!(part.state, PartState::Waiting | PartState::Cancelled);
        self.parts.iter().filter(is_live).map(|part| part.refund).sum()
    }
}
