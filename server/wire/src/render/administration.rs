//! Stores, carriers, warehouses and policies.

use belay_domain::ids::StoreId;
use belay_domain::store::{
    Activation, Carrier, PolicyHead, Store, StoredPolicy, Warehouse, active,
};
use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::Wire as _;
use crate::values::{count, etag, money, time};

/// How many of a version's activations are shown, the latest.
const ACTIVATIONS_MAX: usize = 100;

/// `activations` are the store's, earliest first.
pub fn store(store: &Store, activations: &[Activation], now: Timestamp) -> pb::Store {
    pb::Store {
        store_id: store.id.to_string(),
        display_name: store.display_name.clone(),
        etag: etag(store.version),
        time_zone: store.time_zone.clone(),
        active_policy_version: active(activations, now).map_or(0, |active| count(active.version)),
        default_warehouse_id: store
            .default_warehouse
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        default_carrier_id: store
            .default_carrier
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        create_time: Some(time(store.create_time)),
        update_time: Some(time(store.update_time)),
        storefront_records_payments: store.storefront_records_payments,
    }
}

/// A carrier of a store.
pub fn carrier(carrier: &Carrier) -> pb::Carrier {
    let labels = carrier
        .capabilities
        .return_labels
        .iter()
        .map(|(country, label)| pb::ReturnLabel {
            country_code: country.clone(),
            price: label
                .price
                .map(|price| money(price.currency, price.minor_units)),
        });
    pb::Carrier {
        carrier_id: carrier.id.to_string(),
        display_name: carrier.display_name.clone(),
        in_transit_cancel: carrier.capabilities.in_transit_cancel,
        partner_delivery: carrier.capabilities.partner_delivery,
        etag: etag(carrier.version),
        return_labels: labels.collect(),
    }
}

/// A warehouse of a store.
pub fn warehouse(warehouse: &Warehouse) -> pb::Warehouse {
    pb::Warehouse {
        warehouse_id: warehouse.id.to_string(),
        display_name: warehouse.display_name.clone(),
        time_zone: warehouse.time_zone.clone(),
        etag: etag(warehouse.version),
        country_code: warehouse.country_code.clone().unwrap_or_default(),
        calendar: Some(pb::WarehouseCalendar {
            weekend: warehouse
                .days_off
                .weekend
                .iter()
                .map(|day| day.number())
                .collect(),
            holidays: warehouse
                .days_off
                .holidays
                .iter()
                .map(ToString::to_string)
                .collect(),
        }),
    }
}

/// `activations` are the store's, earliest first.
pub fn policy(policy: &StoredPolicy, activations: &[Activation], now: Timestamp) -> pb::Policy {
    let head = PolicyHead {
        version: policy.version,
        name: policy.name.clone(),
        create_time: policy.create_time,
        author: policy.author.clone(),
    };
    let head = policy_head(&policy.store, &head, activations, now);
    pb::Policy {
        document: policy.document.clone(),
        ..head
    }
}

/// The same without its document.
pub fn policy_head(
    store: &StoreId,
    policy: &PolicyHead,
    activations: &[Activation],
    now: Timestamp,
) -> pb::Policy {
    let (state, effective_time) = policy_state(policy.version, activations, now);
    pb::Policy {
        store_id: store.to_string(),
        version: count(policy.version),
        name: policy.name.clone(),
        document: String::new(),
        state: state.into(),
        create_time: Some(time(policy.create_time)),
        effective_time: effective_time.map(time),
        activations: activations_of(policy.version, activations),
        author_id: policy.author.clone().unwrap_or_default(),
    }
}

/// Each ends where the store's next one begins; the latest first.
fn activations_of(version: u32, activations: &[Activation]) -> Vec<pb::PolicyActivation> {
    let ends = activations
        .iter()
        .skip(1)
        .map(|next| Some(next.effective_time))
        .chain([None]);
    let mine = activations
        .iter()
        .zip(ends)
        .filter(|(activation, _)| activation.version == version);
    let shown = mine.map(|(activation, end)| pb::PolicyActivation {
        effective_time: Some(time(activation.effective_time)),
        end_time: end.map(time),
    });
    let mut shown: Vec<pb::PolicyActivation> = shown.collect();
    shown.reverse();
    shown.truncate(ACTIVATIONS_MAX);
    shown
}

fn policy_state(
    version: u32,
    activations: &[Activation],
    now: Timestamp,
) -> (pb::PolicyState, Option<Timestamp>) {
    let mine = || {
        activations
            .iter()
            .filter(|activation| activation.version == version)
    };
    let coming = mine().find(|activation| activation.effective_time > now);
    let past = mine().rfind(|activation| activation.effective_time <= now);
    match (
        active(activations, now).filter(|active| active.version == version),
        coming,
        past,
    ) {
        (Some(active), _, _) => (pb::PolicyState::Active, Some(active.effective_time)),
        (None, Some(coming), _) => (pb::PolicyState::Scheduled, Some(coming.effective_time)),
        (None, None, Some(past)) => (pb::PolicyState::Superseded, Some(past.effective_time)),
        (None, None, None) => (pb::PolicyState::Draft, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_ends_where_the_next_one_begins() {
        let at = |second| Timestamp::new(second, 0).unwrap();
        let activation = |(second, version)| Activation {
            effective_time: at(second),
            version,
        };
        let shown = |begin, end: Option<i64>| pb::PolicyActivation {
            effective_time: Some(time(at(begin))),
            end_time: end.map(|end| time(at(end))),
        };
        let activations = [(10, 1), (20, 2), (30, 1)].map(activation);
        assert_eq!(
            activations_of(1, &activations),
            [shown(30, None), shown(10, Some(20))]
        );
        assert_eq!(activations_of(2, &activations), [shown(20, Some(30))]);
        assert_eq!(activations_of(3, &activations), []);
        let max = i64::try_from(ACTIVATIONS_MAX).unwrap();
        let many: Vec<Activation> = (1..=max + 1)
            .map(|second| activation((second, 1)))
            .collect();
        assert_eq!(activations_of(1, &many[1..]).len(), ACTIVATIONS_MAX);
        let of_all = activations_of(1, &many);
        assert_eq!(
            (of_all.len(), &of_all[0]),
            (ACTIVATIONS_MAX, &shown(max + 1, None))
        );
    }

    #[test]
    fn a_version_is_draft_scheduled_active_superseded_in_its_turn() {
        let at = |second| Timestamp::new(second, 0).unwrap();
        let activations = [
            Activation {
                effective_time: at(10),
                version: 1,
            },
            Activation {
                effective_time: at(20),
                version: 2,
            },
            Activation {
                effective_time: at(30),
                version: 1,
            },
        ];
        let state = |version, now| policy_state(version, &activations, at(now));
        assert_eq!(state(3, 15), (pb::PolicyState::Draft, None));
        assert_eq!(state(1, 5), (pb::PolicyState::Scheduled, Some(at(10))));
        assert_eq!(state(1, 10), (pb::PolicyState::Active, Some(at(10))));
        assert_eq!(state(2, 15), (pb::PolicyState::Scheduled, Some(at(20))));
        assert_eq!(state(1, 25), (pb::PolicyState::Scheduled, Some(at(30))));
        assert_eq!(state(2, 30), (pb::PolicyState::Superseded, Some(at(20))));
        assert_eq!(state(1, 30), (pb::PolicyState::Active, Some(at(30))));
    }
}
