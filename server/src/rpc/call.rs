//! What a method knows of its call besides the message, and what methods have in common: a request
//! is read, handed on, and answered in one way.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::query::Place;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use belay_wire::parse::{CommandRequest, ListRequest, Reader};
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use jiff::Timestamp;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::db::snapshot::Snapshot;
use crate::db::{self, ListQuery, aggregate};
use crate::engine::{Priority, Reply, Submission};
use crate::telemetry::{calls, traces};
use crate::{App, failure, ids};

/// Put on the request by the guard.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
}

/// What a method gives back to tonic.
pub(super) type MethodResult<T> = Result<Response<T>, Status>;

/// Runs the work of a method. Here, and nowhere else in one, a failure becomes a status.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T, CallError>>) -> MethodResult<T> {
    work.await.map(Response::new).map_err(status)
}

/// The status of a call that failed; the cause of a defect goes to the log.
pub(super) fn status(failure: CallError) -> Status {
    failure.into_status(|cause| {
        // Of the standard services, whose calls are not told, it is an id of its own.
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
        answer(async {
            let (call, command) = self.read(request, parse)?;
            self.submit(&call, command).await
        })
        .await
    }

    /// Lets the engine decide, and reads the answer that it gives now or gave when the request
    /// first came.
    pub(super) async fn submit<R: Message + Default>(
        &self,
        call: &Call,
        command: CommandRequest,
    ) -> Result<R, CallError> {
        let store = self.config(call, &command.store).await?;
        let envelope = command.envelope;
        let request_id = envelope.request_id.unwrap_or_else(ids::request_id);
        let submission = Submission {
            store,
            caller: call.caller.clone(),
            order: envelope.order.clone(),
            request_id,
            expected_version: envelope.expected_version,
            work: command.work,
            deadline: call.deadline,
            priority: Priority::Interactive,
        };
        match self.engine.submit(submission).await {
            Ok(Reply::Answer(answer)) => R::decode(answer.as_slice()).map_err(|error| {
                CallError::Internal(format!("a stored answer cannot be read: {error}"))
            }),
            Ok(Reply::Rejected(rejection)) => {
                let named = RequestIds {
                    order: envelope.order,
                    child: envelope.child,
                    request_id: Some(request_id),
                };
                Err(CallError::rejected(rejection, named))
            }
            Err(error) => Err(failure::of_engine(error, request_id)),
        }
    }

    /// One order, the reference data of its store, and the moment of the read, which is never
    /// before the order's last change. It is read together with those that others ask for. One that
    /// the caller does not see is not there.
    pub(super) async fn order(
        &self,
        call: &Call,
        store: &StoreId,
        id: &OrderId,
    ) -> Result<Read<Arc<Order>>, CallError> {
        calls::about_order(id);
        let config = self.config(call, store).await?;
        match self.reads.order(OrderKey::of(store, id)).await? {
            (Some(order), now) if call.caller.scope.sees_order(&order) => Ok(Read {
                now: now.max(order.update_time),
                found: order,
                config,
            }),
            (Some(_) | None, _) => Err(rejected(Rejection::OrderNotFound, id)),
        }
    }

    /// A page of what orders hold, with the token for what follows.
    pub(super) async fn list<M, F: ListQuery, Entry: Message>(
        &self,
        request: Request<M>,
        parse: impl FnOnce(M, &Reader<'_>) -> Result<ListRequest<F>, CallError>,
        render: impl Fn(&Order, u32, &Read<HashMap<OrderKey, Order>>) -> Option<Entry>,
    ) -> Result<(Vec<Entry>, String), CallError> {
        let (call, list) = self.read(request, parse)?;
        let config = self.config(&call, &list.store).await?;
        let after = list.page.after_place()?;
        let mut conn = Snapshot::begin(&self.pool).await?;
        let read = async {
            let places = db::list(&mut conn, &list.filter, after, list.page.limit()).await?;
            let mut keys: Vec<OrderKey> = places.iter().map(|place| place.order_key).collect();
            keys.sort_unstable();
            keys.dedup();
            let now = self.clock.now(&mut conn).await?;
            let orders = if keys.is_empty() {
                HashMap::new()
            } else {
                aggregate::read(&mut conn, &keys).await?
            };
            Ok((places, orders, now))
        }
        .await;
        let (places, found, now): (Vec<Place>, _, _) = conn.end(read).await?;
        let read = Read { found, config, now };
        let render = |order: &Order, number| render(order, number, &read);
        Ok(list.page.cut_places(&places, &read.found, render))
    }
}

/// What was read of a store's orders.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) found: T,
    pub(super) config: Arc<StoreConfig>,
    pub(super) now: Timestamp,
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
