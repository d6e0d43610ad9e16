//! Cancellations: the record of one request to cancel, its parts (one or more a shipment) and what
//! each part waits for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::annotations::Annotations;
use crate::error_reason::ErrorReason;
use crate::money::Amounts;
use crate::names::named_enum;
use crate::shipment::Stage;
use crate::terms::{
    Effect, Fault, GateKind, GateSpec, GoodsCondition, NextAction, Path, RefundPlan,
};
use crate::units::{LineQuantity, UnitSet};

/// The reason under which an order that was not paid in time closes.
pub const PAYMENT_EXPIRED: &str = "PAYMENT_EXPIRED";
/// The reason under which a parcel that comes home by itself is cancelled.
pub const PARCEL_RETURNED: &str = "PARCEL_RETURNED";

named_enum! {
    pub enum CancellationState {
        Pending = "PENDING",
        Completed = "COMPLETED",
        Rejected = "REJECTED",
        Withdrawn = "WITHDRAWN",
    }
}

named_enum! {
    pub enum CancellationOutcome {
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

/// A gate that a part waits for. All its terms were copied from the policy when it opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub spec: GateSpec,
    /// Of a review by support: the gate in whose place support is asked. `None` where the policy
    /// itself asks for consent.
    pub instead_of: Option<GateKind>,
    pub state: GateState,
    pub open_time: Option<Timestamp>,
    pub respond_by: Option<Timestamp>,
    /// Its party is reminded then; `None` once it was, and where the policy reminds nobody.
    pub remind_at: Option<Timestamp>,
    pub close_time: Option<Timestamp>,
    /// `None` while nobody has answered, and where the part ended otherwise.
    pub answer: Option<GateAnswer>,
}

impl Gate {
    /// A gate as the policy names it, before its turn.
    pub fn queued(spec: GateSpec) -> Self {
        Self {
            spec,
            instead_of: None,
            state: GateState::Queued,
            open_time: None,
            respond_by: None,
            remind_at: None,
            close_time: None,
            answer: None,
        }
    }

    pub fn is_pending(&self) -> bool {
        matches!(self.state, GateState::Queued | GateState::Open)
    }

    /// The kind of gate that decides what its answer means: of a review in place of another gate,
    /// the kind of that one.
    pub fn effective_kind(&self) -> GateKind {
        self.instead_of.unwrap_or(self.spec.kind)
    }

    /// Whether the answer to it says what has become of a parcel, and not whether somebody
    /// consents.
    pub fn waits_for_a_fact(&self) -> bool {
        !self.effective_kind().is_consent()
    }
}

/// The answer that closed a gate, and its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateAnswer {
    /// SYSTEM where it was silence.
    pub by: Actor,
    /// A word of the party's own, such as the reason of a rejection.
    pub code: Option<String>,
    pub note: Option<String>,
    pub evidence: Vec<String>,
    /// Where the warehouse found the shipment when it was told to stop it.
    pub stage_seen: Option<Stage>,
    /// What the warehouse has to put back on its shelves.
    pub put_back: Vec<LineQuantity>,
}

impl GateAnswer {
    pub fn by(actor: Actor) -> Self {
        Self {
            by: actor,
            code: None,
            note: None,
            evidence: Vec::new(),
            stage_seen: None,
            put_back: Vec::new(),
        }
    }
}

named_enum! {
    /// The state of the buyer's return label.
    pub enum LabelState {
        Issued = "ISSUED",
        UnavailableInRegion = "UNAVAILABLE_IN_REGION",
    }
}

/// The receipt of goods that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub condition: GoodsCondition,
    pub receive_time: Timestamp,
}

/// Deductions: the amounts that are kept of the money for the units because the buyer bears them,
/// in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deductions {
    /// The charge for the way out and its tax.
    pub outbound_shipping: i64,
    /// The price of the return label.
    pub return_shipping: i64,
    /// What the return schedule takes off the price of the units and their tax.
    pub by_schedule: i64,
}

/// The refund of a part: what it gives back, and what it deducts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRefund {
    pub amounts: Amounts,
    pub deductions: Deductions,
}

/// A part, by its cancellation and its place among the parts of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartId {
    pub cancellation: u32,
    pub index: usize,
}

/// A part of a cancellation: units of one shipment that have one path and end together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub shipment: u32,
    pub units: UnitSet,
    pub path: Path,
    pub state: PartState,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// Why it was refused.
    pub refused_reason: Option<ErrorReason>,
    pub next_actions: Vec<NextAction>,
    /// How much comes back, as the rule said.
    pub plan: RefundPlan,
    /// What comes back for these units: expected while the part waits, exact once it is cancelled.
    pub refund: Amounts,
    pub deductions: Deductions,
    /// Of a return.
    pub label: Option<LabelState>,
    pub receipt: Option<Receipt>,
    /// What the cancelled units ask of the stock; empty until then.
    pub effects: Vec<Effect>,
    pub gates: Vec<Gate>,
}

impl Part {
    /// A part that waits for nobody yet, with nothing promised.
    pub fn waiting(shipment: u32, units: UnitSet, path: Path) -> Self {
        Self {
            shipment,
            units,
            path,
            state: PartState::Waiting,
            rule: None,
            refused_reason: None,
            next_actions: Vec::new(),
            plan: RefundPlan::NONE,
            refund: Amounts::ZERO,
            deductions: Deductions::default(),
            label: None,
            receipt: None,
            effects: Vec::new(),
            gates: Vec::new(),
        }
    }

    /// A part that is on record as refused from the start.
    pub fn refused(shipment: u32, units: UnitSet, path: Path, reason: ErrorReason) -> Self {
        Self {
            state: PartState::Refused,
            refused_reason: Some(reason),
            ..Self::waiting(shipment, units, path)
        }
    }

    pub fn open_gate(&self) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.state == GateState::Open)
    }

    /// What is to be done about it now.
    pub fn next_step(&self) -> NextStep {
        if self.state != PartState::Waiting || self.open_gate().is_some() {
            return NextStep::Nothing;
        }
        let is_queued = |gate: &Gate| gate.state == GateState::Queued;
        match self.gates.iter().position(is_queued) {
            Some(gate) => NextStep::Open(gate),
            None => NextStep::Cancel,
        }
    }

    pub fn waits_for(&self, kind: GateKind) -> bool {
        self.state == PartState::Waiting
            && self.open_gate().is_some_and(|gate| gate.spec.kind == kind)
    }

    /// Its gate of this kind ended without the fact that it waited for, and the part was refused or
    /// went on without it.
    pub fn missed(&self, kind: GateKind) -> bool {
        let is_missed = |gate: &Gate| {
            let has_ended = matches!(gate.state, GateState::Refused | GateState::Closed);
            gate.spec.kind == kind && has_ended && gate.open_time.is_some()
        };
        matches!(self.state, PartState::Refused | PartState::Waiting)
            && self.gates.iter().any(is_missed)
    }

    /// Whether it was cancelled because the parcel was to come back, or was lost, and the warehouse
    /// has not received the goods since.
    pub fn relies_on_the_carrier_alone(&self) -> bool {
        self.relies_on_the_carrier() && self.receipt.is_none()
    }

    /// Whether it was cancelled because the parcel was to come back, or was lost.
    pub fn relies_on_the_carrier(&self) -> bool {
        let relies_on_return = |gate: &Gate| match gate.spec.kind {
            GateKind::CarrierIntercept | GateKind::ParcelReceipt | GateKind::LossConfirmation => {
                true
            }
            GateKind::SellerConsent | GateKind::SupportReview | GateKind::WarehouseStop => false,
        };
        self.state == PartState::Cancelled && self.gates.iter().any(relies_on_return)
    }

    pub fn has_passed(&self, kind: GateKind) -> bool {
        self.gates
            .iter()
            .any(|gate| gate.spec.kind == kind && gate.state == GateState::Passed)
    }
}

/// The next step of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It has ended, or waits for the answer to its open gate.
    Nothing,
    /// The gate at this place opens.
    Open(usize),
    /// No gate is left.
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    pub number: u32,
    /// Declared by the policy.
    pub reason: Option<String>,
    pub fault: Fault,
    pub note: Option<String>,
    pub evidence: Vec<String>,
    /// Counts against the seller's quality.
    pub counted: bool,
    pub effects: Vec<Effect>,
    /// What the requester should do afterwards.
    pub next_actions: Vec<NextAction>,
    /// Who requests it.
    pub requester: Actor,
    /// Who brought it: support for a buyer, the storefront for its buyer.
    pub submitted_by: Actor,
    pub policy_version: u32,
    pub parts: Vec<Part>,
    pub create_time: Timestamp,
    pub close_time: Option<Timestamp>,
    pub annotations: Annotations,
}

impl Cancellation {
    /// Belay opened it because the order was not paid in time.
    pub fn closes_unpaid(&self) -> bool {
        self.reason.as_deref() == Some(PAYMENT_EXPIRED)
    }

    /// Granted to the buyer by the policy alone, without anybody's consent: whoever ships must be
    /// told.
    pub fn is_auto_approved(&self) -> bool {
        let asks_consent = |part: &Part| part.gates.iter().any(|gate| gate.spec.kind.is_consent());
        self.requester.role == Role::Buyer
            && self.state() == CancellationState::Completed
            && !self.parts.iter().any(asks_consent)
    }

    pub fn state(&self) -> CancellationState {
        let any = |state| self.parts.iter().any(|part| part.state == state);
        if any(PartState::Waiting) {
            CancellationState::Pending
        } else if any(PartState::Cancelled) {
            CancellationState::Completed
        } else if self
            .parts
            .iter()
            .all(|part| part.state == PartState::Withdrawn)
        {
            CancellationState::Withdrawn
        } else {
            CancellationState::Rejected
        }
    }

    /// No part waits.
    pub fn is_over(&self) -> bool {
        self.parts
            .iter()
            .all(|part| part.state != PartState::Waiting)
    }

    /// When this part of it was cancelled, if it was: with its last gate, or at once where it had
    /// none.
    pub fn cancel_time(&self, part: &Part) -> Timestamp {
        let closed = part.gates.iter().filter_map(|gate| gate.close_time);
        closed.max().unwrap_or(self.create_time)
    }

    /// The label that came with this part, or with one that it was split from.
    pub(crate) fn label_of(&self, part: &Part) -> Option<LabelState> {
        let is_alike = |other: &&Part| (other.shipment, other.path) == (part.shipment, part.path);
        let mut parts = self.parts.iter().filter(is_alike);
        parts.find_map(|other| other.label)
    }

    /// The parts of which this holds.
    pub fn parts_where(&self, holds: impl Fn(&Part) -> bool) -> Vec<PartId> {
        let mut ids = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            if holds(part) {
                ids.push(PartId {
                    cancellation: self.number,
                    index,
                });
            }
        }
        ids
    }

    /// Known once nothing waits and something was cancelled.
    pub fn outcome(&self) -> Option<CancellationOutcome> {
        (self.state() == CancellationState::Completed).then(|| {
            let full = self
                .parts
                .iter()
                .all(|part| part.state == PartState::Cancelled);
            if full {
                CancellationOutcome::Full
            } else {
                CancellationOutcome::Partial
            }
        })
    }

    /// Why nothing, or not all, was cancelled: the first rejection.
    pub fn close_reason(&self) -> Option<ErrorReason> {
        self.close_time?;
        self.parts.iter().find_map(|part| part.refused_reason)
    }
}
