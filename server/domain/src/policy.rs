//! The versioned document that decides. A policy is data: what differs between two marketplaces
//! differs here and nowhere in code.
//!
//! `document` reads and checks a document, `question` is what a rule may look at, `evaluate` finds
//! the first rule that matches, `explain` says why those before it do not.

mod document;
mod evaluate;
mod explain;
mod question;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use document::{limits, parse, sources};
pub use evaluate::{PolicyAnswer, Verdict};
pub use explain::{PassedOver, Unmet};
pub use question::{CarrierCapabilities, Question};

use crate::actor::Role;
use crate::calendar::Calendar;
use crate::language::Labels;
use crate::names::named_enum;
use crate::order::OrderState;
use crate::shipment::Stage;
use crate::terms::{
    DenyCode, Effect, Fault, GateSpec, GoodsCondition, NextAction, Path, RefundPlan,
};

/// A policy: one version of a store's rules, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub name: String,
    /// Where the rules come from, for people.
    pub source: String,
    pub unpaid: Unpaid,
    pub verification: Option<Verification>,
    /// How long after payment the preparation must have begun.
    pub preparation_within: Option<SignedDuration>,
    /// Which events reach the buyer.
    pub notify: Vec<Notification>,
    /// What the store's buyers call a state; the state's own name where it has none.
    pub labels: BTreeMap<OrderState, String>,
    pub reasons: Vec<Reason>,
    /// Who must name a reason.
    pub reason_required: Vec<Role>,
    /// First match wins; no match denies with `NOT_ALLOWED`.
    pub rules: Vec<Rule>,
    pub refunds: Refunds,
    pub returns: Returns,
    pub customs: Option<Customs>,
    pub quality: Option<Quality>,
}

impl Policy {
    pub fn reason(&self, code: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.code == code)
    }

    pub fn label(&self, state: OrderState) -> &str {
        self.labels.get(&state).map_or(state.name(), String::as_str)
    }

    pub fn notifies(&self, notification: Notification) -> bool {
        self.notify.contains(&notification)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpaid {
    /// An order that is not paid this long after it was placed closes by itself.
    pub expire_after: SignedDuration,
    /// What an attempt begun in time adds to that, once.
    pub in_flight_grace: SignedDuration,
    /// How long there is to pay again once what the order was paid with covers it no more.
    pub pay_again_within: SignedDuration,
}

/// Some payment methods are verified for a while before the buyer may cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub methods: Vec<String>,
    pub wait: SignedDuration,
}

named_enum! {
    /// A notification that a buyer is sent.
    pub enum Notification {
        OrderPlaced = "ORDER_PLACED",
        OrderPaid = "ORDER_PAID",
        OrderClosedUnpaid = "ORDER_CLOSED_UNPAID",
        ShipmentDispatched = "SHIPMENT_DISPATCHED",
        ShipmentDelivered = "SHIPMENT_DELIVERED",
        CancellationRequested = "CANCELLATION_REQUESTED",
        CancellationCompleted = "CANCELLATION_COMPLETED",
        CancellationRejected = "CANCELLATION_REJECTED",
        RefundCreated = "REFUND_CREATED",
        RefundSettled = "REFUND_SETTLED",
        CancellationWithdrawn = "CANCELLATION_WITHDRAWN",
        ParcelReceived = "PARCEL_RECEIVED",
    }
}

/// A reason for which a cancellation may be requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `[A-Z][A-Z0-9_]{0,62}`.
    pub code: String,
    /// What people read who choose it.
    pub labels: Labels,
    /// Who may give it.
    pub actors: Vec<Role>,
    pub fault: Fault,
    pub note_required: bool,
    pub evidence_required: bool,
    /// Where proof may come from, such as CHAT: each piece is then written `CHAT:reference`. Empty
    /// where that does not matter.
    pub evidence_channels: Vec<String>,
    /// Counts against the seller's quality.
    pub counted: bool,
    pub effects: Vec<Effect>,
    /// What a requester who gives this reason should do afterwards.
    pub next_actions: Vec<NextAction>,
}

/// A rule, one row of the policy: when it matches, it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `[a-z][a-z0-9-]{0,62}`, unique in the document.
    pub id: String,
    pub when: Condition,
    pub then: Consequence,
}

/// The condition of a rule. An empty list and a `None` match everything; what is given must all
/// match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    pub actor: Vec<Role>,
    pub stage: Vec<Stage>,
    pub path: Vec<Path>,
    pub reason: Vec<String>,
    pub paid: Option<bool>,
    pub payment_method: Vec<String>,
    pub age: Vec<AgeBound>,
    pub value_at_least: Option<i64>,
    pub value_less_than: Option<i64>,
    pub destination_country: Vec<String>,
    pub in_transit_cancel: Option<bool>,
    pub partner_delivery: Option<bool>,
    /// Whether the carrier has a return label for the destination.
    pub return_label: Option<bool>,
    pub customs_flagged: Option<bool>,
}

named_enum! {
    /// The key of a condition: what a rule may look at.
    pub enum ConditionKey {
        Actor = "ACTOR",
        Stage = "STAGE",
        Path = "PATH",
        Reason = "REASON",
        Paid = "PAID",
        PaymentMethod = "PAYMENT_METHOD",
        Age = "AGE",
        ValueAtLeast = "VALUE_AT_LEAST",
        ValueLessThan = "VALUE_LESS_THAN",
        DestinationCountry = "DESTINATION_COUNTRY",
        InTransitCancel = "IN_TRANSIT_CANCEL",
        PartnerDelivery = "PARTNER_DELIVERY",
        ReturnLabel = "RETURN_LABEL",
        CustomsFlagged = "CUSTOMS_FLAGGED",
    }
}

/// `at_least ≤ time since the clock's start < less_than`: windows are half-open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeBound {
    pub clock: AgeClock,
    pub at_least: Option<SignedDuration>,
    pub less_than: Option<SignedDuration>,
}

named_enum! {
    pub enum AgeClock {
        Placed = "PLACED",
        Paid = "PAID",
        Delivered = "DELIVERED",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Consequence {
    Allow(Allow),
    Deny(Deny),
}

/// Yes, once these gates have passed, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Allow {
    pub gates: Vec<GateSpec>,
    pub refund: RefundPlan,
}

/// No, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny {
    pub code: DenyCode,
    pub next_actions: Vec<NextAction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunds {
    pub due: RefundDue,
    /// How long after `due_by` a refund that has not settled is overdue.
    pub overdue_after: SignedDuration,
    pub shipping: ShippingRefund,
    /// Working days by ISO 3166 country of the buyer; `default` serves the rest.
    pub calendars: BTreeMap<String, Calendar>,
    pub default_calendar: Calendar,
}

impl Refunds {
    /// Until when a refund created at `from` must have reached the buyer.
    pub fn due_by(&self, from: Timestamp, country_code: &str) -> Timestamp {
        match self.due {
            RefundDue::Immediate => from,
            RefundDue::WorkingDays(days) => self
                .calendars
                .get(country_code)
                .unwrap_or(&self.default_calendar)
                .working_days_after(from, days),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundDue {
    Immediate,
    /// By the end of the N-th working day after.
    WorkingDays(u32),
}

named_enum! {
    /// The case in which the shipping charge comes back.
    pub enum ShippingRefund {
        /// With the last unit of a shipment cancelled before dispatch.
        WhenShipmentWhollyCancelled = "WHEN_SHIPMENT_WHOLLY_CANCELLED",
        Never = "NEVER",
    }
}

/// The terms for goods that come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returns {
    /// First match wins; the last matches everything. Empty where no rule refunds by schedule.
    pub rates: Vec<ReturnRate>,
    /// What a buyer is told for whose region the carrier has no return label.
    pub without_label: String,
}

/// The share of the price of returned units that comes back. An empty list and a `None` match
/// everything; what is given must all match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnRate {
    /// The parcel is received back less than this long after it was delivered. One that was never
    /// delivered is always in time.
    pub received_within: Option<SignedDuration>,
    pub condition: Vec<GoodsCondition>,
    pub reason: Vec<String>,
    /// 0 to 100.
    pub percent: u32,
}

impl Returns {
    pub fn percent(
        &self,
        since_delivered: Option<SignedDuration>,
        condition: GoodsCondition,
        reason: Option<&str>,
    ) -> u32 {
        let matches = |rate: &&ReturnRate| {
            let in_time = |within| since_delivered.is_none_or(|since| since < within);
            let is_accepted = |reason| rate.reason.iter().any(|accepted| accepted == reason);
            rate.received_within.is_none_or(in_time)
                && (rate.condition.is_empty() || rate.condition.contains(&condition))
                && (rate.reason.is_empty() || reason.is_some_and(is_accepted))
        };
        self.rates
            .iter()
            .find(matches)
            .map_or(0, |rate| rate.percent)
    }
}

/// Customs take many identical units for commerce: a shipment that crosses a border is flagged
/// where it holds more than so many units of one SKU, over all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customs {
    pub identical_units_max: u32,
    /// What the seller may do about it who delivers by a carrier of their own.
    pub own_delivery: Vec<NextAction>,
    /// What is left where the marketplace's partner delivers.
    pub partner_delivery: Vec<NextAction>,
}

/// The measure of a seller's quality: numerator ÷ denominator over a window of days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quality {
    pub numerator: QualityNumerator,
    pub denominator: QualityDenominator,
    pub window_days: u32,
    /// The window ends so many days before today.
    pub lag_days: u32,
    /// Ascending.
    pub thresholds: Vec<QualityThreshold>,
}

named_enum! {
    pub enum QualityNumerator {
        CountedCancellations = "COUNTED_CANCELLATIONS",
        CountedShipments = "COUNTED_SHIPMENTS",
    }
}

named_enum! {
    pub enum QualityDenominator {
        OrdersPlaced = "ORDERS_PLACED",
        ShipmentsDue = "SHIPMENTS_DUE",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityThreshold {
    /// `[A-Z][A-Z0-9_]{0,62}`, such as WARNING.
    pub name: String,
    /// 1 to 100.
    pub percent: u32,
}

/// A store's policy versions and from when each decides.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    versions: BTreeMap<u32, Arc<Policy>>,
    /// Sorted by time.
    activations: Vec<(Timestamp, u32)>,
}

impl Policies {
    /// `activations` may come in any order; each must name a version that is there.
    pub fn new(
        versions: BTreeMap<u32, Arc<Policy>>,
        mut activations: Vec<(Timestamp, u32)>,
    ) -> Self {
        activations.retain(|(_, version)| versions.contains_key(version));
        activations.sort_unstable();
        Self {
            versions,
            activations,
        }
    }

    pub fn version(&self, version: u32) -> Option<&Arc<Policy>> {
        self.versions.get(&version)
    }

    /// The version that decides at `now`: the last one whose time has come.
    pub fn active_at(&self, now: Timestamp) -> Option<(u32, &Policy)> {
        let (_, version) = self
            .activations
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)?;
        Some((*version, self.versions.get(version)?.as_ref()))
    }
}
