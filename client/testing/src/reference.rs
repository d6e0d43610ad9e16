//! Stores with their policies, carriers and warehouses.

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::actor::Actor;
use belay_domain::context::StoreConfig;
use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::policy::{self, Policy};
use belay_domain::presets;
use belay_domain::scope::{IdFilter, Scope};
use belay_domain::store::{
    Activation, Carrier, NamedDefault, NewStore, PolicyHead, PolicySource, Put, PutOutcome, Record,
    Store, StoreChanges, StoredPolicy, Warehouse, activation_time, active, author,
    earliest_activation, is_activated,
};
use belay_proto::v1 as pb;
use belay_wire::parse::simulation::DraftPolicy;
use belay_wire::parse::stores as parse;
use belay_wire::render::administration as render;
use belay_wire::status::CallError;
use belay_wire::values::etag;
use jiff::Timestamp;

use crate::call::{Answer, Call};

/// Everything that belongs to one store and to no order.
#[derive(Debug)]
pub(crate) struct StoreRecords {
    pub(crate) store: Store,
    /// The first is version 1.
    policies: Vec<(StoredPolicy, Arc<Policy>)>,
    /// Earliest first.
    activations: Vec<Activation>,
    carriers: BTreeMap<CarrierId, Carrier>,
    warehouses: BTreeMap<WarehouseId, Warehouse>,
    /// What decisions need of all this.
    pub(crate) config: Arc<StoreConfig>,
}

impl StoreRecords {
    fn create(
        new: &NewStore,
        (document, policy): (&str, Policy),
        caller: &Actor,
        now: Timestamp,
    ) -> Answer<Self> {
        let (store, warehouse, carrier) = new.begin(now);
        let stored = StoredPolicy {
            store: new.id.clone(),
            version: 1,
            name: policy.name.clone(),
            document: document.to_owned(),
            create_time: now,
            author: author(caller),
        };
        // Nobody can have decided anything in this store before, so its first policy needs no lead.
        let activation = Activation {
            effective_time: now,
            version: 1,
        };
        let policies = vec![(stored, Arc::new(policy))];
        let (carriers, warehouses) = (
            BTreeMap::from([(carrier.id.clone(), carrier)]),
            BTreeMap::from([(warehouse.id.clone(), warehouse)]),
        );
        let activations = vec![activation];
        let config = config(&store, &policies, &activations, &carriers, &warehouses)?;
        Ok(Self {
            store,
            policies,
            activations,
            carriers,
            warehouses,
            config,
        })
    }

    /// Has decisions know what has changed.
    fn refresh(&mut self) -> Answer<()> {
        self.config = config(
            &self.store,
            &self.policies,
            &self.activations,
            &self.carriers,
            &self.warehouses,
        )?;
        Ok(())
    }

    fn policy(&self, version: u32) -> Answer<&StoredPolicy> {
        let index = usize::try_from(version)
            .unwrap_or(usize::MAX)
            .wrapping_sub(1);
        let found = self.policies.get(index);
        let (found, _) = found.ok_or(CallError::PolicyNotFound { version })?;
        Ok(found)
    }

    pub(crate) fn has_warehouse(&self, warehouse: &WarehouseId) -> bool {
        self.warehouses.contains_key(warehouse)
    }
}

fn config(
    store: &Store,
    policies: &[(StoredPolicy, Arc<Policy>)],
    activations: &[Activation],
    carriers: &BTreeMap<CarrierId, Carrier>,
    warehouses: &BTreeMap<WarehouseId, Warehouse>,
) -> Answer<Arc<StoreConfig>> {
    let versions = policies
        .iter()
        .map(|(stored, policy)| (stored.version, policy.clone()));
    let config = store.config(
        versions.collect(),
        activations,
        carriers.values().cloned().collect(),
        warehouses.values().cloned().collect(),
    );
    let config = config.map_err(|error| CallError::Internal(error.to_string()))?;
    Ok(Arc::new(config))
}

/// Decides about one record of a store, and puts it where it goes.
fn put<Id: Ord + Clone, R: Record>(
    records: &mut BTreeMap<Id, R>,
    id: &Id,
    put: Put<R>,
) -> Answer<R> {
    match put.over(records.get(id).cloned()) {
        PutOutcome::Created(record) | PutOutcome::Updated(record) => {
            records.insert(id.clone(), record.clone());
            Ok(record)
        }
        PutOutcome::Unchanged(record) => Ok(record),
        PutOutcome::Stale(present) => Err(CallError::EtagMismatch {
            present: present.map(etag).unwrap_or_default(),
        }),
    }
}

fn validate(document: &str) -> Answer<Policy> {
    policy::parse(document).map_err(|errors| CallError::PolicyInvalid {
        field: "document",
        errors,
    })
}

/// The policy that is to be simulated.
pub(crate) fn draft(records: &StoreRecords, draft: &DraftPolicy) -> Answer<Policy> {
    match draft {
        DraftPolicy::Document(document) => validate(document),
        DraftPolicy::Version(version) => validate(&records.policy(*version)?.document),
    }
}

impl Call<'_> {
    /// A store that the caller sees.
    pub(crate) fn store(&mut self, id: &StoreId) -> Answer<&mut StoreRecords> {
        self.check_store(id)?;
        let records = self.world.stores.get_mut(id);
        records.ok_or_else(|| CallError::StoreNotFound {
            store: id.to_string(),
        })
    }

    fn shown_store(&mut self, id: &StoreId) -> Answer<pb::Store> {
        let now = self.now;
        let records = self.store(id)?;
        Ok(render::store(&records.store, &records.activations, now))
    }
}

pub(crate) fn create_store(
    call: &mut Call<'_>,
    request: pb::CreateStoreRequest,
) -> Answer<pb::CreateStoreResponse> {
    let new = parse::create_store(request, &call.reader())?;
    call.check_store(&new.id)?;
    let document = match &new.policy {
        PolicySource::Preset(name) => {
            presets::find(name).ok_or_else(|| CallError::PresetNotFound {
                preset: name.clone(),
            })?
        }
        PolicySource::Document(document) => document,
    };
    let policy = validate(document)?;
    match call.world.stores.get(&new.id) {
        None => {
            let records =
                StoreRecords::create(&new, (document, policy), &call.caller.actor, call.now)?;
            call.world.stores.insert(new.id.clone(), records);
        }
        Some(present) if present.store.fingerprint == new.fingerprint => {}
        Some(_) => {
            return Err(CallError::StoreAlreadyExists {
                store: new.id.to_string(),
            });
        }
    }
    Ok(pb::CreateStoreResponse {
        store: Some(call.shown_store(&new.id)?),
    })
}

pub(crate) fn get_store(
    call: &mut Call<'_>,
    request: pb::GetStoreRequest,
) -> Answer<pb::GetStoreResponse> {
    let id = parse::get_store(request, &call.reader())?;
    Ok(pb::GetStoreResponse {
        store: Some(call.shown_store(&id)?),
    })
}

pub(crate) fn list_stores(
    call: &mut Call<'_>,
    request: pb::ListStoresRequest,
) -> Answer<pb::ListStoresResponse> {
    let page = parse::list_stores(request, &call.reader())?;
    let after: Option<StoreId> = page.after()?;
    let stores = call.world.stores.iter();
    let behind = stores.filter(|(id, _)| after.as_ref().is_none_or(|after| *id > after));
    let scope = &call.caller.scope;
    let seen = behind.filter(|(id, _)| scope.sees_store(id));
    let found = seen.map(|(_, records)| records).take(page.limit().into());
    let found: Vec<&StoreRecords> = found.collect();
    let show = |records: &&StoreRecords| {
        let store = render::store(&records.store, &records.activations, call.now);
        Some(store)
    };
    let (stores, next_page_token) = page.cut(&found, show, |records| records.store.id.clone());
    Ok(pb::ListStoresResponse {
        stores,
        next_page_token,
    })
}

pub(crate) fn update_store(
    call: &mut Call<'_>,
    request: pb::UpdateStoreRequest,
) -> Answer<pb::UpdateStoreResponse> {
    let (id, changes) = parse::update_store(request, &call.reader())?;
    let now = call.now;
    let records = call.store(&id)?;
    change(records, changes, now)?;
    Ok(pb::UpdateStoreResponse {
        store: Some(call.shown_store(&id)?),
    })
}

fn change(records: &mut StoreRecords, changes: StoreChanges, now: Timestamp) -> Answer<()> {
    let is_known = |default: &NamedDefault| match default {
        NamedDefault::Warehouse(id) => records.warehouses.contains_key(id),
        NamedDefault::Carrier(id) => records.carriers.contains_key(id),
    };
    if let Some(changed) = records.store.change(changes, is_known, now)? {
        records.store = changed;
        records.refresh()?;
    }
    Ok(())
}

pub(crate) fn put_carrier(
    call: &mut Call<'_>,
    request: pb::PutCarrierRequest,
) -> Answer<pb::PutCarrierResponse> {
    let asked = parse::put_carrier(request, &call.reader())?;
    let (store, id) = (asked.record.store.clone(), asked.record.id.clone());
    let records = call.store(&store)?;
    let carrier = put(&mut records.carriers, &id, asked)?;
    records.refresh()?;
    Ok(pb::PutCarrierResponse {
        carrier: Some(render::carrier(&carrier)),
    })
}

pub(crate) fn put_warehouse(
    call: &mut Call<'_>,
    request: pb::PutWarehouseRequest,
) -> Answer<pb::PutWarehouseResponse> {
    let new = parse::put_warehouse(request, &call.reader())?;
    let store = new.store.clone();
    let asked = new.in_store(&call.store(&store)?.store);
    let id = asked.record.id.clone();
    let records = call.store(&store)?;
    let warehouse = put(&mut records.warehouses, &id, asked)?;
    records.refresh()?;
    Ok(pb::PutWarehouseResponse {
        warehouse: Some(render::warehouse(&warehouse)),
    })
}

/// So many records behind an id, by id: those that the filter lets through.
fn page_of<'a, Id: Ord, R>(
    records: &'a BTreeMap<Id, R>,
    seen: &IdFilter<Id>,
    after: Option<&Id>,
    limit: u16,
) -> Vec<&'a R> {
    let behind = records
        .iter()
        .filter(|(id, _)| seen.contains(id) && after.is_none_or(|after| *id > after));
    behind
        .map(|(_, record)| record)
        .take(limit.into())
        .collect()
}

pub(crate) fn list_carriers(
    call: &mut Call<'_>,
    request: pb::ListCarriersRequest,
) -> Answer<pb::ListCarriersResponse> {
    let list = parse::list_carriers(request, &call.reader())?;
    let scope: Scope = call.caller.scope.clone();
    let records = call.store(&list.store)?;
    let after = list.page.after()?;
    let limit = list.page.limit();
    let found = page_of(&records.carriers, &scope.carriers, after.as_ref(), limit);
    let show = |carrier: &&Carrier| Some(render::carrier(carrier));
    let (carriers, next_page_token) = list.page.cut(&found, show, |carrier| carrier.id.clone());
    Ok(pb::ListCarriersResponse {
        carriers,
        next_page_token,
    })
}

pub(crate) fn list_warehouses(
    call: &mut Call<'_>,
    request: pb::ListWarehousesRequest,
) -> Answer<pb::ListWarehousesResponse> {
    let list = parse::list_warehouses(request, &call.reader())?;
    let scope: Scope = call.caller.scope.clone();
    let records = call.store(&list.store)?;
    let after = list.page.after()?;
    let limit = list.page.limit();
    let found = page_of(
        &records.warehouses,
        &scope.warehouses,
        after.as_ref(),
        limit,
    );
    let show = |warehouse: &&Warehouse| Some(render::warehouse(warehouse));
    let key = |warehouse: &&Warehouse| warehouse.id.clone();
    let (warehouses, next_page_token) = list.page.cut(&found, show, key);
    Ok(pb::ListWarehousesResponse {
        warehouses,
        next_page_token,
    })
}

pub(crate) fn list_presets(
    _: &mut Call<'_>,
    _: pb::ListPresetsRequest,
) -> Answer<pb::ListPresetsResponse> {
    let preset = |(name, document): &(&str, &str)| {
        Ok(pb::Preset {
            preset: (*name).to_owned(),
            description: validate(document)?.source,
            document: (*document).to_owned(),
        })
    };
    let presets = presets::ALL.iter().map(preset);
    let mut presets = presets.collect::<Answer<Vec<_>>>()?;
    presets.sort_by(|a, b| a.preset.cmp(&b.preset));
    Ok(pb::ListPresetsResponse { presets })
}

pub(crate) fn create_policy(
    call: &mut Call<'_>,
    request: pb::CreatePolicyRequest,
) -> Answer<pb::CreatePolicyResponse> {
    let asked = parse::create_policy(request, &call.reader())?;
    let (now, author) = (call.now, author(&call.caller.actor));
    let records = call.store(&asked.store)?;
    let policy = validate(&asked.document)?;
    let policy = if asked.validate_only {
        pb::Policy {
            store_id: asked.store.to_string(),
            name: policy.name,
            document: asked.document,
            ..pb::Policy::default()
        }
    } else {
        let newest = records.policies.last();
        if newest.is_none_or(|(newest, _)| newest.document != asked.document) {
            let stored = StoredPolicy {
                store: asked.store.clone(),
                version: newest.map_or(0, |(newest, _)| newest.version) + 1,
                name: policy.name.clone(),
                document: asked.document,
                create_time: now,
                author,
            };
            records.policies.push((stored, Arc::new(policy)));
            records.refresh()?;
        }
        let newest = records.policies.last();
        let (newest, _) = newest.ok_or(CallError::PolicyNotFound { version: 0 })?;
        render::policy(newest, &records.activations, now)
    };
    Ok(pb::CreatePolicyResponse {
        policy: Some(policy),
    })
}

pub(crate) fn get_policy(
    call: &mut Call<'_>,
    request: pb::GetPolicyRequest,
) -> Answer<pb::GetPolicyResponse> {
    let (store, version) = parse::get_policy(request, &call.reader())?;
    let now = call.now;
    let records = call.store(&store)?;
    let active = active(&records.activations, now).map(|active| active.version);
    let found = records.policy(version.or(active).unwrap_or(0))?;
    Ok(pb::GetPolicyResponse {
        policy: Some(render::policy(found, &records.activations, now)),
    })
}

pub(crate) fn list_policies(
    call: &mut Call<'_>,
    request: pb::ListPoliciesRequest,
) -> Answer<pb::ListPoliciesResponse> {
    let list = parse::list_policies(request, &call.reader())?;
    let now = call.now;
    let records = call.store(&list.store)?;
    let before: Option<u32> = list.page.after()?;
    let heads = records.policies.iter().rev().map(|(policy, _)| PolicyHead {
        version: policy.version,
        name: policy.name.clone(),
        create_time: policy.create_time,
        author: policy.author.clone(),
    });
    let behind = heads.filter(|head| before.is_none_or(|before| head.version < before));
    let found: Vec<PolicyHead> = behind.take(list.page.limit().into()).collect();
    let activations = &records.activations;
    let show = |head: &PolicyHead| Some(render::policy_head(&list.store, head, activations, now));
    let (policies, next_page_token) = list.page.cut(&found, show, |head| head.version);
    Ok(pb::ListPoliciesResponse {
        policies,
        next_page_token,
    })
}

pub(crate) fn activate_policy(
    call: &mut Call<'_>,
    request: pb::ActivatePolicyRequest,
) -> Answer<pb::ActivatePolicyResponse> {
    let asked = parse::activate_policy(request, &call.reader())?;
    let now = call.now;
    let records = call.store(&asked.store)?;
    records.policy(asked.version)?;
    let earliest = earliest_activation(now);
    let (version, time) = (asked.version, asked.effective_time);
    if !is_activated(&records.activations, version, time, now, earliest) {
        let effective_time = activation_time(time, earliest)
            .map_err(|violation| CallError::invalid_fields(vec![violation]))?;
        let activations = &mut records.activations;
        // As on a real server: what is to come after `earliest` is replaced, what is nearer stays.
        activations.retain(|present| {
            present.effective_time <= earliest && present.effective_time != effective_time
        });
        activations.push(Activation {
            effective_time,
            version,
        });
        activations.sort_by_key(|activation| activation.effective_time);
        records.refresh()?;
    }
    let found = records.policy(version)?;
    Ok(pb::ActivatePolicyResponse {
        policy: Some(render::policy(found, &records.activations, now)),
    })
}
