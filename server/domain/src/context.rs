//! What a decision may know besides the order and the command.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::actor::Actor;
use crate::ids::{CarrierId, StoreId, WarehouseId};
use crate::policy::{CarrierFacts, Policies};
use crate::scope::Scope;

/// A store's reference data, as of the decision.
#[derive(Debug, Clone)]
pub struct StoreFacts {
    pub id: StoreId,
    pub policies: Policies,
    pub carriers: BTreeMap<CarrierId, CarrierFacts>,
    /// IANA time zones by warehouse.
    pub warehouses: BTreeMap<WarehouseId, String>,
    /// Where an order goes that names no shipments.
    pub default_route: Option<(WarehouseId, CarrierId)>,
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
    pub store: &'a StoreFacts,
}
