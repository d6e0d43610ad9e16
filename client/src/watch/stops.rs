//! The stops that a warehouse is asked for.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::sleep;

use super::error::WatchError;
use super::ledger::Delivered;
use super::subscription::Subscription;
use crate::argument_errors::ArgumentErrors;
use crate::error::Error;
use crate::error_reason::ErrorReason;
use crate::ids::{CancellationId, IntoId, OrderId, ShipmentId, WarehouseId};
use crate::model::{
    Cancellation, CancellationState, Event, EventDetail, EventType, GateKind, GateState, Party,
    SkuQuantity,
};
use crate::retry::Backoff;
use crate::store::Store;

/// Shipments that are read at once.
const READS_MAX: usize = 16;
/// The size of a page of cancellations.
const PAGE_SIZE: i32 = 200;
/// The delays between attempts to begin anew.
const DELAY_FIRST: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(15);

/// A stop: a warehouse is asked to keep units of a shipment in. It is answered with
/// [`answer_stop`](crate::Store::answer_stop).
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The shipment's fence with the stop. A dispatch with an older one is refused.
    pub fence: i64,
    /// The units to stop, by line and SKU.
    pub contents: Vec<SkuQuantity>,
    /// The instant before which an answer counts, the earliest of its cancellations'. `None`
    /// without a deadline.
    pub respond_by: Option<Timestamp>,
    /// The cancellations that ask for it, at least one.
    pub cancellation_ids: Vec<CancellationId>,
}

/// # Watching
impl Store {
    /// The stops of a warehouse: those that are open now, the most urgent first, and those that
    /// open from now on, as they open. Each comes once; in another `Stops`, such as after a
    /// restart, those that are still open come again. There is nothing to acknowledge.
    ///
    /// A stop may be over when it is answered: by its deadline, or because it was withdrawn. Then
    /// the answer fails with `GateNotOpen`, or is recorded as a late fact.
    ///
    /// # Errors
    /// [`WatchError`] says what went wrong.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::BoxError> {
    /// use belay_client::calls::Stopped;
    ///
    /// let mut stops = store.stops_for("main").await?;
    /// while let Some(stop) = stops.try_next().await? {
    ///     for units in &stop.contents {
    ///         println!("{}: put {} of {:?} back", stop.shipment_id, units.quantity, units.sku);
    ///     }
    ///     let units = stop.contents.iter().map(|units| (&units.line_id, units.quantity));
    ///     store.answer_stop(&stop.shipment_id, Stopped::all().put_back(units)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stops_for(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
    ) -> Result<Stops, WatchError> {
        let mut errors = ArgumentErrors::default();
        let id = errors.id("warehouse_id", warehouse_id);
        if !errors.0.is_empty() {
            return Err(WatchError::Call(Error::invalid(errors.0)));
        }
        let warehouse_id = WarehouseId::unchecked(id);
        let (subscription, open) = begin(self, &warehouse_id).await?;
        let mut stops = Stops {
            store: self.clone(),
            warehouse_id,
            feed: Feed::Open(Box::new(subscription)),
            known: HashSet::new(),
            ready: VecDeque::new(),
        };
        stops.add_all(open);
        Ok(stops)
    }
}

/// The stops of a warehouse. Made by [`Store::stops_for`](crate::Store::stops_for).
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. It reconnects by
/// itself. Where the feed no longer holds what comes next, as after a long outage, it reads anew
/// what is open.
///
/// ```no_run
/// # async fn example(mut stops: belay_client::watch::Stops) -> Result<(), belay_client::watch::WatchError> {
/// while let Some(stop) = stops.try_next().await? {
///     println!("{} until {:?}, for {:?}", stop.shipment_id, stop.respond_by, stop.cancellation_ids);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "stops do nothing until they are polled"]
pub struct Stops {
    store: Store,
    warehouse_id: WarehouseId,
    feed: Feed,
    /// What is open, as far as it was told.
    known: HashSet<(CancellationId, ShipmentId)>,
    ready: VecDeque<Stop>,
}

type Beginning =
    Pin<Box<dyn Future<Output = Result<(Subscription, Vec<Stop>), WatchError>> + Send>>;

enum Feed {
    Open(Box<Subscription>),
    Beginning(Beginning),
    Ended,
}

impl Stops {
    /// The next stop. Waits for as long as there is none. `None` once it has ended, which it does
    /// only by an error. The future may be dropped at any time; nothing is lost.
    ///
    /// # Errors
    /// [`WatchError`], once.
    pub async fn try_next(&mut self) -> Result<Option<Stop>, WatchError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Stop, WatchError>>> {
        loop {
            if let Some(stop) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(stop)));
            }
            let taken = match &mut self.feed {
                Feed::Open(subscription) => {
                    let next = ready!(Pin::new(&mut **subscription).poll_next(cx));
                    next.map(|next| self.take_events(next))
                }
                Feed::Beginning(beginning) => {
                    let begun = ready!(beginning.as_mut().poll(cx));
                    Some(self.take_beginning(begun))
                }
                Feed::Ended => None,
            };
            match taken {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// What an open feed brings next.
    fn take_events(&mut self, next: Result<Delivered, WatchError>) -> Result<(), WatchError> {
        match next {
            Ok(delivered) => {
                self.follow(delivered.events());
                delivered.ack();
            }
            // What is open is all that counts, and that can be read.
            Err(WatchError::Expired { .. }) => {
                let (store, warehouse_id) = (self.store.clone(), self.warehouse_id.clone());
                self.feed =
                    Feed::Beginning(Box::pin(
                        async move { begin_again(&store, &warehouse_id).await },
                    ));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A feed that has begun, with what is open by then.
    fn take_beginning(
        &mut self,
        begun: Result<(Subscription, Vec<Stop>), WatchError>,
    ) -> Result<(), WatchError> {
        let (subscription, open) = begun.inspect_err(|_| self.feed = Feed::Ended)?;
        self.feed = Feed::Open(Box::new(subscription));
        let is_open = |id: &(CancellationId, ShipmentId)| {
            open.iter()
                .any(|stop| stop.shipment_id == id.1 && stop.cancellation_ids.contains(&id.0))
        };
        self.known.retain(is_open);
        self.add_all(open);
        Ok(())
    }

    /// Takes stops that were not told yet.
    fn add_all(&mut self, stops: Vec<Stop>) {
        for stop in stops {
            let mut is_new = false;
            for id in &stop.cancellation_ids {
                is_new |= self.known.insert((id.clone(), stop.shipment_id.clone()));
            }
            if is_new {
                self.ready.push_back(stop);
            }
        }
    }

    fn follow(&mut self, events: &[Event]) {
        let mut version = None;
        let mut opened: Vec<Stop> = Vec::new();
        for event in events {
            // Stops on one shipment by one command are one.
            let of = Some((&event.order_id, event.order_version));
            if of != version {
                let together = std::mem::take(&mut opened);
                self.add_all(together);
                version = of;
            }
            self.follow_one(event, &mut opened);
        }
        self.add_all(opened);
    }

    fn follow_one(&mut self, event: &Event, opened: &mut Vec<Stop>) {
        let Some(EventDetail::GateChanged {
            cancellation_id,
            shipment_id,
            kind: GateKind::WarehouseStop,
            state,
            respond_by,
            fence,
            contents,
            ..
        }) = &event.detail
        else {
            return;
        };
        if *state != GateState::Open {
            self.close(cancellation_id, shipment_id);
            return;
        }
        let is_known = self
            .known
            .contains(&(cancellation_id.clone(), shipment_id.clone()));
        if is_known {
            return;
        }
        let beside = opened
            .iter_mut()
            .find(|stop| stop.shipment_id == *shipment_id);
        match beside {
            Some(stop) => {
                stop.fence = stop.fence.max(*fence);
                stop.contents.extend(contents.iter().cloned());
                stop.respond_by = earliest(stop.respond_by, *respond_by);
                stop.cancellation_ids.push(cancellation_id.clone());
            }
            None => opened.push(Stop {
                order_id: event.order_id.clone(),
                shipment_id: shipment_id.clone(),
                warehouse_id: self.warehouse_id.clone(),
                fence: *fence,
                contents: contents.clone(),
                respond_by: *respond_by,
                cancellation_ids: vec![cancellation_id.clone()],
            }),
        }
    }

    /// Forgets a stop that is over.
    fn close(&mut self, cancellation_id: &CancellationId, shipment_id: &ShipmentId) {
        self.known
            .remove(&(cancellation_id.clone(), shipment_id.clone()));
        // Nobody need be asked any more; of several cancellations the others still ask.
        self.ready.retain(|stop| {
            stop.shipment_id != *shipment_id || stop.cancellation_ids != [cancellation_id.clone()]
        });
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Watches, and then reads what is open: what opens in between comes by both ways.
async fn begin(
    store: &Store,
    warehouse_id: &WarehouseId,
) -> Result<(Subscription, Vec<Stop>), WatchError> {
    let subscription = store
        .watch()
        .warehouse_ids([warehouse_id])
        .event_types([EventType::GateOpened, EventType::GateClosed])
        .open()
        .await?;
    Ok((subscription, open_stops(store, warehouse_id).await?))
}

/// The same, until it succeeds or fails for a reason that does not pass by itself.
async fn begin_again(
    store: &Store,
    warehouse_id: &WarehouseId,
) -> Result<(Subscription, Vec<Stop>), WatchError> {
    let mut backoff = Backoff::new(DELAY_FIRST, DELAY_MAX);
    loop {
        match begin(store, warehouse_id).await {
            Err(WatchError::Call(error)) if error.is_transient() => {
                sleep(backoff.next_delay(error.retry_after())).await;
            }
            outcome => return outcome,
        }
    }
}

/// The open requests for one shipment.
#[derive(Default)]
struct Asked {
    units: Vec<(crate::ids::LineId, i32)>,
    respond_by: Option<Timestamp>,
    cancellation_ids: Vec<CancellationId>,
}

/// What is open now, the most urgent first.
async fn open_stops(store: &Store, warehouse_id: &WarehouseId) -> Result<Vec<Stop>, Error> {
    let list = store
        .list_cancellations()
        .warehouse_id(warehouse_id)
        .state(CancellationState::Pending)
        .awaiting(Party::Warehouse)
        .page_size(PAGE_SIZE);
    let mut cancellations = list.stream();
    let mut asked: BTreeMap<ShipmentId, Asked> = BTreeMap::new();
    while let Some(cancellation) = cancellations.try_next().await? {
        ask_for(&cancellation, &mut asked);
    }
    let mut stops = Vec::with_capacity(asked.len());
    let reads = asked
        .into_iter()
        .map(|(id, asked)| read_stop(store, warehouse_id, id, asked));
    let mut reads = stream::iter(reads).buffer_unordered(READS_MAX);
    while let Some(stop) = reads.next().await {
        stops.extend(stop?);
    }
    stops.sort_by_key(|stop| {
        (
            stop.respond_by.unwrap_or(Timestamp::MAX),
            stop.shipment_id.clone(),
        )
    });
    Ok(stops)
}

fn ask_for(cancellation: &Cancellation, asked: &mut BTreeMap<ShipmentId, Asked>) {
    for part in &cancellation.parts {
        let is_stop = |kind, state| kind == GateKind::WarehouseStop && state == GateState::Open;
        let Some(gate) = part
            .gates
            .iter()
            .find(|gate| is_stop(gate.kind, gate.state))
        else {
            continue;
        };
        let asked = asked.entry(part.shipment_id.clone()).or_default();
        let units = part.contents.iter();
        asked
            .units
            .extend(units.map(|units| (units.line_id.clone(), units.quantity)));
        asked.respond_by = earliest(asked.respond_by, gate.respond_by);
        if !asked
            .cancellation_ids
            .contains(&cancellation.cancellation_id)
        {
            asked
                .cancellation_ids
                .push(cancellation.cancellation_id.clone());
        }
    }
}

/// Reads the shipment of a stop. `None` where it is in another warehouse: a cancellation may be
/// about several.
async fn read_stop(
    store: &Store,
    warehouse_id: &WarehouseId,
    shipment_id: ShipmentId,
    asked: Asked,
) -> Result<Option<Stop>, Error> {
    let shipment = match store.get_shipment(&shipment_id).await {
        Ok(shipment) => shipment,
        Err(error) if error.has_reason(&ErrorReason::ShipmentNotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if shipment.warehouse_id != *warehouse_id {
        return Ok(None);
    }
    let contents = asked.units.into_iter().map(|(line_id, quantity)| {
        let line = shipment.contents.iter().find(|of| of.line_id == line_id);
        SkuQuantity {
            sku: line.map(|line| line.sku.clone()),
            line_id,
            quantity,
        }
    });
    Ok(Some(Stop {
        contents: contents.collect(),
        order_id: shipment.order_id,
        shipment_id,
        warehouse_id: shipment.warehouse_id,
        fence: shipment.fence,
        respond_by: asked.respond_by,
        cancellation_ids: asked.cancellation_ids,
    }))
}

impl Stream for Stops {
    type Item = Result<Stop, WatchError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_stop(cx)
    }
}

impl fmt::Debug for Stops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stops")
            .field("warehouse_id", &self.warehouse_id)
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}
