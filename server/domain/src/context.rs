//! The context of a decision: all that it may know besides the order and the command.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::actor::Actor;
use crate::calendar::Calendar;
use crate::ids::{CarrierId, StoreId, WarehouseId};
use crate::money::Money;
use crate::policy::Policies;
use crate::scope::Scope;

/// A store's configuration: its reference data, as of the decision.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub id: StoreId,
    pub policies: Policies,
    /// Calendar days are counted in it.
    pub time_zone: TimeZone,
    pub carriers: BTreeMap<CarrierId, CarrierProfile>,
    pub warehouses: BTreeMap<WarehouseId, WarehouseProfile>,
    /// Where an order goes that names no shipments.
    pub default_route: Option<(WarehouseId, CarrierId)>,
    /// Whether its storefront may say what was paid.
    pub storefront_records_payments: bool,
}

/// The capabilities of a carrier: none, unless the store says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarrierProfile {
    /// Can bring a parcel back that is on its way.
    pub in_transit_cancel: bool,
    /// Is the marketplace's partner, not the seller's own.
    pub partner_delivery: bool,
    /// By the country that the parcel comes back from.
    pub return_labels: BTreeMap<String, ReturnLabel>,
}

/// A prepaid label for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnLabel {
    /// What a buyer is charged who bears the way back; none costs nothing. Orders in another
    /// currency have no label.
    pub price: Option<Money>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseProfile {
    /// ISO 3166-1 alpha-2. Where nobody said it, no shipment is known to cross a border.
    pub country_code: Option<String>,
    /// When people work there.
    pub calendar: Calendar,
}

/// One decision's time, caller and reference data.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The decision time: never before what the order last saw.
    pub now: Timestamp,
    pub caller: &'a Actor,
    /// What the caller sees.
    pub scope: &'a Scope,
    pub request_id: Uuid,
    pub store: &'a StoreConfig,
}
