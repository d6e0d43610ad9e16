//! Stores, carriers, warehouses and policies.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::db::carriers::Carrier;
use crate::db::policies::{Activation, StoredPolicy};
use crate::db::stores::Store;
use crate::db::warehouses::Warehouse;
use crate::wire::values::{count, etag, time};

/// `activations` are the store's, earliest first.
pub(crate) fn store(store: &Store, activations: &[Activation], now: Timestamp) -> pb::Store {
    pb::Store {
        store_id: store.id.to_string(),
        display_name: store.display_name.clone(),
        etag: etag(store.version),
        time_zone: store.time_zone.clone(),
        active_policy_version: active(activations, now).map_or(0, |active| count(active.version)),
        default_warehouse_id: store.default_warehouse.as_ref().map(ToString::to_string).unwrap_or_default(),
        default_carrier_id: store.default_carrier.as_ref().map(ToString::to_string).unwrap_or_default(),
        create_time: Some(time(store.create_time)),
        update_time: Some(time(store.update_time)),
    }
}

pub(crate) fn carrier(carrier: &Carrier) -> pb::Carrier {
    pb::Carrier {
        carrier_id: carrier.id.to_string(),
        display_name: carrier.display_name.clone(),
        in_transit_cancel: carrier.facts.in_transit_cancel,
        partner_delivery: carrier.facts.partner_delivery,
        etag: etag(carrier.version),
    }
}

pub(crate) fn warehouse(warehouse: &Warehouse) -> pb::Warehouse {
    pb::Warehouse {
        warehouse_id: warehouse.id.to_string(),
        display_name: warehouse.display_name.clone(),
        time_zone: warehouse.time_zone.clone(),
        etag: etag(warehouse.version),
    }
}

/// `activations` are the store's, earliest first.
pub(crate) fn policy(policy: &StoredPolicy, activations: &[Activation], now: Timestamp) -> pb::Policy {
    let (state, effective_time) = policy_state(policy.version, activations, now);
    pb::Policy {
        store_id: policy.store.to_string(),
        version: count(policy.version),
        name: policy.name.clone(),
        document: policy.document.clone(),
        state: state.into(),
        create_time: Some(time(policy.create_time)),
        effective_time: effective_time.map(time),
    }
}

/// The activation that decides now: the last one whose time has come.
pub(crate) fn active(activations: &[Activation], now: Timestamp) -> Option<Activation> {
    activations.iter().rev().find(|activation| activation.effective_time <= now).copied()
}

fn policy_state(version: u32, activations: &[Activation], now: Timestamp) -> (pb::PolicyState, Option<Timestamp>) {
    let mine = || activations.iter().filter(|activation| activation.version == version);
    let coming = mine().find(|activation| activation.effective_time > now);
    let past = mine().rfind(|activation| activation.effective_time <= now);
    match (active(activations, now).filter(|active| active.version == version), coming, past) {
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
    fn a_version_is_draft_scheduled_active_superseded_in_its_turn() {
        let at = |second| Timestamp::new(second, 0).unwrap();
        let activations = [
            Activation { effective_time: at(10), version: 1 },
            Activation { effective_time: at(20), version: 2 },
            Activation { effective_time: at(30), version: 1 },
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
