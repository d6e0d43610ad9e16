//! Bulk cancellations.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, Money, OrderState, Rejection};
use crate::error_reason::ErrorReason;
use crate::ids::{
    BulkCancellationId, CancellationId, OrderId, RequestId, SellerId, StoreId, WarehouseId,
};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_enum, read, read_all, read_if_set, text_if_set, time,
    time_if_set,
};

/// A bulk cancellation: one request for many orders, and how far it is.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BulkCancellation {
    /// Its id.
    pub bulk_cancellation_id: BulkCancellationId,
    /// The store.
    pub store_id: StoreId,
    /// The state of the work.
    pub state: BulkState,
    /// Whether it only tells what it would do.
    pub dry_run: bool,
    /// The caller who started it.
    pub requester: Actor,
    /// The number of orders that were named; 0 where a filter was given.
    pub named_orders: i32,
    /// The filter. `None` where orders were named.
    pub filter: Option<BulkFilter>,
    /// The units that are asked for in each order.
    pub units: BulkUnits,
    /// The reason that each order is asked with.
    pub reason: Option<String>,
    /// The orders asked per second, at most.
    pub orders_per_second: i32,
    /// The number of orders found by now.
    pub total_orders: i32,
    /// Of those, how many wait to be asked.
    pub waiting_orders: i32,
    /// How many were cancelled.
    pub completed_orders: i32,
    /// How many wait for somebody's consent or for a fact.
    pub pending_orders: i32,
    /// How many gave a rejection.
    pub rejected_orders: i32,
    /// How many could not be asked.
    pub failed_orders: i32,
    /// The refunds that all results promise, one entry for each currency.
    pub expected_refunds: Vec<Money>,
    /// Why the state is `Failed`. `LimitReached`: more than 100,000 orders match.
    pub failure_reason: Option<ErrorReason>,
    /// When it was started.
    pub create_time: Timestamp,
    /// When it ended. `None` while it has not.
    pub end_time: Option<Timestamp>,
}

open_enum! {
    /// The state of a bulk cancellation.
    BulkState {
        /// It finds the orders that match its filter. None is asked before all are found.
        Selecting,
        /// It asks one order after the other.
        Running,
        /// It is told to stop. What is asked already gets its result.
        Stopping,
        /// Every order has its result.
        Completed,
        /// It was stopped: orders that waited are not asked any more.
        Stopped,
        /// It could not begin. No order was asked.
        Failed,
    }
}

open_enum! {
    /// The units that a bulk cancellation asks for in each order.
    BulkUnits {
        /// Every unit that is not cancelled yet.
        All,
        /// Of those, the ones of the filter's SKU, and in shipments that have not left its
        /// warehouse.
        Matching,
    }
}

open_enum! {
    /// What came of an order in a bulk cancellation.
    BulkOutcome {
        /// It is not asked yet; in one that was stopped, it never is.
        Waiting,
        /// All that was asked for and is not left out is cancelled.
        Completed,
        /// The cancellation is requested, and waits for a consent or a fact.
        Pending,
        /// The order rejects the request.
        Rejected,
        /// The order could not be asked, although it was tried several times.
        Failed,
    }
}

/// The filter of the orders that a bulk cancellation is for.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BulkFilter {
    /// Only orders with a line of this SKU.
    pub sku: Option<String>,
    /// Only orders with a shipment that has not left this warehouse.
    pub warehouse_id: Option<WarehouseId>,
    /// Only orders of this seller.
    pub seller_id: Option<SellerId>,
    /// Only orders to this country.
    pub destination_country: Option<String>,
    /// Only orders to this city.
    pub destination_city: Option<String>,
    /// Only orders in one of these states.
    pub states: Vec<OrderState>,
    /// Only orders created at this instant or later.
    pub create_time_from: Option<Timestamp>,
    /// Only orders created before this instant.
    pub create_time_before: Option<Timestamp>,
}

/// The result of one order in a bulk cancellation.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BulkResult {
    /// The order.
    pub order_id: OrderId,
    /// What came of it; of a dry run, what would have.
    pub outcome: BulkOutcome,
    /// The cancellation. `None` unless the order is `Completed` or `Pending`, and in a dry run.
    pub cancellation_id: Option<CancellationId>,
    /// The amount that the cancellation gives back.
    pub expected_refund: Option<Money>,
    /// Every reason against it, in order of precedence. Empty unless `Rejected`.
    pub rejections: Vec<Rejection>,
    /// Why it could not be asked. `None` unless `Failed`.
    pub failure_reason: Option<ErrorReason>,
    /// The request id that the order was asked with. `None` in a dry run.
    pub request_id: Option<RequestId>,
}

impl FromWire for BulkCancellation {
    type Message = pb::BulkCancellation;

    fn from_wire(message: pb::BulkCancellation) -> Result<Self, Malformed> {
        Ok(Self {
            bulk_cancellation_id: BulkCancellationId::unchecked(message.bulk_cancellation_id),
            store_id: StoreId::unchecked(message.store_id),
            state: BulkState::from_wire(message.state),
            dry_run: message.dry_run,
            requester: read(message.requester, "bulk_cancellation.requester")?,
            named_orders: message.named_orders,
            filter: read_if_set(message.filter)?,
            units: BulkUnits::from_wire(message.units),
            reason: text_if_set(message.reason),
            orders_per_second: message.orders_per_second,
            total_orders: message.total_orders,
            waiting_orders: message.waiting_orders,
            completed_orders: message.completed_orders,
            pending_orders: message.pending_orders,
            rejected_orders: message.rejected_orders,
            failed_orders: message.failed_orders,
            expected_refunds: read_all(message.expected_refunds)?,
            failure_reason: ErrorReason::from_name(message.failure_reason),
            create_time: time(message.create_time, "bulk_cancellation.create_time")?,
            end_time: time_if_set(message.end_time, "bulk_cancellation.end_time")?,
        })
    }
}

impl FromWire for BulkFilter {
    type Message = pb::BulkFilter;

    fn from_wire(message: pb::BulkFilter) -> Result<Self, Malformed> {
        Ok(Self {
            sku: text_if_set(message.sku),
            warehouse_id: text_if_set(message.warehouse_id).map(WarehouseId::unchecked),
            seller_id: text_if_set(message.seller_id).map(SellerId::unchecked),
            destination_country: text_if_set(message.destination_country),
            destination_city: text_if_set(message.destination_city),
            states: open_all(message.states),
            create_time_from: time_if_set(message.create_time_from, "filter.create_time_from")?,
            create_time_before: time_if_set(
                message.create_time_before,
                "filter.create_time_before",
            )?,
        })
    }
}

impl FromWire for BulkResult {
    type Message = pb::BulkResult;

    fn from_wire(message: pb::BulkResult) -> Result<Self, Malformed> {
        let request_id = text_if_set(message.request_id).map(|id| RequestId::parse(&id));
        Ok(Self {
            order_id: OrderId::unchecked(message.order_id),
            outcome: BulkOutcome::from_wire(message.outcome),
            cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
            expected_refund: read_if_set(message.expected_refund)?,
            rejections: read_all(message.rejections)?,
            failure_reason: ErrorReason::from_name(message.failure_reason),
            request_id: request_id
                .transpose()
                .map_err(|_| Malformed("bulk_result.request_id"))?,
        })
    }
}
