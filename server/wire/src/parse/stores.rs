//! Requests of the StoreService and the PolicyService.

use std::collections::BTreeMap;

use belay_domain::calendar::HOLIDAYS_MAX;
use belay_domain::context::{self, ReturnLabel};
use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::store::{
    Carrier, DaysOff, NewStore, NewWarehouse, PolicySource, Put, StoreChanges,
};
use belay_proto::v1 as pb;
use belay_proto::v1::create_store_request::Policy as PolicyChoice;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use prost::Message;

use super::bounds::{
    DISPLAY_NAME_CHARS_MAX, PRESET_CHARS_MAX, RETURN_LABELS_MAX, TIME_ZONE_CHARS_MAX,
    WEEKEND_DAYS_MAX,
};
use super::envelope::{Reader, store_id};
use super::lists::{ListRequest, asked_page};
use super::{
    Parsed, Violations, all, at_most, country, distinct, etag, id, money_of_its_own, optional_id,
    parse, positive, specified, text, time,
};
use crate::pages::PageRequest;

const TIME_ZONE_DEFAULT: &str = "UTC";
const WAREHOUSE_DEFAULT: &str = "main";
const CARRIER_DEFAULT: &str = "standard";

pub fn create_store(request: pb::CreateStoreRequest, _: &Reader<'_>) -> Parsed<NewStore> {
    parse(|v| new_store(v, request))
}

fn new_store(v: &mut Violations, request: pb::CreateStoreRequest) -> Option<NewStore> {
    let or = |text: String, default: &str| {
        if text.is_empty() {
            default.to_owned()
        } else {
            text
        }
    };
    let store = id(v, "store_id", request.store_id.clone(), StoreId::parse);
    let display_name = or(request.display_name, &request.store_id);
    let display_name = display_name_of(v, "display_name", display_name);
    let time_zone = time_zone(v, "time_zone", &or(request.time_zone, TIME_ZONE_DEFAULT));
    let warehouse = or(request.default_warehouse_id, WAREHOUSE_DEFAULT);
    let warehouse = id(v, "default_warehouse_id", warehouse, WarehouseId::parse);
    let carrier = id(
        v,
        "default_carrier_id",
        or(request.default_carrier_id, CARRIER_DEFAULT),
        CarrierId::parse,
    );
    let policy = match request.policy {
        Some(PolicyChoice::Preset(preset)) => {
            text(v, "preset", preset, PRESET_CHARS_MAX).map(PolicySource::Preset)
        }
        // The document is checked as a policy, not as a string.
        Some(PolicyChoice::Document(document)) => Some(PolicySource::Document(document)),
        None => {
            v.add("preset", "one of preset and document must be given");
            None
        }
    };
    let mut store = NewStore {
        id: store?,
        display_name: display_name?,
        time_zone: time_zone?,
        policy: policy?,
        warehouse: warehouse?,
        carrier: carrier?,
        storefront_records_payments: request.storefront_records_payments,
        fingerprint: [0; 32],
    };
    store.fingerprint = fingerprint(&store);
    Some(store)
}

/// Of everything that was asked. A preset counts by its name: its document may change with a
/// release.
fn fingerprint(new: &NewStore) -> [u8; 32] {
    let request = pb::CreateStoreRequest {
        store_id: new.id.to_string(),
        display_name: new.display_name.clone(),
        time_zone: new.time_zone.clone(),
        default_warehouse_id: new.warehouse.to_string(),
        default_carrier_id: new.carrier.to_string(),
        storefront_records_payments: new.storefront_records_payments,
        policy: Some(match new.policy.clone() {
            PolicySource::Preset(name) => PolicyChoice::Preset(name),
            PolicySource::Document(document) => PolicyChoice::Document(document),
        }),
    };
    *blake3::hash(&request.encode_to_vec()).as_bytes()
}

pub fn get_store(request: pb::GetStoreRequest, _: &Reader<'_>) -> Parsed<StoreId> {
    parse(|v| store_id(v, &request.store_id))
}

pub fn list_stores(mut request: pb::ListStoresRequest, reader: &Reader<'_>) -> Parsed<PageRequest> {
    asked_page!("ListStores", request, reader).page()
}

pub fn list_carriers(
    mut request: pb::ListCarriersRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<()>> {
    let page = asked_page!("ListCarriers", request, reader);
    page.list(&request.store_id, |_, _| Some(()))
}

pub fn list_warehouses(
    mut request: pb::ListWarehousesRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<()>> {
    let page = asked_page!("ListWarehouses", request, reader);
    page.list(&request.store_id, |_, _| Some(()))
}

pub fn update_store(
    request: pb::UpdateStoreRequest,
    _: &Reader<'_>,
) -> Parsed<(StoreId, StoreChanges)> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let changes = store_changes(v, request);
        Some((store?, changes?))
    })
}

fn store_changes(v: &mut Violations, request: pb::UpdateStoreRequest) -> Option<StoreChanges> {
    let expected_version = etag(v, "etag", &request.etag);
    let display_name = match request.display_name {
        name if name.is_empty() => Some(None),
        name => display_name_of(v, "display_name", name).map(Some),
    };
    let time_zone = time_zone_if_given(v, "time_zone", &request.time_zone);
    let warehouse = optional_id(
        v,
        "default_warehouse_id",
        request.default_warehouse_id,
        WarehouseId::parse,
    );
    let carrier = optional_id(
        v,
        "default_carrier_id",
        request.default_carrier_id,
        CarrierId::parse,
    );
    Some(StoreChanges {
        display_name: display_name?,
        time_zone: time_zone?,
        warehouse: warehouse?,
        carrier: carrier?,
        storefront_records_payments: request.storefront_records_payments,
        expected_version: expected_version?,
    })
}

pub fn put_carrier(request: pb::PutCarrierRequest, _: &Reader<'_>) -> Parsed<Put<Carrier>> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        carrier(v, store, request.carrier)
    })
}

fn carrier(
    v: &mut Violations,
    store: Option<StoreId>,
    carrier: Option<pb::Carrier>,
) -> Option<Put<Carrier>> {
    let Some(carrier) = carrier else {
        v.add("carrier", "must be given");
        return None;
    };
    let carrier_id = id(
        v,
        "carrier.carrier_id",
        carrier.carrier_id,
        CarrierId::parse,
    );
    let display_name = display_name_of(v, "carrier.display_name", carrier.display_name);
    let expected_version = etag(v, "carrier.etag", &carrier.etag);
    let return_labels = return_labels(v, "carrier.return_labels", carrier.return_labels);
    let capabilities = context::CarrierProfile {
        in_transit_cancel: carrier.in_transit_cancel,
        partner_delivery: carrier.partner_delivery,
        return_labels: return_labels?,
    };
    Some(Put {
        record: Carrier {
            store: store?,
            id: carrier_id?,
            display_name: display_name?,
            capabilities,
            version: 0,
        },
        expected_version: expected_version?,
    })
}

/// Each in its own currency: a carrier prices a label where it is used.
fn return_labels(
    v: &mut Violations,
    field: &str,
    labels: Vec<pb::ReturnLabel>,
) -> Option<BTreeMap<String, ReturnLabel>> {
    at_most(v, field, labels.len(), RETURN_LABELS_MAX)?;
    let at = |index: usize| format!("{field}[{index}]");
    distinct(
        v,
        labels
            .iter()
            .enumerate()
            .map(|(i, label)| (at(i), Some(label.country_code.clone()))),
    );
    let labels = labels.into_iter().enumerate().map(|(i, label)| {
        let country = country(v, &format!("{}.country_code", at(i)), label.country_code);
        let price = match label.price {
            Some(price) => money_of_its_own(v, &format!("{}.price", at(i)), &price).map(Some),
            None => Some(None),
        };
        Some((country?, ReturnLabel { price: price? }))
    });
    all(labels).map(|labels| labels.into_iter().collect())
}

pub fn put_warehouse(request: pb::PutWarehouseRequest, _: &Reader<'_>) -> Parsed<NewWarehouse> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        warehouse(v, store, request.warehouse)
    })
}

fn warehouse(
    v: &mut Violations,
    store: Option<StoreId>,
    warehouse: Option<pb::Warehouse>,
) -> Option<NewWarehouse> {
    let Some(warehouse) = warehouse else {
        v.add("warehouse", "must be given");
        return None;
    };
    let warehouse_id = id(
        v,
        "warehouse.warehouse_id",
        warehouse.warehouse_id,
        WarehouseId::parse,
    );
    let display_name = display_name_of(v, "warehouse.display_name", warehouse.display_name);
    let time_zone = time_zone_if_given(v, "warehouse.time_zone", &warehouse.time_zone);
    let country_code = match warehouse.country_code {
        code if code.is_empty() => Some(None),
        code => country(v, "warehouse.country_code", code).map(Some),
    };
    let days_off = warehouse
        .calendar
        .map_or_else(|| Some(DaysOff::usual()), |calendar| days_off(v, calendar));
    let expected_version = etag(v, "warehouse.etag", &warehouse.etag);
    Some(NewWarehouse {
        store: store?,
        id: warehouse_id?,
        display_name: display_name?,
        time_zone: time_zone?,
        country_code: country_code?,
        days_off: days_off?,
        expected_version: expected_version?,
    })
}

fn days_off(v: &mut Violations, calendar: pb::WarehouseCalendar) -> Option<DaysOff> {
    const WEEKEND: &str = "warehouse.calendar.weekend";
    const HOLIDAYS: &str = "warehouse.calendar.holidays";
    let weekend = at_most(v, WEEKEND, calendar.weekend.len(), WEEKEND_DAYS_MAX).and_then(|()| {
        let at = |index: usize| format!("{WEEKEND}[{index}]");
        distinct(
            v,
            calendar
                .weekend
                .iter()
                .enumerate()
                .map(|(i, day)| (at(i), Some(*day))),
        );
        all(calendar
            .weekend
            .iter()
            .enumerate()
            .map(|(i, day)| specified(v, &at(i), *day)))
    });
    let holidays = at_most(v, HOLIDAYS, calendar.holidays.len(), HOLIDAYS_MAX).and_then(|()| {
        let at = |index: usize| format!("{HOLIDAYS}[{index}]");
        distinct(
            v,
            calendar
                .holidays
                .iter()
                .enumerate()
                .map(|(i, day)| (at(i), Some(day))),
        );
        all(calendar
            .holidays
            .iter()
            .enumerate()
            .map(|(i, day)| date(v, &at(i), day)))
    });
    Some(DaysOff {
        weekend: weekend?.into_iter().collect(),
        holidays: holidays?.into_iter().collect(),
    })
}

fn date(v: &mut Violations, field: &str, text: &str) -> Option<Date> {
    // jiff reads a date out of a longer text too, where the rest would be lost in silence.
    match text
        .parse()
        .ok()
        .filter(|date: &Date| date.to_string() == text)
    {
        Some(date) => Some(date),
        None => v.refuse(field, "must be a date such as 2026-12-25"),
    }
}

/// A document to make a policy of, or only to be looked at.
#[derive(Debug, Clone)]
pub struct PolicyRequest {
    pub store: StoreId,
    pub document: String,
    pub validate_only: bool,
}

pub fn create_policy(request: pb::CreatePolicyRequest, _: &Reader<'_>) -> Parsed<PolicyRequest> {
    Ok(PolicyRequest {
        store: parse(|v| store_id(v, &request.store_id))?,
        document: request.document,
        validate_only: request.validate_only,
    })
}

/// The store, and the version where one is named.
pub fn get_policy(request: pb::GetPolicyRequest, _: &Reader<'_>) -> Parsed<(StoreId, Option<u32>)> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let version = policy_version(v, request.version);
        Some((store?, version?))
    })
}

pub fn list_policies(
    mut request: pb::ListPoliciesRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<()>> {
    let page = asked_page!("ListPolicies", request, reader);
    page.list(&request.store_id, |_, _| Some(()))
}

/// The version that is to decide, and from when, where that is named.
#[derive(Debug, Clone)]
pub struct ActivationRequest {
    pub store: StoreId,
    pub version: u32,
    pub effective_time: Option<Timestamp>,
}

pub fn activate_policy(
    request: pb::ActivatePolicyRequest,
    _: &Reader<'_>,
) -> Parsed<ActivationRequest> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let max = i32::MAX.unsigned_abs();
        let version = positive(v, "version", request.version.into(), max);
        let effective_time = time(v, "effective_time", request.effective_time);
        Some(ActivationRequest {
            store: store?,
            version: version?,
            effective_time: effective_time?,
        })
    })
}

/// A policy version's number; `None` for 0.
fn policy_version(v: &mut Violations, version: i32) -> Option<Option<u32>> {
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

fn time_zone_if_given(v: &mut Violations, field: &str, name: &str) -> Option<Option<String>> {
    if name.is_empty() {
        Some(None)
    } else {
        time_zone(v, field, name).map(Some)
    }
}

/// An IANA time zone that this server knows, in its own spelling.
fn time_zone(v: &mut Violations, field: &str, name: &str) -> Option<String> {
    let known = (name.len() <= TIME_ZONE_CHARS_MAX)
        .then(|| TimeZone::get(name).ok())
        .flatten();
    match known.as_ref().and_then(TimeZone::iana_name) {
        Some(name) => Some(name.to_owned()),
        None => {
            v.add(
                field,
                "must be the IANA name of a time zone such as Europe/Berlin",
            );
            None
        }
    }
}
