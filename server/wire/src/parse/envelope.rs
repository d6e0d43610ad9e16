//! The fields that all requests about a store, an order or a child of an order share.

use belay_domain::commands::{Command, Work};
use belay_domain::ids::{ChildKind, OrderId, StoreId};
use belay_domain::scope::Caller;
use uuid::Uuid;

use super::{Parsed, Violations, child, etag, id, parse, request_id};

/// The context in which a request is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub caller: &'a Caller,
    /// Key of the hashes by which buyers are known, and of all seals.
    pub identity_key: &'a [u8; 32],
    /// Keys from before it, by which buyers are still found.
    pub former_identity_keys: &'a [[u8; 32]],
}

/// A command as its request names it.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    pub store: StoreId,
    pub envelope: Envelope,
    pub work: Work,
}

/// The part that all commands carry besides their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub order: OrderId,
    /// The caller's idempotency key, where it names one.
    pub request_id: Option<Uuid>,
    /// The version that the caller decided on, where it names one.
    pub expected_version: Option<u64>,
    /// What the command names below its order, for the metadata of its rejections.
    pub child: Option<(ChildKind, u32)>,
}

/// Something that belongs to an order, as a read names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub store: StoreId,
    pub order: OrderId,
    pub number: u32,
}

/// The store that every request but a few names.
pub(super) fn store_id(v: &mut Violations, text: &str) -> Option<StoreId> {
    id(v, "store_id", text.to_owned(), StoreId::parse)
}

/// An order, as a read names it.
pub(super) fn order(store: &str, order: &str) -> Parsed<(StoreId, OrderId)> {
    parse(|v| {
        let store = store_id(v, store);
        let order = id(v, "order_id", order.to_owned(), OrderId::parse);
        Some((store?, order?))
    })
}

/// `text` is the id of a child of this kind, in the field `field`.
pub(super) fn child_of_store(
    store: &str,
    (kind, field): (ChildKind, &str),
    text: &str,
) -> Parsed<Child> {
    parse(|v| {
        let store = store_id(v, store);
        let (order, number) = child(v, field, text, kind)?;
        Some(Child {
            store: store?,
            order,
            number,
        })
    })
}

/// The target of a command; each field is `None` where it was refused.
#[derive(Debug)]
pub(super) struct Target {
    store: Option<StoreId>,
    envelope: Option<Envelope>,
    pub(super) order: Option<OrderId>,
    /// Of the child of the order, for a command about one.
    pub(super) number: Option<u32>,
}

pub(super) const SHIPMENT: (ChildKind, &str) = (ChildKind::Shipment, "shipment_id");
pub(super) const CANCELLATION: (ChildKind, &str) = (ChildKind::Cancellation, "cancellation_id");
pub(super) const REFUND: (ChildKind, &str) = (ChildKind::Refund, "refund_id");
pub(super) const INCIDENT: (ChildKind, &str) = (ChildKind::Incident, "incident_id");

/// Reads what a command about a child of an order is about: the child's id is in this field of its
/// request.
macro_rules! target {
    ($v:ident, $kind:ident, $request:ident.$id:ident, $etag:expr) => {{
        let named = [
            &*$request.store_id,
            &$request.$id,
            &$request.request_id,
            &*$etag,
        ];
        crate::parse::envelope::Target::child($v, $kind, named)
    }};
}
pub(super) use target;

impl Target {
    /// The order itself.
    pub(super) fn order(v: &mut Violations, [store, order, request_id, etag]: [&str; 4]) -> Self {
        let store = store_id(v, store);
        let order = id(v, "order_id", order.to_owned(), OrderId::parse);
        Self::new(v, store, order, None, [request_id, etag])
    }

    /// What belongs to an order: the id `child` in the field of this kind.
    pub(super) fn child(
        v: &mut Violations,
        (kind, field): (ChildKind, &str),
        [store, text, request_id, etag]: [&str; 4],
    ) -> Self {
        let store = store_id(v, store);
        let (order, number) = child(v, field, text, kind).unzip();
        let child = number.map(|number| (kind, number));
        Self::new(v, store, order, child, [request_id, etag])
    }

    fn new(
        v: &mut Violations,
        store: Option<StoreId>,
        order: Option<OrderId>,
        child: Option<(ChildKind, u32)>,
        [id, version]: [&str; 2],
    ) -> Self {
        let request_id = request_id(v, id);
        let expected_version = etag(v, "etag", version);
        let envelope = || {
            Some(Envelope {
                order: order.clone()?,
                request_id: request_id?,
                expected_version: expected_version?,
                child,
            })
        };
        Self {
            store,
            envelope: envelope(),
            order,
            number: child.map(|(_, number)| number),
        }
    }

    pub(super) fn with(self, command: Command) -> Option<CommandRequest> {
        Some(CommandRequest {
            store: self.store?,
            envelope: self.envelope?,
            work: Work::Decide(command),
        })
    }
}
