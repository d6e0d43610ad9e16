//! What a method knows of its call besides the message, and what all commands have in common.

use std::sync::Arc;

use belay_domain::commands::{Command, Work};
use belay_domain::context::StoreFacts;
use belay_domain::ids::{ChildKind, OrderId, StoreId};
use belay_domain::scope::Caller;
use prost::Message;
use tokio::time::Instant;
use uuid::Uuid;

use super::status::Failure;
use crate::engine::{Class, Reply, Submission};
use crate::reference::StoresError;
use crate::wire::parse::{self, Violations, lists};
use crate::wire::refusals::About;
use crate::{App, entropy};

/// Put on the request by the border.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) deadline: Instant,
}

impl Call {
    /// Takes the request apart.
    pub(super) fn of<T>(request: tonic::Request<T>) -> Result<(Call, T), Failure> {
        let (_, mut extensions, message) = request.into_parts();
        let call = extensions.remove::<Call>();
        let call =
            call.ok_or_else(|| Failure::Internal("a call came past the border".to_owned()))?;
        Ok((call, message))
    }
}

/// The store that every request but a few names. It is read together with the request's other
/// fields, so that all that is wrong is told at once, and looked up when all of them are right.
pub(super) fn store_id(v: &mut Violations, text: &str) -> Option<StoreId> {
    parse::id(v, "store_id", text.to_owned(), StoreId::parse)
}

/// What all lists of a store's records have in common.
pub(super) fn store_and_page_size(store: &str, page_size: i32) -> Result<(StoreId, u16), Failure> {
    let read = parse::parse(|v| {
        let store = store_id(v, store);
        let page_size = lists::page_size(v, page_size);
        Some((store?, page_size?))
    });
    Ok(read?)
}

/// The reference data of a store that the caller sees.
pub(super) async fn facts(
    app: &App,
    call: &Call,
    store: &StoreId,
) -> Result<Arc<StoreFacts>, Failure> {
    check_store(call, store)?;
    app.stores.facts(store).await.map_err(|error| match error {
        StoresError::NotFound => Failure::StoreNotFound {
            store: store.to_string(),
        },
        StoresError::Unavailable => Failure::DatabaseUnavailable,
    })
}

/// A store that the caller does not see is not there.
pub(super) fn check_store(call: &Call, store: &StoreId) -> Result<(), Failure> {
    match call.caller.scope.sees_store(store) {
        true => Ok(()),
        false => Err(Failure::StoreNotFound {
            store: store.to_string(),
        }),
    }
}

/// What all commands carry besides their content.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) order: OrderId,
    pub(super) request_id: Uuid,
    pub(super) expected_version: Option<u64>,
    /// What the command names below its order, for the metadata of its refusals.
    pub(super) child: Option<(ChildKind, u32)>,
}

impl Frame {
    /// `order` is `None` where it was refused.
    pub(super) fn parse(
        v: &mut Violations,
        order: Option<OrderId>,
        request_id: &str,
        etag: &str,
    ) -> Option<Frame> {
        let request_id = parse::request_id(v, request_id);
        let expected_version = parse::etag(v, "etag", etag);
        let request_id = request_id?.unwrap_or_else(entropy::request_id);
        Some(Frame {
            order: order?,
            request_id,
            expected_version: expected_version?,
            child: None,
        })
    }
}

/// The frame of a command about something that belongs to an order. Each is `None` where it was
/// refused.
pub(super) struct ChildFrame {
    pub(super) frame: Option<Frame>,
    pub(super) order: Option<OrderId>,
    pub(super) number: Option<u32>,
}

impl ChildFrame {
    /// `id` is in the field `field`.
    pub(super) fn parse(
        v: &mut Violations,
        (kind, field, id): (ChildKind, &str, &str),
        request_id: &str,
        etag: &str,
    ) -> Self {
        let (order, number) = parse::child(v, field, id, kind).unzip();
        let frame = Frame::parse(v, order.clone(), request_id, etag);
        let child = number.map(|number| (kind, number));
        Self {
            frame: frame.map(|frame| Frame { child, ..frame }),
            order,
            number,
        }
    }
}

/// Lets the engine decide, and reads the answer it gives now or gave when the request first came.
pub(super) async fn submit<Response: Message + Default>(
    app: &App,
    call: Call,
    store: Arc<StoreFacts>,
    frame: Frame,
    work: Work,
) -> Result<Response, Failure> {
    let about = About {
        order: frame.order.clone(),
        child: frame.child,
        request_id: Some(frame.request_id),
    };
    let submission = Submission {
        store,
        caller: call.caller,
        order: frame.order,
        request_id: frame.request_id,
        expected_version: frame.expected_version,
        work,
        deadline: call.deadline,
        class: Class::Interactive,
    };
    match app.engine.submit(submission).await {
        Ok(Reply::Answer(answer)) => Response::decode(answer.as_slice())
            .map_err(|error| Failure::Internal(format!("a stored answer cannot be read: {error}"))),
        Ok(Reply::Refused(rejection)) => Err(Failure::rejected(rejection, about)),
        Err(error) => Err(Failure::of_engine(error, frame.request_id)),
    }
}

/// [`submit`] for a command about an order that exists.
pub(super) async fn decide<Response: Message + Default>(
    app: &App,
    call: Call,
    store: Arc<StoreFacts>,
    frame: Frame,
    command: Command,
) -> Result<Response, Failure> {
    submit(app, call, store, frame, Work::Decide(command)).await
}
