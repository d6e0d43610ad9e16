//! Who does things.

use belay_proto::v1 as pb;

use crate::wire::{FromWire, Malformed, Open, open_enum, text_if_set};

open_enum! {
    /// The role in which somebody acts. `Buyer` and `System` are only ever recorded; callers act as
    /// one of the others.
    Role {
        /// The buyer, for whom the storefront or support acted.
        Buyer,
        /// The sales channel itself: its web shop or app. What it cancels, it cancels for the
        /// buyer.
        Storefront,
        /// Who sells and ships.
        Seller,
        /// Who packs and hands over to the carrier.
        Warehouse,
        /// Who transports.
        Carrier,
        /// The system that talks to the payment provider.
        Payments,
        /// A person of the store's customer service.
        Support,
        /// Who runs the store in Belay: policies, carriers, warehouses.
        Operator,
        /// Who may read everything of a store and change nothing.
        Auditor,
        /// Belay itself, when a deadline passed or a policy acted.
        System,
    }
}

open_enum! {
    /// Who must act for a gate to pass.
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
    /// Whose doing a cancellation is. Each reason of a policy names its fault.
    Fault {
        /// The buyer's.
        Buyer,
        /// The seller's.
        Seller,
        /// The carrier's.
        Carrier,
        /// The sales channel's.
        Platform,
        /// Nobody's.
        None,
    }
}

/// Who did something, or for whom it was done.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In which role.
    pub role: Role,
    /// Their id within that role, such as the buyer's id or the name of the calling system. `None`
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
