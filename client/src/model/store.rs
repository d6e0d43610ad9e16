//! Stores, with their carriers, warehouses and policies.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::ids::{CarrierId, Etag, StoreId, WarehouseId};
use crate::wire::{FromWire, Malformed, open_enum, open_if_set, time, time_if_set};

/// A sales channel: an independent site, a marketplace, a B2B platform.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Its id, chosen by who created it.
    pub store_id: StoreId,
    /// For people.
    pub display_name: String,
    /// Changes with every write to the store's own settings.
    pub etag: Etag,
    /// The IANA name of its time zone, such as `Europe/Berlin`, in which the policy's calendar days count.
    pub time_zone: String,
    /// The version of the policy that decides now.
    pub active_policy_version: i32,
    /// The warehouse of orders that name no shipments.
    pub default_warehouse_id: WarehouseId,
    /// The carrier of orders that name no shipments.
    pub default_carrier_id: CarrierId,
    /// When it was created.
    pub create_time: Timestamp,
    /// When its settings last changed.
    pub update_time: Timestamp,
}

/// A carrier of one store, and what it can do for a cancellation.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Its id, unique in the store.
    pub carrier_id: CarrierId,
    /// For people.
    pub display_name: String,
    /// Whether it can bring a parcel back that is under way.
    pub in_transit_cancel: bool,
    /// Whether it delivers as a partner of the sales channel, and not as the seller's own choice.
    pub partner_delivery: bool,
    /// Changes with every write.
    pub etag: Etag,
}

/// A warehouse of one store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// Its id, unique in the store.
    pub warehouse_id: WarehouseId,
    /// For people.
    pub display_name: String,
    /// The IANA name of its time zone, such as `Asia/Shanghai`, in which deadlines of its stops count.
    pub time_zone: String,
    /// Changes with every write.
    pub etag: Etag,
}

/// One version of a store's policy: the document that decides who may cancel what, when, and on which terms.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The store.
    pub store_id: StoreId,
    /// 1, 2, 3 and so on in the store. 0 for a document that was only validated.
    pub version: i32,
    /// Its name, as the document gives it.
    pub name: String,
    /// The document, YAML or JSON, as it was entered.
    pub document: String,
    /// Where it stands. `None` for a document that was only validated.
    pub state: Option<PolicyState>,
    /// When it was created. `None` for a document that was only validated.
    pub create_time: Option<Timestamp>,
    /// From when it decides. `None` until it is activated.
    pub effective_time: Option<Timestamp>,
}

open_enum! {
    /// Where a policy version stands.
    PolicyState {
        /// Created, not activated. Decides nothing.
        Draft,
        /// Activated, its effective time is still to come.
        Scheduled,
        /// Decides now.
        Active,
        /// Was active. It goes on deciding the cancellations that were asked under it.
        Superseded,
    }
}

/// A policy document that ships with the server: a start for a store of its kind.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// Its name, such as `independent-site`.
    pub preset: String,
    /// What kind of store it is for, in one sentence.
    pub description: String,
    /// The document, in YAML.
    pub document: String,
}

impl FromWire for Store {
    type Message = pb::Store;

    fn from_wire(message: pb::Store) -> Result<Self, Malformed> {
        Ok(Self {
            store_id: StoreId::unchecked(message.store_id),
            display_name: message.display_name,
            etag: Etag::from(message.etag),
            time_zone: message.time_zone,
            active_policy_version: message.active_policy_version,
            default_warehouse_id: WarehouseId::unchecked(message.default_warehouse_id),
            default_carrier_id: CarrierId::unchecked(message.default_carrier_id),
            create_time: time(message.create_time, "store.create_time")?,
            update_time: time(message.update_time, "store.update_time")?,
        })
    }
}

impl FromWire for Carrier {
    type Message = pb::Carrier;

    fn from_wire(message: pb::Carrier) -> Result<Self, Malformed> {
        Ok(Self {
            carrier_id: CarrierId::unchecked(message.carrier_id),
            display_name: message.display_name,
            in_transit_cancel: message.in_transit_cancel,
            partner_delivery: message.partner_delivery,
            etag: Etag::from(message.etag),
        })
    }
}

impl FromWire for Warehouse {
    type Message = pb::Warehouse;

    fn from_wire(message: pb::Warehouse) -> Result<Self, Malformed> {
        Ok(Self {
            warehouse_id: WarehouseId::unchecked(message.warehouse_id),
            display_name: message.display_name,
            time_zone: message.time_zone,
            etag: Etag::from(message.etag),
        })
    }
}

impl FromWire for Policy {
    type Message = pb::Policy;

    fn from_wire(message: pb::Policy) -> Result<Self, Malformed> {
        Ok(Self {
            store_id: StoreId::unchecked(message.store_id),
            version: message.version,
            name: message.name,
            document: message.document,
            state: open_if_set(message.state),
            create_time: time_if_set(message.create_time, "policy.create_time")?,
            effective_time: time_if_set(message.effective_time, "policy.effective_time")?,
        })
    }
}

impl FromWire for Preset {
    type Message = pb::Preset;

    fn from_wire(message: pb::Preset) -> Result<Self, Malformed> {
        Ok(Self { preset: message.preset, description: message.description, document: message.document })
    }
}
