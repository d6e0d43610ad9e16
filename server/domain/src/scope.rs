//! The scope of a caller: the stores that it sees, and within them the sellers, warehouses and
//! carriers.
//!
//! What lies outside is not there for the caller: it is answered as if it did not exist. Whether a
//! role may do something at all is not asked here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::cancellation::Cancellation;
use crate::ids::{CarrierId, SellerId, StoreId, WarehouseId};
use crate::order::Order;
use crate::shipment::Shipment;

/// Ids in one dimension of a scope.
pub const SCOPE_IDS_MAX: usize = 200;

/// A caller: its actor and its scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Of an order that is seen: whether the cancellation is there for the caller.
    pub fn sees_cancellation(&self, order: &Order, cancellation: &Cancellation) -> bool {
        let has_own_part = || {
            let mut shipments = cancellation
                .parts
                .iter()
                .filter_map(|part| order.shipment(part.shipment));
            shipments.any(|shipment| self.scope.sees_shipment(shipment))
        };
        match View::of(self.actor.role) {
            View::Whole => true,
            View::Parcels => has_own_part(),
        }
    }
}

/// The view that a role has of an order that it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Whole,
    /// What its parcels need: who packs or carries one of them has no business with the others, nor
    /// with the money.
    Parcels,
}

impl View {
    pub fn of(role: Role) -> Self {
        match role {
            Role::Warehouse | Role::Carrier => Self::Parcels,
            Role::Storefront
            | Role::Seller
            | Role::Payments
            | Role::Support
            | Role::Operator
            | Role::Auditor
            | Role::Buyer
            | Role::System => Self::Whole,
        }
    }
}

/// The ids that one dimension of a scope lets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
pub enum IdFilter<T> {
    All,
    Only(BTreeSet<T>),
}

impl<T: Ord> IdFilter<T> {
    pub fn contains(&self, id: &T) -> bool {
        match self {
            IdFilter::All => true,
            IdFilter::Only(ids) => ids.contains(id),
        }
    }

    /// Whether it lets through all that `other` does.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (IdFilter::All, IdFilter::All | IdFilter::Only(_)) => true,
            (IdFilter::Only(_), IdFilter::All) => false,
            (IdFilter::Only(ids), IdFilter::Only(others)) => ids.is_superset(others),
        }
    }

    /// What to look for: the one that was asked for, or the only one there is to see.
    #[must_use]
    pub fn narrow(&self, asked: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            IdFilter::Only(ids) if asked.is_none() && ids.len() == 1 => ids.first().cloned(),
            IdFilter::Only(_) | IdFilter::All => asked,
        }
    }
}

/// A scope: how far a caller sees. All dimensions must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub stores: IdFilter<StoreId>,
    pub sellers: IdFilter<SellerId>,
    pub warehouses: IdFilter<WarehouseId>,
    pub carriers: IdFilter<CarrierId>,
}

impl Scope {
    pub const EVERYTHING: Scope = Scope {
        stores: IdFilter::All,
        sellers: IdFilter::All,
        warehouses: IdFilter::All,
        carriers: IdFilter::All,
    };

    /// Whether all that `other` sees is seen.
    pub fn covers(&self, other: &Scope) -> bool {
        self.stores.covers(&other.stores)
            && self.sellers.covers(&other.sellers)
            && self.warehouses.covers(&other.warehouses)
            && self.carriers.covers(&other.carriers)
    }

    pub fn sees_store(&self, store: &StoreId) -> bool {
        self.stores.contains(store)
    }

    /// An order is seen by its seller, and by whoever sees one of its shipments. How much of it is
    /// a question of the role: [`View`].
    pub fn sees_order(&self, order: &Order) -> bool {
        let routes = order.shipments.iter();
        let routes = routes.map(|shipment| (&shipment.warehouse, &shipment.carrier));
        self.sees_store(&order.store) && self.sees(&order.seller, routes)
    }

    /// The same of an order of the scope's stores, by its seller and its shipments.
    pub fn sees<'a>(
        &self,
        seller: &SellerId,
        mut routes: impl Iterator<Item = (&'a WarehouseId, &'a CarrierId)>,
    ) -> bool {
        self.sellers.contains(seller)
            && (self.sees_every_route()
                || routes.any(|(warehouse, carrier)| self.sees_route(warehouse, carrier)))
    }

    /// Of an order that is seen: whether the shipment is the caller's too.
    pub fn sees_shipment(&self, shipment: &Shipment) -> bool {
        self.sees_route(&shipment.warehouse, &shipment.carrier)
    }

    pub fn sees_route(&self, warehouse: &WarehouseId, carrier: &CarrierId) -> bool {
        self.warehouses.contains(warehouse) && self.carriers.contains(carrier)
    }

    /// Whether every order of the stores is seen.
    pub fn sees_every_order(&self) -> bool {
        self.sellers == IdFilter::All && self.sees_every_route()
    }

    /// Whether orders are seen whatever their shipments.
    pub fn sees_every_route(&self) -> bool {
        self.warehouses == IdFilter::All && self.carriers == IdFilter::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_it_sees_all_of() {
        let only = |ids: &[&str]| {
            let ids = ids.iter().map(|id| SellerId::parse(*id).unwrap());
            Scope {
                sellers: IdFilter::Only(ids.collect()),
                ..Scope::EVERYTHING
            }
        };
        let (one, two) = (only(&["a"]), only(&["a", "b"]));
        for (wider, narrower) in [(&Scope::EVERYTHING, &two), (&two, &one)] {
            assert!(wider.covers(narrower) && !narrower.covers(wider));
            assert!(wider.covers(wider));
        }
        assert!(!only(&["b"]).covers(&one) && !one.covers(&only(&["b"])));
        // All dimensions count.
        let other = Scope {
            stores: IdFilter::Only(BTreeSet::from([StoreId::parse("demo").unwrap()])),
            ..one.clone()
        };
        assert!(one.covers(&other) && !other.covers(&one) && !other.covers(&two));
        assert!(!two.covers(&Scope {
            carriers: IdFilter::All,
            ..Scope::EVERYTHING
        }));
    }
}
