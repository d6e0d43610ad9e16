//! The filters of lists and counts: plain data, for a database to put into SQL and for any
//! other store to hold its records against. All given fields of a filter must match.

use jiff::Timestamp;
use uuid::Uuid;

use crate::actor::Role;
use crate::cancellation::CancellationState;
use crate::ids::{BuyerId, CarrierId, ExternalId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use crate::incident::{IncidentKind, IncidentState};
use crate::order::{IdentityHash, Order, OrderState};
use crate::records::{NewDecision, RequestKey};
use crate::refund::RefundState;
use crate::scope::{Scope, View};
use crate::shipment::Stage;

/// An entry of a list that goes from new to old, and where the next page of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPosition {
    pub create_time: Timestamp,
    pub order_key: OrderKey,
    /// Of the order's child that is listed; 0 where orders are.
    pub number: u32,
}

/// The filter of a list of orders.
#[derive(Debug, Clone)]
pub struct OrderFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub buyer: Option<BuyerId>,
    pub seller: Option<SellerId>,
    pub state: Option<OrderState>,
    /// Of one of the lines.
    pub sku: Option<Sku>,
    /// Of the destination.
    pub country: Option<String>,
    /// Of the destination; means little without its country, and no index begins with it.
    pub city: Option<String>,
    /// `from ≤ create_time < before`.
    pub create_time_from: Option<Timestamp>,
    pub create_time_before: Option<Timestamp>,
}

/// A search for orders by what people have in hand.
#[derive(Debug, Clone)]
pub struct OrderSearch {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub by: SearchedBy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchedBy {
    /// The buyer's e-mail address, hashed with each key that an order may have been placed under.
    Email(Vec<IdentityHash>),
    /// The tracking number of one of the shipments.
    TrackingNumber(ExternalId),
    /// How the order's id begins. No more than [`IDS_SEARCHED_MAX`] ids are looked at.
    IdPrefix(String),
}

/// Ids that begin alike, and are looked at for a search.
pub const IDS_SEARCHED_MAX: u16 = 5_000;

impl OrderSearch {
    /// Whether it is for this order, of its store. The ids that are left out are another matter.
    pub fn matches(&self, order: &Order) -> bool {
        match &self.by {
            SearchedBy::Email(hashes) => {
                let hash = order.buyer.email_hash.as_ref();
                hash.is_some_and(|hash| hashes.contains(hash))
            }
            SearchedBy::TrackingNumber(number) => order
                .shipments
                .iter()
                .any(|shipment| shipment.tracking_number.as_ref() == Some(number)),
            SearchedBy::IdPrefix(prefix) => order.id.as_str().starts_with(prefix),
        }
    }
}

/// The filter of a list of shipments.
#[derive(Debug, Clone)]
pub struct ShipmentFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub order: Option<OrderKey>,
    pub seller: Option<SellerId>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
    pub stage: Option<Stage>,
    /// PLANNED, and to be begun before this instant.
    pub prepare_by_before: Option<Timestamp>,
}

/// The filter of a list of cancellations. Fields from `warehouse` on must match for one of the
/// parts.
#[derive(Debug, Clone)]
pub struct CancellationFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    /// How much of an order who asks sees: of parcels, only what is about those in the scope.
    pub view: View,
    pub order: Option<OrderKey>,
    pub seller: Option<SellerId>,
    pub state: Option<CancellationState>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
    /// The part waits for this party.
    pub awaiting: Option<Role>,
    /// The part waits for an answer that must come before some instant before this one.
    pub respond_by_before: Option<Timestamp>,
}

/// The filter of a list of refunds.
#[derive(Debug, Clone)]
pub struct RefundFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub order: Option<OrderKey>,
    pub seller: Option<SellerId>,
    pub state: Option<RefundState>,
}

/// The filter of a list of incidents.
#[derive(Debug, Clone)]
pub struct IncidentFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    /// How much of an order who asks sees: of parcels, only what is about those in the scope.
    pub view: View,
    pub order: Option<OrderKey>,
    pub state: Option<IncidentState>,
    pub kind: Option<IncidentKind>,
}

/// The filter of a list of decisions.
#[derive(Debug, Clone)]
pub struct DecisionFilter {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub order: Option<OrderKey>,
    pub request_id: Option<Uuid>,
    pub caller_role: Option<Role>,
    pub caller_id: Option<String>,
    pub rejected_only: bool,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
}

impl DecisionFilter {
    /// Whether an index leads to more than what matches.
    pub fn is_selective(&self) -> bool {
        self.request_id.is_some()
            || self.caller_role.is_some()
            || self.caller_id.is_some()
            || self.rejected_only
            || !self.scope.sees_every_order()
    }

    /// Whether a decision matches, on an order that who asks sees.
    pub fn matches(&self, decision: &NewDecision) -> bool {
        let at = decision.decision_time;
        let (role, id) = decision.key.caller_parts();
        decision.store == self.store
            && self
                .order
                .is_none_or(|order| order == decision.key.order_key)
            && self
                .request_id
                .is_none_or(|id| id == decision.key.request_id)
            && self.caller_role.is_none_or(|wanted| wanted.name() == role)
            && self.caller_id.as_ref().is_none_or(|wanted| wanted == id)
            && !(self.rejected_only && decision.accepted)
            && self.start.is_none_or(|start| start <= at)
            && self.end.is_none_or(|end| at < end)
    }
}

/// A place in the list of decisions, which goes from new to old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionPlace {
    pub time: Timestamp,
    pub key: RequestKey,
}

/// The filter of a count of orders.
#[derive(Debug, Clone)]
pub struct OrdersSummary {
    pub store: StoreId,
    pub scope: Scope,
    pub buyer: Option<BuyerId>,
    pub seller: Option<SellerId>,
}

/// The filter of a count of work: what somebody should look at.
#[derive(Debug, Clone)]
pub struct ActionsSummary {
    pub store: StoreId,
    pub scope: Scope,
    /// How much of an order who asks sees: of parcels, only what is about those in the scope.
    pub view: View,
    pub seller: Option<SellerId>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
}

/// Where counting stops: an exact count of everything would cost the more the longer a store has
/// been at it.
pub const COUNT_MAX: u32 = 10_000;

/// A count, or `COUNT_MAX` and that there are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub value: u32,
    pub at_least: bool,
}

impl Counted {
    /// Of so many that were found before counting stopped.
    pub fn of(found: u32) -> Self {
        Self {
            value: found.min(COUNT_MAX),
            at_least: found > COUNT_MAX,
        }
    }

    /// Of a few; it goes on beyond `COUNT_MAX`.
    pub fn sum(counts: impl IntoIterator<Item = Counted>) -> Self {
        counts.into_iter().fold(Self::default(), |sum, count| Self {
            value: sum.value + count.value,
            at_least: sum.at_least || count.at_least,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_stops_at_its_bound_and_says_so() {
        let counted = |value, at_least| Counted { value, at_least };
        assert_eq!(Counted::of(10_000), counted(10_000, false));
        assert_eq!(Counted::of(10_001), counted(10_000, true));
        assert_eq!(
            Counted::sum([counted(3, false), counted(10_000, true)]),
            counted(10_003, true)
        );
    }
}
