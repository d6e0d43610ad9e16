//! What a caller may see: which stores, and within them the business of which sellers, warehouses
//! and carriers.
//!
//! What lies outside is not there for the caller: it is answered as if it did not exist. Whether a
//! role may do something at all is not asked here.

use std::collections::BTreeSet;

use crate::actor::Actor;
use crate::ids::{CarrierId, SellerId, StoreId, WarehouseId};
use crate::order::Order;
use crate::shipment::Shipment;

/// Ids in one dimension of a scope.
pub const SCOPE_IDS_MAX: usize = 200;

/// Who calls, and how far they see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub actor: Actor,
    pub scope: Scope,
}

impl Caller {
    /// One that sees everything.
    pub fn everywhere(actor: Actor) -> Self {
        Self {
            actor,
            scope: Scope::EVERYTHING,
        }
    }
}

/// One dimension of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within<T> {
    All,
    Only(BTreeSet<T>),
}

impl<T: Ord> Within<T> {
    pub fn holds(&self, id: &T) -> bool {
        match self {
            Within::All => true,
            Within::Only(ids) => ids.contains(id),
        }
    }

    /// What to look for: the one that was asked for, or the only one there is to see.
    #[must_use]
    pub fn narrow(&self, asked: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Within::Only(ids) if asked.is_none() && ids.len() == 1 => ids.first().cloned(),
            Within::Only(_) | Within::All => asked,
        }
    }
}

/// How far somebody sees. All dimensions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub stores: Within<StoreId>,
    pub sellers: Within<SellerId>,
    pub warehouses: Within<WarehouseId>,
    pub carriers: Within<CarrierId>,
}

impl Scope {
    pub const EVERYTHING: Scope = Scope {
        stores: Within::All,
        sellers: Within::All,
        warehouses: Within::All,
        carriers: Within::All,
    };

    pub fn sees_store(&self, store: &StoreId) -> bool {
        self.stores.holds(store)
    }

    /// An order is seen whole by its seller, and by whoever sees one of its shipments.
    pub fn sees_order(&self, order: &Order) -> bool {
        self.sees_store(&order.store)
            && self.sellers.holds(&order.seller)
            && (self.sees_every_route()
                || order
                    .shipments
                    .iter()
                    .any(|shipment| self.sees_shipment(shipment)))
    }

    /// Of an order that is seen: whether the shipment is the caller's too.
    pub fn sees_shipment(&self, shipment: &Shipment) -> bool {
        self.sees_route(&shipment.warehouse, &shipment.carrier)
    }

    pub fn sees_route(&self, warehouse: &WarehouseId, carrier: &CarrierId) -> bool {
        self.warehouses.holds(warehouse) && self.carriers.holds(carrier)
    }

    /// Whether every order of the stores is seen.
    pub fn sees_every_order(&self) -> bool {
        self.sellers == Within::All && self.sees_every_route()
    }

    /// Whether orders are seen whatever their shipments.
    pub fn sees_every_route(&self) -> bool {
        self.warehouses == Within::All && self.carriers == Within::All
    }
}
