//! Stores, with their carriers, warehouses and policies.

use belay_proto::v1 as pb;
use jiff::Timestamp;
use jiff::civil::Date;

use super::Money;
use crate::ids::{CarrierId, Etag, StoreId, WarehouseId};
use crate::wire::{
    FromWire, Malformed, open_all, open_enum, open_if_set, read_all, read_if_set, text_if_set,
    time, time_if_set,
};

/// A store: a sales channel, such as an independent site, a marketplace or a B2B platform.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Store {
    /// Its id, chosen by who created it.
    pub store_id: StoreId,
    /// The name for people.
    pub display_name: String,
    /// The etag, which changes with every write to the store's own settings.
    pub etag: Etag,
    /// The IANA name of its time zone, such as `Europe/Berlin`, in which the policy's calendar days
    /// count.
    pub time_zone: String,
    /// The version of the active policy.
    pub active_policy_version: i32,
    /// The warehouse of orders that name no shipments.
    pub default_warehouse_id: WarehouseId,
    /// The carrier of orders that name no shipments.
    pub default_carrier_id: CarrierId,
    /// When it was created.
    pub create_time: Timestamp,
    /// When its settings last changed.
    pub update_time: Timestamp,
    /// Whether the role `Storefront` may record payments.
    pub storefront_records_payments: bool,
}

/// A carrier of one store, with its abilities that matter to a cancellation.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Carrier {
    /// Its id, unique in the store.
    pub carrier_id: CarrierId,
    /// The name for people.
    pub display_name: String,
    /// Whether it can intercept a parcel in transit.
    pub in_transit_cancel: bool,
    /// Whether it delivers as a partner of the sales channel, and not as the seller's own choice.
    pub partner_delivery: bool,
    /// The etag, which changes with every write.
    pub etag: Etag,
    /// Its prepaid return labels, by country.
    pub return_labels: Vec<ReturnLabel>,
}

/// A prepaid return label.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReturnLabel {
    /// The country that the parcel comes back from: ISO 3166-1 alpha-2.
    pub country_code: String,
    /// The charge to a buyer who bears the way back. `None`: nothing.
    pub price: Option<Money>,
}

/// A warehouse of one store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Warehouse {
    /// Its id, unique in the store.
    pub warehouse_id: WarehouseId,
    /// The name for people.
    pub display_name: String,
    /// The IANA name of its time zone, such as `Asia/Shanghai`, in which its calendar and deadlines
    /// of its stops count.
    pub time_zone: String,
    /// The etag, which changes with every write.
    pub etag: Etag,
    /// Its country: ISO 3166-1 alpha-2. `None`: not known.
    pub country_code: Option<String>,
    /// The weekend: the days of the week without work.
    pub weekend: Vec<Weekday>,
    /// The holidays: the dates without work.
    pub holidays: Vec<Date>,
}

open_enum! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Monday,
        /// Tuesday.
        Tuesday,
        /// Wednesday.
        Wednesday,
        /// Thursday.
        Thursday,
        /// Friday.
        Friday,
        /// Saturday.
        Saturday,
        /// Sunday.
        Sunday,
    }
}

/// A version of a store's policy: the document that decides who may cancel what, when, and on which
/// terms.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Policy {
    /// The store.
    pub store_id: StoreId,
    /// The version: 1, 2, 3 and so on in the store. 0 for a document that was only validated.
    pub version: i32,
    /// Its name, as the document gives it.
    pub name: String,
    /// The document, YAML or JSON, as it was entered. Empty in lists.
    pub document: String,
    /// Its state. `None` for a document that was only validated.
    pub state: Option<PolicyState>,
    /// When it was created. `None` for a document that was only validated.
    pub create_time: Option<Timestamp>,
    /// The time from which it is active. `None` until it is activated.
    pub effective_time: Option<Timestamp>,
    /// Its activations, past, present and future, the latest first; at most the latest 100.
    pub activations: Vec<PolicyActivation>,
    /// The id of the caller who created it. `None` where the caller had none, or a release that did
    /// not keep it created it.
    pub author_id: Option<String>,
}

/// An activation: a period in which a policy version is active.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PolicyActivation {
    /// Its beginning.
    pub effective_time: Timestamp,
    /// Its end, where another activation follows.
    pub end_time: Option<Timestamp>,
}

open_enum! {
    /// The state of a policy version.
    PolicyState {
        /// Created, not activated.
        Draft,
        /// Activated, its effective time is still to come.
        Scheduled,
        /// Active.
        Active,
        /// Was active. It still decides the cancellations that were requested under it.
        Superseded,
    }
}

/// A preset: a policy document that ships with the server, for a kind of store.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Preset {
    /// Its name, such as `independent-site`.
    pub preset: String,
    /// The kind of store that it is for, in one sentence.
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
            storefront_records_payments: message.storefront_records_payments,
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
            return_labels: read_all(message.return_labels)?,
        })
    }
}

impl FromWire for ReturnLabel {
    type Message = pb::ReturnLabel;

    fn from_wire(message: pb::ReturnLabel) -> Result<Self, Malformed> {
        Ok(Self {
            country_code: message.country_code,
            price: read_if_set(message.price)?,
        })
    }
}

impl FromWire for Warehouse {
    type Message = pb::Warehouse;

    fn from_wire(message: pb::Warehouse) -> Result<Self, Malformed> {
        let calendar = message.calendar.ok_or(Malformed("warehouse.calendar"))?;
        let date = |text: &String| {
            text.parse()
                .map_err(|_| Malformed("warehouse.calendar.holidays"))
        };
        Ok(Self {
            warehouse_id: WarehouseId::unchecked(message.warehouse_id),
            display_name: message.display_name,
            time_zone: message.time_zone,
            etag: Etag::from(message.etag),
            country_code: text_if_set(message.country_code),
            weekend: open_all(calendar.weekend),
            holidays: calendar
                .holidays
                .iter()
                .map(date)
                .collect::<Result<_, _>>()?,
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
            activations: read_all(message.activations)?,
            author_id: Some(message.author_id).filter(|id| !id.is_empty()),
        })
    }
}

impl FromWire for PolicyActivation {
    type Message = pb::PolicyActivation;

    fn from_wire(message: pb::PolicyActivation) -> Result<Self, Malformed> {
        Ok(Self {
            effective_time: time(message.effective_time, "policy_activation.effective_time")?,
            end_time: time_if_set(message.end_time, "policy_activation.end_time")?,
        })
    }
}

impl FromWire for Preset {
    type Message = pb::Preset;

    fn from_wire(message: pb::Preset) -> Result<Self, Malformed> {
        Ok(Self {
            preset: message.preset,
            description: message.description,
            document: message.document,
        })
    }
}
