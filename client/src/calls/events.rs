//! The feed: for whoever reacts to what happens to orders.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use belay_proto::v1 as pb;
use belay_proto::v1::{list_events_request, watch_events_request};
use futures_util::Stream;
use tonic::Streaming;

use super::macros::{call, list};
use crate::argument_errors::ArgumentErrors;
use crate::belay::Belay;
use crate::call::{Call, StreamCall, poll_message};
use crate::error::Error;
use crate::ids::{
    CarrierId, ConsumerId, IntoId, OrderId, ResumeToken, SellerId, StoreId, WarehouseId,
};
use crate::model::{Consumer, Event, EventBatch, EventType, PartitionPosition};
use crate::wire::{FromWire as _, read};

/// # Events
impl Belay {
    /// Watches the feed: every event that is committed, on whichever server, from now on unless a
    /// beginning is set. Awaiting the call opens the stream.
    ///
    /// This is one stream, which ends with its server and its connection. [`watch`](Self::watch)
    /// lasts over as many as it takes.
    ///
    /// Fails with `ResumeTokenInvalid`, `PositionExpired`, `PositionAhead`, and `Overloaded` if the
    /// server has as many streams as it takes.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// use belay_client::model::EventType;
    ///
    /// let mut stream = belay.watch_events().store_id("demo").event_types([EventType::GateOpened]).await?;
    /// while let Some(batch) = stream.try_next().await? {
    ///     for event in &batch.events {
    ///         println!("{} {}", event.order_id, event.event_type);
    ///     }
    ///     // Store batch.resume_token: a stream that begins with it goes on behind this batch.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_events(&self) -> WatchEvents {
        WatchEvents(StreamCall::new(
            self,
            pb::WatchEventsRequest::default(),
            ArgumentErrors::default(),
        ))
    }

    /// Lists the events of the feed, with the oldest that is kept first unless a beginning is set:
    /// partition by partition, each in its order. The token of a page is a [`ResumeToken`] too.
    /// Fails with `PageTokenInvalid`, `ResumeTokenInvalid`, `PositionExpired`, `PositionAhead`.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// let mut events = belay.list_events().store_id("demo").order_id("A-1").stream();
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{} {}", event.event_time, event.event_type);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_events(&self) -> ListEvents {
        ListEvents(Call::new(
            self,
            pb::ListEventsRequest::default(),
            ArgumentErrors::default(),
        ))
    }

    /// Stores how far a consumer is, under a name of this caller's. It never goes back. Fails with
    /// `ResumeTokenInvalid`, `PositionBehind`, `PositionAhead`, `ConsumersExhausted`.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay, token: belay_client::ResumeToken) -> Result<(), belay_client::Error> {
    /// let consumer = belay.commit_position("search-index", token).await?;
    /// println!("{} events behind", consumer.lag_events);
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_position(
        &self,
        consumer_id: impl IntoId<ConsumerId>,
        resume_token: impl Into<ResumeToken>,
    ) -> CommitPosition {
        let mut errors = ArgumentErrors::default();
        let request = pb::CommitPositionRequest {
            consumer_id: errors.id("consumer_id", consumer_id),
            resume_token: resume_token.into().into(),
            ..Default::default()
        };
        CommitPosition(Call::new(self, request, errors))
    }

    /// Gets a consumer of this caller's. Fails with `ConsumerNotFound`.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// let consumer = belay.get_consumer("search-index").await?;
    /// let stream = belay.watch_events().resume_token(consumer.resume_token).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_consumer(&self, consumer_id: impl IntoId<ConsumerId>) -> GetConsumer {
        let mut errors = ArgumentErrors::default();
        let request = pb::GetConsumerRequest {
            consumer_id: errors.id("consumer_id", consumer_id),
            ..Default::default()
        };
        GetConsumer(Call::new(self, request, errors))
    }

    /// Forgets a consumer of this caller's; one that is not there stays so.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// belay.delete_consumer("search-index").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_consumer(&self, consumer_id: impl IntoId<ConsumerId>) -> DeleteConsumer {
        let mut errors = ArgumentErrors::default();
        let request = pb::DeleteConsumerRequest {
            consumer_id: errors.id("consumer_id", consumer_id),
            ..Default::default()
        };
        DeleteConsumer(Call::new(self, request, errors))
    }

    /// Lists this caller's consumers by name; for operators and auditors those of every caller.
    /// Fails with `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// for consumer in belay.list_consumers().await? {
    ///     println!("{}: {} events behind", consumer.consumer_id, consumer.lag_events);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_consumers(&self) -> ListConsumers {
        ListConsumers(Call::new(
            self,
            pb::ListConsumersRequest::default(),
            ArgumentErrors::default(),
        ))
    }
}

list! {
    /// Made by [`Belay::list_events`].
    ListEvents(pb::ListEventsRequest) -> Event;
    events
}
call! {
    /// Made by [`Belay::commit_position`].
    CommitPosition(pb::CommitPositionRequest) -> Consumer;
    |response| read(response.consumer, "consumer")
}
call! {
    /// Made by [`Belay::get_consumer`].
    GetConsumer(pb::GetConsumerRequest) -> Consumer;
    |response| read(response.consumer, "consumer")
}
call! {
    /// Made by [`Belay::delete_consumer`].
    DeleteConsumer(pb::DeleteConsumerRequest) -> ();
    |_response| Ok(())
}
list! {
    /// Made by [`Belay::list_consumers`].
    ListConsumers(pb::ListConsumersRequest) -> Consumer;
    consumers
}

/// The store of a filter.
macro_rules! store_setter {
    () => {
        /// Only events of this store. Unless set: of all stores in the caller's scope.
        pub fn store_id(mut self, store_id: impl IntoId<StoreId>) -> Self {
            let id = self.0.errors.id("filter.store_id", store_id);
            self.0.request.filter.get_or_insert_default().store_id = id;
            self
        }
    };
}

/// The setters of a filter, by where the call is. Each kind that is set must match; of its values,
/// one must.
macro_rules! filter_setters {
    ($($call:tt).+) => {
        /// Only events of this order. Needs the store.
        pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
            let id = self.$($call).+.errors.id("filter.order_id", order_id);
            self.$($call).+.request.filter.get_or_insert_default().order_id = id;
            self
        }

        /// Only events of these sellers' orders: at most 200.
        pub fn seller_ids<I: IntoId<SellerId>>(
            mut self,
            sellers: impl IntoIterator<Item = I>,
        ) -> Self {
            let call = &mut self.$($call).+;
            let ids = sellers
                .into_iter()
                .map(|id| call.errors.id("filter.seller_ids", id));
            call.request.filter.get_or_insert_default().seller_ids = ids.collect();
            self
        }

        /// Only events about shipments of these warehouses: at most 200.
        pub fn warehouse_ids<I: IntoId<WarehouseId>>(
            mut self,
            warehouses: impl IntoIterator<Item = I>,
        ) -> Self {
            let call = &mut self.$($call).+;
            let ids = warehouses
                .into_iter()
                .map(|id| call.errors.id("filter.warehouse_ids", id));
            call.request.filter.get_or_insert_default().warehouse_ids = ids.collect();
            self
        }

        /// Only events about shipments of these carriers: at most 200.
        pub fn carrier_ids<I: IntoId<CarrierId>>(
            mut self,
            carriers: impl IntoIterator<Item = I>,
        ) -> Self {
            let call = &mut self.$($call).+;
            let ids = carriers
                .into_iter()
                .map(|id| call.errors.id("filter.carrier_ids", id));
            call.request.filter.get_or_insert_default().carrier_ids = ids.collect();
            self
        }

        /// Only events of these types.
        pub fn event_types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
            let types = types.into_iter().map(EventType::to_wire);
            self.$($call).+.request.filter.get_or_insert_default().event_types = types.collect();
            self
        }
    };
}

pub(crate) use filter_setters;

impl ListEvents {
    store_setter!();
    filter_setters!(0);

    /// Begins behind the batch or page of this token.
    pub fn resume_token(mut self, token: impl Into<ResumeToken>) -> Self {
        let token = token.into().into();
        self.0.request.begin = Some(list_events_request::Begin::ResumeToken(token));
        self
    }

    /// Begins behind these positions; partitions without one begin with their oldest event.
    pub fn positions(mut self, positions: impl IntoIterator<Item = PartitionPosition>) -> Self {
        let positions = to_wire(positions);
        self.0.request.begin = Some(list_events_request::Begin::Positions(positions));
        self
    }
}

impl CommitPosition {
    /// The store whose events the consumer reads: part of its name.
    pub fn store_id(mut self, store_id: impl IntoId<StoreId>) -> Self {
        self.0.request.store_id = self.0.errors.id("store_id", store_id);
        self
    }
}

impl GetConsumer {
    /// The store whose events the consumer reads: part of its name.
    pub fn store_id(mut self, store_id: impl IntoId<StoreId>) -> Self {
        self.0.request.store_id = self.0.errors.id("store_id", store_id);
        self
    }
}

impl DeleteConsumer {
    /// The store whose events the consumer reads: part of its name.
    pub fn store_id(mut self, store_id: impl IntoId<StoreId>) -> Self {
        self.0.request.store_id = self.0.errors.id("store_id", store_id);
        self
    }
}

impl ListConsumers {
    /// Only consumers of this store.
    pub fn store_id(mut self, store_id: impl IntoId<StoreId>) -> Self {
        self.0.request.store_id = self.0.errors.id("store_id", store_id);
        self
    }
}

fn to_wire(positions: impl IntoIterator<Item = PartitionPosition>) -> pb::FeedPositions {
    let partition = |at: PartitionPosition| pb::PartitionPosition {
        partition: at.partition,
        position: at.position,
    };
    pb::FeedPositions {
        partitions: positions.into_iter().map(partition).collect(),
    }
}

/// Made by [`Belay::watch_events`].
#[must_use = "a call does nothing until it is awaited or opened"]
#[derive(Clone)]
pub struct WatchEvents(pub(crate) WatchCall);

pub(crate) type WatchCall = StreamCall<pb::WatchEventsRequest>;

impl WatchEvents {
    store_setter!();
    filter_setters!(0);

    /// Begins with the oldest event that is kept.
    pub fn from_oldest(mut self) -> Self {
        let oldest = pb::FeedStart::Oldest.into();
        self.0.request.begin = Some(watch_events_request::Begin::Start(oldest));
        self
    }

    /// Begins behind the batch of this token, which was given out for the same filter.
    pub fn resume_token(mut self, token: impl Into<ResumeToken>) -> Self {
        let token = token.into().into();
        self.0.request.begin = Some(watch_events_request::Begin::ResumeToken(token));
        self
    }

    /// Begins behind these positions; partitions without one begin with their oldest event.
    pub fn positions(mut self, positions: impl IntoIterator<Item = PartitionPosition>) -> Self {
        let positions = to_wire(positions);
        self.0.request.begin = Some(watch_events_request::Begin::Positions(positions));
        self
    }

    /// Opens the stream. To await the call does the same. A stream has no time-out.
    ///
    /// # Errors
    /// [`Error`] says what went wrong; [`Belay::watch_events`] says what can.
    pub async fn open(self) -> Result<EventStream, Error> {
        Ok(EventStream {
            messages: self.0.open().await?,
            resume_token: None,
        })
    }
}

/// Of the filter alone; tokens belong in no log.
impl fmt::Debug for WatchEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventService/WatchEvents {:?}", self.0.request.filter)
    }
}

impl IntoFuture for WatchEvents {
    type Output = Result<EventStream, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// A stream of events, as they are committed. Opened by [`Belay::watch_events`].
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. It ends when the
/// server stops, and with an error when the connection breaks; either way the next stream begins
/// with the [`resume_token`](Self::resume_token) and misses nothing.
#[must_use = "a stream does nothing until it is polled"]
pub struct EventStream {
    messages: Streaming<pb::WatchEventsResponse>,
    resume_token: Option<ResumeToken>,
}

impl EventStream {
    /// The next batch; a bookmark has no events. `None` once the server has ended the stream.
    ///
    /// # Errors
    /// `WatcherTooSlow`, `SessionEnded` and `PositionExpired`, and those of a broken connection.
    pub async fn try_next(&mut self) -> Result<Option<EventBatch>, Error> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// The token behind the last batch that was read. `None` before the first.
    pub fn resume_token(&self) -> Option<&ResumeToken> {
        self.resume_token.as_ref()
    }
}

impl Stream for EventStream {
    type Item = Result<EventBatch, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let batch = ready!(poll_message(&mut this.messages, cx, EventBatch::from_wire));
        if let Some(Ok(batch)) = &batch {
            this.resume_token = Some(batch.resume_token.clone());
        }
        Poll::Ready(batch)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("resume_token", &self.resume_token)
            .finish_non_exhaustive()
    }
}
