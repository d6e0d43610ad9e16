//! Requests of the StoreService and the PolicyService.

use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::policy::CarrierFacts;
use belay_proto::v1 as pb;
use belay_proto::v1::create_store_request::Policy as PolicyChoice;
use jiff::tz::TimeZone;

use super::bounds::{DISPLAY_NAME_CHARS_MAX, PRESET_CHARS_MAX, TIME_ZONE_CHARS_MAX};
use super::{Violations, etag, id, text};

const TIME_ZONE_DEFAULT: &str = "UTC";
const WAREHOUSE_DEFAULT: &str = "main";
const CARRIER_DEFAULT: &str = "standard";

/// A store to create, with every default filled in.
#[derive(Debug, Clone)]
pub(crate) struct NewStore {
    pub(crate) id: StoreId,
    pub(crate) display_name: String,
    pub(crate) time_zone: String,
    pub(crate) policy: PolicyChoice,
    pub(crate) warehouse: WarehouseId,
    pub(crate) carrier: CarrierId,
}

pub(crate) fn create_store(v: &mut Violations, request: pb::CreateStoreRequest) -> Option<NewStore> {
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    let store = id(v, "store_id", request.store_id.clone(), StoreId::parse);
    let display_name = or(request.display_name, &request.store_id);
    let display_name = display_name_of(v, "display_name", display_name);
    let time_zone = time_zone(v, "time_zone", &or(request.time_zone, TIME_ZONE_DEFAULT));
    let warehouse = or(request.default_warehouse_id, WAREHOUSE_DEFAULT);
    let warehouse = id(v, "default_warehouse_id", warehouse, WarehouseId::parse);
    let carrier = id(v, "default_carrier_id", or(request.default_carrier_id, CARRIER_DEFAULT), CarrierId::parse);
    let policy = match request.policy {
        Some(PolicyChoice::Preset(preset)) => text(v, "preset", preset, PRESET_CHARS_MAX).map(PolicyChoice::Preset),
        // The document is checked as a policy, not as a string.
        Some(PolicyChoice::Document(document)) => Some(PolicyChoice::Document(document)),
        None => {
            v.add("policy", "one of preset and document must be given");
            None
        }
    };
    Some(NewStore {
        id: store?,
        display_name: display_name?,
        time_zone: time_zone?,
        policy: policy?,
        warehouse: warehouse?,
        carrier: carrier?,
    })
}

/// A carrier as it shall be.
#[derive(Debug, Clone)]
pub(crate) struct NewCarrier {
    pub(crate) id: CarrierId,
    pub(crate) display_name: String,
    pub(crate) facts: CarrierFacts,
    pub(crate) expected_version: Option<u64>,
}

pub(crate) fn put_carrier(v: &mut Violations, carrier: Option<pb::Carrier>) -> Option<NewCarrier> {
    let Some(carrier) = carrier else {
        v.add("carrier", "must be given");
        return None;
    };
    let carrier_id = id(v, "carrier.carrier_id", carrier.carrier_id, CarrierId::parse);
    let display_name = display_name_of(v, "carrier.display_name", carrier.display_name);
    let expected_version = etag(v, "carrier.etag", &carrier.etag);
    let facts =
        CarrierFacts { in_transit_cancel: carrier.in_transit_cancel, partner_delivery: carrier.partner_delivery };
    Some(NewCarrier { id: carrier_id?, display_name: display_name?, facts, expected_version: expected_version? })
}

/// A warehouse as it shall be; without a time zone it has the store's.
#[derive(Debug, Clone)]
pub(crate) struct NewWarehouse {
    pub(crate) id: WarehouseId,
    pub(crate) display_name: String,
    pub(crate) time_zone: Option<String>,
    pub(crate) expected_version: Option<u64>,
}

pub(crate) fn put_warehouse(v: &mut Violations, warehouse: Option<pb::Warehouse>) -> Option<NewWarehouse> {
    let Some(warehouse) = warehouse else {
        v.add("warehouse", "must be given");
        return None;
    };
    let warehouse_id = id(v, "warehouse.warehouse_id", warehouse.warehouse_id, WarehouseId::parse);
    let display_name = display_name_of(v, "warehouse.display_name", warehouse.display_name);
    let time_zone = match warehouse.time_zone.as_str() {
        "" => Some(None),
        name => time_zone(v, "warehouse.time_zone", name).map(Some),
    };
    let expected_version = etag(v, "warehouse.etag", &warehouse.etag);
    Some(NewWarehouse {
        id: warehouse_id?,
        display_name: display_name?,
        time_zone: time_zone?,
        expected_version: expected_version?,
    })
}

/// A policy version's number; `None` for 0.
pub(crate) fn policy_version(v: &mut Violations, version: i32) -> Option<Option<u32>> {
    match u32::try_from(version) {
        Ok(0) => Some(None),
        Ok(version) => Some(Some(version)),
        Err(_) => {
            v.add("version", format!("must not be negative, is {version}"));
            None
        }
    }
}

fn display_name_of(v: &mut Violations, field: &str, name: String) -> Option<String> {
    let name = text(v, field, name, DISPLAY_NAME_CHARS_MAX)?;
    if name.trim().is_empty() {
        v.add(field, "must not be blank");
        return None;
    }
    Some(name)
}

/// An IANA time zone that this server knows, in its own spelling.
fn time_zone(v: &mut Violations, field: &str, name: &str) -> Option<String> {
    let known = (name.len() <= TIME_ZONE_CHARS_MAX).then(|| TimeZone::get(name).ok()).flatten();
    match known.as_ref().and_then(TimeZone::iana_name) {
        Some(name) => Some(name.to_owned()),
        None => {
            v.add(field, "must be the IANA name of a time zone such as Europe/Berlin");
            None
        }
    }
}
