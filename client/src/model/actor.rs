//! Actors and their roles.

use belay_proto::v1 as pb;

use crate::wire::{FromWire, Malformed, Open, open_enum, text_if_set};

open_enum! {
    /// The role of an actor. `Buyer` and `System` are only recorded; a caller has one of the
    /// others.
    Role {
        /// The buyer, for whom the storefront or support acted.
        Buyer,
        /// The sales channel itself: its web shop or app. What it cancels, it cancels for the
        /// buyer.
        Storefront,
        /// The seller, who sells and ships.
        Seller,
        /// The warehouse, which packs and hands over to the carrier.
        Warehouse,
        /// The carrier, which transports.
        Carrier,
        /// The system that talks to the payment provider.
        Payments,
        /// A person of the store's customer service.
        Support,
        /// The operator of the store in Belay: policies, carriers, warehouses.
        Operator,
        /// An auditor, who may read everything of a store and change nothing.
        Auditor,
        /// Belay itself, when a deadline passed or a policy acted.
        System,
    }
}

open_enum! {
    /// The party that must act for a gate to pass.
    Party {
        /// The order's seller.
        Seller,
        /// The store's customer service.
        Support,
        /// The shipment's warehouse.
        Warehouse,
        /// The shipment's carrier.
        Carrier,
    }
}

open_enum! {
    /// The party at fault for a cancellation. Each reason of a policy names its fault.
    CancellationFault {
        /// The buyer's.
        Buyer,
        /// The seller's.
        Seller,
        /// The carrier's.
        Carrier,
        /// The sales channel's.
        Platform,
        /// No party's.
        None,
    }
}

/// An actor: the person or system that made a write, or for whom it was made.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Actor {
    /// Its role.
    pub role: Role,
    /// Its id within that role, such as the buyer's id or the name of the calling system. `None`
    /// for Belay itself and where the caller's credentials name no person.
    pub id: Option<String>,
}

impl FromWire for Actor {
    type Message = pb::Actor;

    fn from_wire(message: pb::Actor) -> Result<Self, Malformed> {
        Ok(Self {
            role: Role::from_wire(message.role),
            id: text_if_set(message.id),
        })
    }
}
