//! Bulk cancellations: for sellers, support and operators.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use belay_proto::v1 as pb;
use belay_proto::v1::start_bulk_cancellation_request::Selection;
use futures_util::Stream;
use jiff::Timestamp;
use tonic::Streaming;

use super::OnIneligibleUnits;
use super::macros::{call, list};
use crate::argument_errors::ArgumentErrors;
use crate::call::{Call, StreamCall, poll_message};
use crate::error::Error;
use crate::ids::{BulkCancellationId, IntoId, OrderId, SellerId, WarehouseId};
use crate::model::{
    BulkCancellation, BulkOutcome, BulkResult, BulkUnits, CancellationPath, OrderState,
};
use crate::store::Store;
use crate::wire::{read, time_to_wire};

/// # Bulk cancellations
impl Store {
    /// Starts a bulk cancellation: the servers request the cancellation of each order, as
    /// [`request_cancellation`](Self::request_cancellation) does, with this caller's role and
    /// scope. With `dry_run` they only tell what would come of each.
    ///
    /// The request id becomes its id. Fails with `RequestIdReused`, `BulkCancellationsExhausted`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::MatchingOrders;
    ///
    /// let orders = MatchingOrders::new().destination_city("FR", "Lyon");
    /// let bulk = store.start_bulk_cancellation(orders).reason("ADDRESS_NOT_DELIVERABLE").await?;
    /// let mut progress = store.watch_bulk_cancellation(&bulk.bulk_cancellation_id).await?;
    /// while let Some(bulk) = progress.try_next().await? {
    ///     println!("{} of {} left", bulk.waiting_orders, bulk.total_orders);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_bulk_cancellation(&self, orders: impl Into<BulkOrders>) -> StartBulkCancellation {
        let (store_id, mut errors) = self.begin();
        let orders = orders.into();
        errors.0.extend(orders.errors.0);
        let request = pb::StartBulkCancellationRequest {
            store_id,
            selection: Some(orders.selection),
            ..Default::default()
        };
        StartBulkCancellation(Call::new(&self.belay, request, errors))
    }

    /// Gets a bulk cancellation. Fails with `BulkCancellationNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, id: belay_client::BulkCancellationId) -> Result<(), belay_client::Error> {
    /// let bulk = store.get_bulk_cancellation(id).await?;
    /// println!("{}: {} completed, {} rejected", bulk.state, bulk.completed_orders, bulk.rejected_orders);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_bulk_cancellation(
        &self,
        bulk_cancellation_id: impl IntoId<BulkCancellationId>,
    ) -> GetBulkCancellation {
        let (store_id, mut errors) = self.begin();
        let request = pb::GetBulkCancellationRequest {
            store_id,
            bulk_cancellation_id: errors.id("bulk_cancellation_id", bulk_cancellation_id),
        };
        GetBulkCancellation(Call::new(&self.belay, request, errors))
    }

    /// Lists bulk cancellations, newest first: the caller's own; for support, operators and
    /// auditors those of every caller.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for bulk in store.list_bulk_cancellations().await? {
    ///     println!("{} {}", bulk.create_time, bulk.state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_bulk_cancellations(&self) -> ListBulkCancellations {
        let (store_id, errors) = self.begin();
        let request = pb::ListBulkCancellationsRequest {
            store_id,
            ..Default::default()
        };
        ListBulkCancellations(Call::new(&self.belay, request, errors))
    }

    /// Watches a bulk cancellation until it has ended. Awaiting the call opens the stream. Fails
    /// with `BulkCancellationNotFound`, and `Overloaded` if the server has as many such streams as
    /// it takes.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, id: belay_client::BulkCancellationId) -> Result<(), belay_client::Error> {
    /// let mut progress = store.watch_bulk_cancellation(id).await?;
    /// while let Some(bulk) = progress.try_next().await? {
    ///     println!("{} of {} left", bulk.waiting_orders, bulk.total_orders);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_bulk_cancellation(
        &self,
        bulk_cancellation_id: impl IntoId<BulkCancellationId>,
    ) -> WatchBulkCancellation {
        let (store_id, mut errors) = self.begin();
        let request = pb::WatchBulkCancellationRequest {
            store_id,
            bulk_cancellation_id: errors.id("bulk_cancellation_id", bulk_cancellation_id),
        };
        WatchBulkCancellation(StreamCall::new(&self.belay, request, errors))
    }

    /// Lists the results of a bulk cancellation, one for each order, in no order that means
    /// anything. Fails with `BulkCancellationNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, id: belay_client::BulkCancellationId) -> Result<(), belay_client::Error> {
    /// use belay_client::model::BulkOutcome;
    ///
    /// let mut rejected = store.list_bulk_results(id).outcome(BulkOutcome::Rejected).stream();
    /// while let Some(result) = rejected.try_next().await? {
    ///     println!("{}: {}", result.order_id, result.rejections[0].reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_bulk_results(
        &self,
        bulk_cancellation_id: impl IntoId<BulkCancellationId>,
    ) -> ListBulkResults {
        let (store_id, mut errors) = self.begin();
        let request = pb::ListBulkResultsRequest {
            store_id,
            bulk_cancellation_id: errors.id("bulk_cancellation_id", bulk_cancellation_id),
            ..Default::default()
        };
        ListBulkResults(Call::new(&self.belay, request, errors))
    }

    /// Stops a bulk cancellation: no further order is asked. What is cancelled stays so. Fails with
    /// `BulkCancellationNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, id: belay_client::BulkCancellationId) -> Result<(), belay_client::Error> {
    /// let bulk = store.stop_bulk_cancellation(id).await?;
    /// println!("{}", bulk.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_bulk_cancellation(
        &self,
        bulk_cancellation_id: impl IntoId<BulkCancellationId>,
    ) -> StopBulkCancellation {
        let (store_id, mut errors) = self.begin();
        let request = pb::StopBulkCancellationRequest {
            store_id,
            bulk_cancellation_id: errors.id("bulk_cancellation_id", bulk_cancellation_id),
        };
        StopBulkCancellation(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::start_bulk_cancellation`].
    StartBulkCancellation(pb::StartBulkCancellationRequest) -> BulkCancellation,
        [request_id, reason, note, evidence, paths, on_ineligible_units, metadata, external_references];
    |response| read(response.bulk_cancellation, "bulk_cancellation")
}
call! {
    /// Made by [`Store::get_bulk_cancellation`].
    GetBulkCancellation(pb::GetBulkCancellationRequest) -> BulkCancellation;
    |response| read(response.bulk_cancellation, "bulk_cancellation")
}
list! {
    /// Made by [`Store::list_bulk_cancellations`].
    ListBulkCancellations(pb::ListBulkCancellationsRequest) -> BulkCancellation;
    bulk_cancellations
}
list! {
    /// Made by [`Store::list_bulk_results`].
    ListBulkResults(pb::ListBulkResultsRequest) -> BulkResult;
    results
}
call! {
    /// Made by [`Store::stop_bulk_cancellation`].
    StopBulkCancellation(pb::StopBulkCancellationRequest) -> BulkCancellation;
    |response| read(response.bulk_cancellation, "bulk_cancellation")
}

impl StartBulkCancellation {
    /// Cancels nothing: the results tell what would be.
    pub fn dry_run(mut self) -> Self {
        self.0.request.dry_run = true;
        self
    }

    /// The units to cancel in each order. [`BulkUnits::All`] unless set.
    pub fn units(mut self, units: BulkUnits) -> Self {
        self.0.request.units = units.to_wire();
        self
    }

    /// The orders to ask per second, at most: 1 to 1,000; 50 unless set.
    pub fn orders_per_second(mut self, orders_per_second: i32) -> Self {
        self.0.request.orders_per_second = orders_per_second;
        self
    }
}

impl ListBulkResults {
    /// Only results with this outcome.
    pub fn outcome(mut self, outcome: BulkOutcome) -> Self {
        self.0.request.outcome = outcome.to_wire();
        self
    }
}

/// The orders of a bulk cancellation: named, or those that match.
///
/// ```
/// use belay_client::calls::{BulkOrders, MatchingOrders};
///
/// let named = BulkOrders::named(["A-1", "A-2"]);
/// let matching: BulkOrders = MatchingOrders::new().sku("MUG").warehouse_id("main").into();
/// # let _ = (named, matching);
/// ```
#[derive(Debug, Clone)]
pub struct BulkOrders {
    selection: Selection,
    errors: ArgumentErrors,
}

impl BulkOrders {
    /// Orders by id: 1 to 10,000, none twice.
    pub fn named<I: IntoId<OrderId>>(orders: impl IntoIterator<Item = I>) -> Self {
        let mut errors = ArgumentErrors::default();
        let ids = orders
            .into_iter()
            .map(|id| errors.id("orders.order_ids", id));
        let order_ids = ids.collect();
        Self {
            selection: Selection::Orders(pb::BulkOrders { order_ids }),
            errors,
        }
    }
}

/// The orders that match all that is set: at most 100,000. Something must be set besides the
/// states.
#[derive(Debug, Clone, Default)]
pub struct MatchingOrders {
    filter: pb::BulkFilter,
    errors: ArgumentErrors,
}

impl MatchingOrders {
    /// A filter with nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only orders with a line of this SKU.
    #[must_use]
    pub fn sku(mut self, sku: impl Into<String>) -> Self {
        self.filter.sku = sku.into();
        self
    }

    /// Only orders with a shipment that has not left this warehouse.
    #[must_use]
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.filter.warehouse_id = self.errors.id("filter.warehouse_id", warehouse_id);
        self
    }

    /// Only orders of this seller.
    #[must_use]
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.filter.seller_id = self.errors.id("filter.seller_id", seller_id);
        self
    }

    /// Only orders to this country, an ISO 3166-1 alpha-2 code.
    #[must_use]
    pub fn destination_country(mut self, country: impl Into<String>) -> Self {
        self.filter.destination_country = country.into();
        self
    }

    /// Only orders to this city of a country, spelt as in the order.
    #[must_use]
    pub fn destination_city(mut self, country: impl Into<String>, city: impl Into<String>) -> Self {
        self.filter.destination_country = country.into();
        self.filter.destination_city = city.into();
        self
    }

    /// Only orders in one of these states, none twice. Unless set: those in which something has not
    /// left.
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = OrderState>) -> Self {
        self.filter.states = states.into_iter().map(OrderState::to_wire).collect();
        self
    }

    /// Only orders created at this instant or later.
    #[must_use]
    pub fn create_time_from(mut self, time: Timestamp) -> Self {
        self.filter.create_time_from = Some(time_to_wire(time));
        self
    }

    /// Only orders created before this instant.
    #[must_use]
    pub fn create_time_before(mut self, time: Timestamp) -> Self {
        self.filter.create_time_before = Some(time_to_wire(time));
        self
    }
}

impl From<MatchingOrders> for BulkOrders {
    fn from(matching: MatchingOrders) -> Self {
        Self {
            selection: Selection::Filter(matching.filter),
            errors: matching.errors,
        }
    }
}

/// Made by [`Store::watch_bulk_cancellation`].
#[must_use = "a call does nothing until it is awaited or opened"]
#[derive(Clone)]
pub struct WatchBulkCancellation(WatchCall);

type WatchCall = StreamCall<pb::WatchBulkCancellationRequest>;

impl WatchBulkCancellation {
    /// Opens the stream. To await the call does the same. A stream has no time-out.
    ///
    /// # Errors
    /// [`Error`] says what went wrong; [`Store::watch_bulk_cancellation`] says what can.
    pub async fn open(self) -> Result<BulkProgress, Error> {
        let messages = self.0.open().await?;
        Ok(BulkProgress { messages })
    }
}

impl fmt::Debug for WatchBulkCancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkService/WatchBulkCancellation {:?}", self.0.request)
    }
}

impl IntoFuture for WatchBulkCancellation {
    type Output = Result<BulkProgress, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// The progress of a bulk cancellation: as it is at first, then whenever it has changed. Opened by
/// [`Store::watch_bulk_cancellation`].
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. It ends when the
/// bulk cancellation has; if the last that came has no `end_time`, the server has stopped: open it
/// again.
#[must_use = "a stream does nothing until it is polled"]
pub struct BulkProgress {
    messages: Streaming<pb::WatchBulkCancellationResponse>,
}

impl BulkProgress {
    /// The bulk cancellation after the next change. `None` once the server has ended the stream.
    ///
    /// # Errors
    /// `BulkCancellationNotFound` if it is no longer kept, and those of a broken connection.
    pub async fn try_next(&mut self) -> Result<Option<BulkCancellation>, Error> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }
}

impl Stream for BulkProgress {
    type Item = Result<BulkCancellation, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_message(&mut self.get_mut().messages, cx, |message| {
            read(message.bulk_cancellation, "bulk_cancellation")
        })
    }
}

impl fmt::Debug for BulkProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BulkProgress")
    }
}
