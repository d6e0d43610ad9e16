//! What the lists have in common, and the filters of each.

use belay_domain::actor::Role;
use belay_domain::cancellation::CancellationState;
use belay_domain::ids::{CarrierId, OrderId, SellerId, StoreId, WarehouseId};
use belay_domain::incident::{IncidentKind, IncidentState};
use belay_domain::order::OrderState;
use belay_domain::query::ActionsSummary;
use belay_domain::refund::RefundState;
use belay_domain::scope::Scope;
use belay_domain::shipment::Stage;
use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::bounds::{
    AUTO_APPROVED_DEFAULT, AUTO_APPROVED_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PLACE_CHARS_MAX,
};
use super::{Violations, optional_id, positive_or, text, time, unspecified_or};

pub(crate) fn page_size(v: &mut Violations, page_size: i32) -> Option<u16> {
    positive_or(v, "page_size", page_size, PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT)
}

pub(crate) fn order_filter(v: &mut Violations, order_id: String) -> Option<Option<OrderId>> {
    optional_id(v, "order_id", order_id, OrderId::parse)
}

pub(crate) fn order_state_filter(v: &mut Violations, state: i32) -> Option<Option<OrderState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn cancellation_state_filter(
    v: &mut Violations,
    state: i32,
) -> Option<Option<CancellationState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn refund_state_filter(v: &mut Violations, state: i32) -> Option<Option<RefundState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn stage_filter(v: &mut Violations, stage: i32) -> Option<Option<Stage>> {
    unspecified_or(v, "stage", stage)
}

pub(crate) fn incident_state_filter(
    v: &mut Violations,
    state: i32,
) -> Option<Option<IncidentState>> {
    unspecified_or(v, "state", state)
}

pub(crate) fn incident_kind_filter(v: &mut Violations, kind: i32) -> Option<Option<IncidentKind>> {
    unspecified_or(v, "kind", kind)
}

/// Country and city.
pub(crate) fn destination_filter(
    v: &mut Violations,
    country: String,
    city: String,
) -> Option<(Option<String>, Option<String>)> {
    let city = text(v, "destination_city", city, PLACE_CHARS_MAX);
    let country = match (country.is_empty(), city.as_deref()) {
        (true, Some("") | None) => Some(None),
        (true, Some(_)) => v.refuse("destination_city", "needs destination_country"),
        (false, _) => super::country(v, "destination_country", country).map(Some),
    };
    let given = |text: String| (!text.is_empty()).then_some(text);
    Some((country?, given(city?)))
}

/// The role that acts as this party.
pub(crate) fn party_filter(v: &mut Violations, field: &str, party: i32) -> Option<Option<Role>> {
    match pb::Party::try_from(party) {
        Ok(pb::Party::Unspecified) => Some(None),
        Ok(pb::Party::Seller) => Some(Some(Role::Seller)),
        Ok(pb::Party::Support) => Some(Some(Role::Support)),
        Ok(pb::Party::Warehouse) => Some(Some(Role::Warehouse)),
        Ok(pb::Party::Carrier) => Some(Some(Role::Carrier)),
        Err(_) => v.refuse(
            field,
            format!("{party} is not a value that this server knows"),
        ),
    }
}

/// Whose actions to count.
#[derive(Debug)]
pub(crate) struct Actions {
    pub(crate) party: Role,
    pub(crate) summary: ActionsSummary,
    auto_approved_since: Option<Timestamp>,
}

impl Actions {
    /// From when on cancellations that were approved without asking the seller count.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        let ago = |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        self.auto_approved_since
            .unwrap_or(ago(AUTO_APPROVED_DEFAULT))
            .max(ago(AUTO_APPROVED_MAX))
    }
}

/// `store` is `None` where its id was refused.
pub(crate) fn actions(
    v: &mut Violations,
    request: pb::SummarizeActionsRequest,
    store: Option<&StoreId>,
    scope: &Scope,
) -> Option<Actions> {
    let party = party_filter(v, "party", request.party).map(|party| party.unwrap_or(Role::Seller));
    let of_another = |field, is_given: bool, owner: Role| {
        (is_given && party? != owner).then_some((field, owner))
    };
    let misplaced = [
        of_another(
            "warehouse_id",
            !request.warehouse_id.is_empty(),
            Role::Warehouse,
        ),
        of_another("carrier_id", !request.carrier_id.is_empty(), Role::Carrier),
        of_another(
            "auto_approved_since",
            request.auto_approved_since.is_some(),
            Role::Seller,
        ),
    ];
    for (field, owner) in misplaced.into_iter().flatten() {
        v.add(field, format!("is for party {owner} only"));
    }
    let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
    let warehouse = optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
    let carrier = optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
    let auto_approved_since = time(v, "auto_approved_since", request.auto_approved_since);
    let (store, seller) = (store?.clone(), scope.sellers.narrow(seller?));
    Some(Actions {
        party: party?,
        summary: ActionsSummary {
            store,
            scope: scope.clone(),
            seller,
            warehouse: warehouse?,
            carrier: carrier?,
        },
        auto_approved_since: auto_approved_since?,
    })
}
