//! The call around a method's message, and the one way in which methods answer.

use std::sync::Arc;

use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use belay_wire::freshness::WritePosition;
use belay_wire::parse::Reader;
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use jiff::Timestamp;

use crate::world::World;

pub(crate) type Answer<T> = Result<T, CallError>;

/// One call, with the world as it is: nobody else calls meanwhile.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) caller: Caller,
    pub(crate) now: Timestamp,
    /// Whether orders are read as they were before their last change.
    pub(crate) is_stale: bool,
    /// The position of the write that the answer is about.
    pub(crate) written: Option<WritePosition>,
}

/// An order that was read, with its store and the time, which is never before its last change.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) order: Order,
    pub(crate) config: Arc<StoreConfig>,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            caller: &self.caller,
            identity_key: &self.world.identity_key,
            former_identity_keys: &[],
        }
    }

    /// A store that the caller does not see is not there.
    pub(crate) fn check_store(&self, store: &StoreId) -> Answer<()> {
        if self.caller.scope.sees_store(store) {
            Ok(())
        } else {
            Err(CallError::StoreNotFound {
                store: store.to_string(),
            })
        }
    }

    /// The reference data of a store that the caller sees.
    pub(crate) fn config(&self, store: &StoreId) -> Answer<Arc<StoreConfig>> {
        self.check_store(store)?;
        self.world.config(store)
    }

    /// One order. One that the caller does not see is not there.
    pub(crate) fn order(&self, store: &StoreId, id: &OrderId) -> Answer<Read> {
        let config = self.config(store)?;
        let order = self.stored(OrderKey::of(store, id));
        match order.filter(|order| self.caller.scope.sees_order(order)) {
            Some(order) => Ok(Read {
                now: self.now.max(order.update_time),
                order: order.clone(),
                config,
            }),
            None => Err(rejected(Rejection::OrderNotFound, id)),
        }
    }

    /// The caller, before this order.
    pub(crate) fn viewer(&self, order: &Order) -> Viewer<'_> {
        Viewer::of(&self.caller, order)
    }

    fn stored(&self, key: OrderKey) -> Option<&Order> {
        if !self.is_stale {
            return self.world.orders.get(&key);
        }
        if self.world.created.contains(&key) {
            return None;
        }
        self.world.before.get(&key)
    }
}

/// A rejection that the order itself, or its absence, gives to a read.
pub(crate) fn rejected(rejection: Rejection, order: &OrderId) -> CallError {
    let named = RequestIds {
        order: order.clone(),
        child: None,
        request_id: None,
    };
    CallError::rejected(rejection, named)
}
