//! Counts for tabs and badges.

use std::fmt;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::OrderState;
use crate::wire::{FromWire, Malformed, Open, read, read_all, time_if_set};

/// A count up to a bound.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BoundedCount {
    /// The number, up to the bound of 10,000.
    pub value: i32,
    /// Whether there are more than `value`.
    pub at_least: bool,
}

/// `17`, or `10000+` where there are more.
impl fmt::Display for BoundedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!(
            "{}{}",
            self.value,
            if self.at_least { "+" } else { "" }
        ))
    }
}

/// The numbers of orders by state, at one moment: the tabs of a list.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrdersSummary {
    /// The numbers, one for every state, those without orders included.
    pub states: Vec<OrderStateCount>,
    /// The number of all of them.
    pub total: BoundedCount,
}

impl OrdersSummary {
    /// The number of orders in this state.
    pub fn of(&self, state: OrderState) -> BoundedCount {
        let found = self.states.iter().find(|entry| entry.state == state);
        found.map_or_else(BoundedCount::default, |entry| entry.count)
    }
}

/// The number of orders in one state.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrderStateCount {
    /// The state: the tab.
    pub state: OrderState,
    /// The number of orders in it.
    pub count: BoundedCount,
}

/// The cancellations that need a party's attention, at one moment: the "action needed" of a seller
/// centre.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ActionsSummary {
    /// Cancellations that were approved without the seller's consent; their units must not be
    /// handed over.
    pub auto_approved: BoundedCount,
    /// Cancellations that wait for the party.
    pub requested: BoundedCount,
    /// The number of the badge: both together.
    pub total: BoundedCount,
    /// The earliest deadline of those that wait. `None`: none waits, or none has a deadline.
    pub nearest_deadline: Option<Timestamp>,
}

impl FromWire for BoundedCount {
    type Message = pb::BoundedCount;

    fn from_wire(message: pb::BoundedCount) -> Result<Self, Malformed> {
        Ok(Self {
            value: message.value,
            at_least: message.at_least,
        })
    }
}

impl FromWire for OrderStateCount {
    type Message = pb::OrderStateCount;

    fn from_wire(message: pb::OrderStateCount) -> Result<Self, Malformed> {
        Ok(Self {
            state: OrderState::from_wire(message.state),
            count: read(message.count, "states.count")?,
        })
    }
}

impl FromWire for OrdersSummary {
    type Message = pb::SummarizeOrdersResponse;

    fn from_wire(message: pb::SummarizeOrdersResponse) -> Result<Self, Malformed> {
        Ok(Self {
            states: read_all(message.states)?,
            total: read(message.total, "total")?,
        })
    }
}

impl FromWire for ActionsSummary {
    type Message = pb::SummarizeActionsResponse;

    fn from_wire(message: pb::SummarizeActionsResponse) -> Result<Self, Malformed> {
        Ok(Self {
            auto_approved: read(message.auto_approved, "auto_approved")?,
            requested: read(message.requested, "requested")?,
            total: read(message.total, "total")?,
            nearest_deadline: time_if_set(message.nearest_deadline, "nearest_deadline")?,
        })
    }
}
