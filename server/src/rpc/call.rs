//! The call around a method's message, and the one way in which all methods read a request, hand it
//! on and answer it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use belay_wire::batch::Answered;
use belay_wire::freshness::{Freshness, READ_FROM, STALENESS, WRITE_POSITION, WritePosition};
use belay_wire::parse::{CommandRequest, ListRequest, Reader};
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use jiff::Timestamp;
use prost::Message;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::db::ListQuery;
use crate::page_gate::{Turn, TurnedAway};
use crate::reads::Sight;
use crate::secondaries::reading::{ReadFrom, Reading};
use crate::telemetry::{calls, traces};
use crate::{App, across_orders, failure, ids};

/// The call as the guard puts it on the request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
    pub(super) freshness: Freshness,
}

/// The result that a method gives back to tonic.
pub(super) type MethodResult<T> = Result<Response<T>, Status>;

/// Runs the work of a method that answers with a message alone.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T, CallError>>) -> MethodResult<T> {
    respond(async { work.await.map(Response::new) }).await
}

/// Runs the work of a method. Here, and nowhere else in one, a failure becomes a status.
pub(super) async fn respond<T>(
    work: impl Future<Output = Result<Response<T>, CallError>>,
) -> MethodResult<T> {
    work.await.map_err(status)
}

/// An answer that says where it was read, if that may have been anywhere.
pub(super) fn read_from<T>(from: ReadFrom, message: T) -> Response<T> {
    let mut response = Response::new(message);
    let (place, staleness) = match from {
        ReadFrom::Unsaid => return response,
        ReadFrom::Primary => ("primary", Duration::ZERO),
        ReadFrom::Secondary { staleness } => ("secondary", staleness),
    };
    let staleness = staleness.as_micros().div_ceil(1_000);
    let headers = response.metadata_mut();
    headers.insert(READ_FROM, MetadataValue::from_static(place));
    if let Ok(staleness) = MetadataValue::try_from(format!("{staleness}ms")) {
        headers.insert(STALENESS, staleness);
    }
    response
}

/// The status of a call that failed; the cause of a defect goes to the log.
pub(crate) fn status(failure: CallError) -> Status {
    failure.into_status(|cause| {
        // Calls of the standard services have no trace: they get a fresh id.
        let trace_id = match traces::current_trace_id() {
            Some(trace_id) => trace_id.to_string(),
            None => ids::request_id().simple().to_string(),
        };
        tracing::error!(
            trace.id = trace_id,
            cause,
            "a call failed by a defect of Belay"
        );
        trace_id
    })
}

impl Call {
    /// Takes the request apart.
    pub(super) fn of<T>(request: Request<T>) -> Result<(Call, T), CallError> {
        let (_, mut extensions, message) = request.into_parts();
        let call = extensions.remove::<Call>();
        let call =
            call.ok_or_else(|| CallError::Internal("a call came past the guard".to_owned()))?;
        Ok((call, message))
    }

    /// A store that the caller does not see is not there.
    pub(super) fn check_store(&self, store: &StoreId) -> Result<(), CallError> {
        calls::about_store(store);
        if self.caller.scope.sees_store(store) {
            Ok(())
        } else {
            Err(CallError::StoreNotFound {
                store: store.to_string(),
            })
        }
    }
}

impl App {
    pub(super) fn reader<'a>(&'a self, call: &'a Call) -> Reader<'a> {
        Reader {
            caller: &call.caller,
            identity_key: &self.identity_key,
            former_identity_keys: self.identity_keys.former(),
        }
    }

    /// Reads a request whole.
    pub(super) fn read<M, T>(
        &self,
        request: Request<M>,
        parse: impl FnOnce(M, &Reader<'_>) -> Result<T, CallError>,
    ) -> Result<(Call, T), CallError> {
        let (call, message) = Call::of(request)?;
        let read = parse(message, &self.reader(&call))?;
        Ok((call, read))
    }

    /// The reference data of a store that the caller sees.
    pub(super) async fn config(
        &self,
        call: &Call,
        store: &StoreId,
    ) -> Result<Arc<StoreConfig>, CallError> {
        call.check_store(store)?;
        let config = self.stores.config(store).await;
        config.map_err(|error| failure::of_stores(&error, store))
    }

    /// A whole method: a command that is read so.
    pub(super) async fn command<M, R: Message + Default>(
        &self,
        request: Request<M>,
        parse: impl FnOnce(M, &Reader<'_>) -> Result<CommandRequest, CallError>,
    ) -> MethodResult<R> {
        respond(async {
            let (call, command) = self.read(request, parse)?;
            self.answer_command(&call, command).await
        })
        .await
    }

    /// Lets the engine decide, and reads its answer; beside it goes the position of the write.
    pub(super) async fn answer_command<R: Message + Default>(
        &self,
        call: &Call,
        command: CommandRequest,
    ) -> Result<Response<R>, CallError> {
        let store = self.config(call, &command.store).await?;
        let order = OrderKey::of(&command.store, &command.envelope.order);
        let answer = self.decide(store, &call.caller, call.deadline, command);
        let Answered { message, version } = answer.await?;
        let mut response = Response::new(decoded(&message)?);
        let position = self.positions.seal(WritePosition { order, version });
        if let Ok(position) = MetadataValue::try_from(position) {
            response.metadata_mut().insert(WRITE_POSITION, position);
        }
        Ok(response)
    }

    /// One order, the reference data of its store, and the moment of the read, which is never
    /// before the order's last change. It is read together with those that others ask for. One that
    /// the caller does not see is not there.
    pub(super) async fn order(
        &self,
        call: &Call,
        store: &StoreId,
        id: &OrderId,
    ) -> Result<OrderAtRead<Arc<Order>>, CallError> {
        let sight = Sight {
            scope: call.caller.scope.clone(),
            buyer: Vec::new(),
        };
        self.order_in_sight(call, (store, id), sight).await
    }

    /// The same of one that is in this sight.
    pub(super) async fn order_in_sight(
        &self,
        call: &Call,
        (store, id): (&StoreId, &OrderId),
        sight: Sight,
    ) -> Result<OrderAtRead<Arc<Order>>, CallError> {
        calls::about_order(id);
        let config = self.config(call, store).await?;
        let key = OrderKey::of(store, id);
        match self.reads.order(&call.caller.actor, key, sight).await? {
            (Some(order), now) if call.caller.scope.sees_order(&order) => Ok(OrderAtRead {
                now: now.max(order.update_time),
                found: order,
                config,
            }),
            (Some(_) | None, _) => Err(rejected(Rejection::OrderNotFound, id)),
        }
    }

    /// A page of what orders hold, with the token for what follows, and where it was read.
    pub(super) async fn list<M, F: ListQuery, Entry: Message>(
        &self,
        request: Request<M>,
        parse: impl FnOnce(M, &Reader<'_>) -> Result<ListRequest<F>, CallError>,
        render: impl Fn(&Viewer<'_>, &Order, u32, &OrderAtRead<()>) -> Option<Entry>,
    ) -> Result<(Vec<Entry>, String, ReadFrom), CallError> {
        let (call, list) = self.read(request, parse)?;
        let config = self.config(&call, &list.store).await?;
        let _turn = self.page_turn(&call).await?;
        let render = |order: &Order, number, now| {
            let config = config.clone();
            let read = OrderAtRead {
                found: (),
                config,
                now,
            };
            render(&call.viewer(order), order, number, &read)
        };
        let mut reading = self.reading(&call);
        let page = across_orders::page(&mut reading, &list.filter, &list.page, render).await?;
        let (entries, next_page_token) = page;
        Ok((entries, next_page_token, reading.read_from()))
    }

    /// A read as fresh as the call asks for.
    pub(super) fn reading<'a>(&'a self, call: &'a Call) -> Reading<'a> {
        Reading::of(self, &call.freshness, call.deadline)
    }

    /// Leave to read a page; kept until it is rendered.
    pub(super) async fn page_turn(&self, call: &Call) -> Result<Turn, CallError> {
        let turn = self.pages.enter(&call.caller.actor, call.deadline).await;
        turn.map_err(|TurnedAway| CallError::Overloaded)
    }
}

/// The message that an answer of the engine is.
pub(super) fn decoded<R: Message + Default>(answer: &[u8]) -> Result<R, CallError> {
    R::decode(answer)
        .map_err(|error| CallError::Internal(format!("a stored answer cannot be read: {error}")))
}

/// A read of a store's orders.
#[derive(Debug)]
pub(super) struct OrderAtRead<T> {
    pub(super) found: T,
    pub(super) config: Arc<StoreConfig>,
    pub(super) now: Timestamp,
}

impl Call {
    /// The caller, before this order.
    pub(super) fn viewer(&self, order: &Order) -> Viewer<'_> {
        Viewer::of(&self.caller, order)
    }
}

/// A rejection that the order itself, or its absence, gives to a read.
pub(super) fn rejected(rejection: Rejection, order: &OrderId) -> CallError {
    let named = RequestIds {
        order: order.clone(),
        child: None,
        request_id: None,
    };
    CallError::rejected(rejection, named)
}
