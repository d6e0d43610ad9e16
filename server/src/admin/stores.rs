//! Stores: one begins with several records, in one transaction; later its settings are written one
//! row at a time.

use std::collections::HashMap;

use belay_domain::actor::Actor;
use belay_domain::ids::StoreId;
use belay_domain::scope::IdFilter;
use belay_domain::store::{
    Activation, Carrier, NamedDefault, NewPolicy, NewStore, PolicySource, Store, StoreChanges,
    Warehouse, author,
};
use belay_domain::{policy, presets};
use belay_wire::status::CallError;
use jiff::Timestamp;

use super::{refresh, write_failure};
use crate::App;
use crate::db::error::{DbError, ErrorKind};
use crate::db::snapshot::Snapshot;
use crate::db::transaction::Transaction;
use crate::db::{Conn, StoreRecord as _, policies, stores};

/// A store with its activations, earliest first, at some moment.
#[derive(Debug)]
pub(crate) struct StoreView {
    pub(crate) store: Store,
    pub(crate) activations: Vec<Activation>,
    pub(crate) now: Timestamp,
}

pub(crate) async fn get(app: &App, id: &StoreId) -> Result<StoreView, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        let activations = policies::activations(&mut conn, id).await?;
        Ok((stores::get(&mut conn, id).await?, activations, now))
    }
    .await;
    let (store, activations, now) = conn.end(read).await?;
    let store = store.ok_or_else(|| CallError::StoreNotFound {
        store: id.to_string(),
    })?;
    Ok(StoreView {
        store,
        activations,
        now,
    })
}

/// So many of these stores after this one, by id, with the activations of each.
pub(crate) async fn list(
    app: &App,
    seen: &IdFilter<StoreId>,
    after: Option<StoreId>,
    limit: u16,
) -> Result<Vec<StoreView>, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        let stores = stores::list(&mut conn, seen, after.as_ref(), limit).await?;
        let ids: Vec<&StoreId> = stores.iter().map(|store| &store.id).collect();
        let mut activations: HashMap<_, _> = policies::activations_of(&mut conn, &ids).await?;
        let view = |store: Store| StoreView {
            activations: activations.remove(&store.id).unwrap_or_default(),
            store,
            now,
        };
        Ok(stores.into_iter().map(view).collect())
    }
    .await;
    Ok(conn.end(read).await?)
}

/// Creates a store. To create it again as it was asked for is harmless.
pub(crate) async fn create(
    app: &App,
    caller: &Actor,
    new: NewStore,
) -> Result<StoreView, CallError> {
    let document = match &new.policy {
        PolicySource::Preset(name) => {
            presets::find(name).ok_or_else(|| CallError::PresetNotFound {
                preset: name.clone(),
            })?
        }
        PolicySource::Document(document) => document,
    };
    let policy = policy::parse(document).map_err(|errors| CallError::PolicyInvalid {
        field: "document",
        errors,
    })?;

    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let write = async {
        let now = app.clock.now(&mut conn).await?;
        let first = NewPolicy {
            store: new.id.clone(),
            name: policy.name.clone(),
            document: document.to_owned(),
            create_time: now,
            author: author(caller),
        };
        insert(&mut conn, &new, first).await
    }
    .await;
    let view = match conn.end(write).await {
        Ok(created) => created,
        // Another caller was faster, or this one has been here before.
        Err(error) if error.kind() == ErrorKind::Duplicate => {
            let present = get(app, &new.id).await?;
            if present.store.fingerprint != new.fingerprint {
                return Err(CallError::StoreAlreadyExists {
                    store: new.id.to_string(),
                });
            }
            present
        }
        Err(error) => return Err(write_failure(error)),
    };
    refresh(app, &new.id).await;
    Ok(view)
}

/// All rows of a new store; `Duplicate` where there is one of this id.
async fn insert(conn: &mut Conn, new: &NewStore, first: NewPolicy) -> Result<StoreView, DbError> {
    let now = first.create_time;
    let (store, warehouse, carrier) = new.begin(now);
    stores::insert(conn, &store).await?;
    warehouse.insert(conn).await?;
    carrier.insert(conn).await?;
    let version = policies::create(conn, first).await?.version;
    // Nobody can have decided anything in this store before, so its first policy needs no lead.
    let activation = Activation {
        effective_time: now,
        version,
    };
    policies::activate(conn, &new.id, activation, now).await?;
    Ok(StoreView {
        store,
        activations: vec![activation],
        now,
    })
}

/// Changes the settings of a store.
pub(crate) async fn update(
    app: &App,
    id: &StoreId,
    changes: StoreChanges,
) -> Result<StoreView, CallError> {
    let present = get(app, id).await?;
    let StoreView {
        store,
        activations,
        now,
    } = present;
    let known = known_defaults(app, id, store.new_defaults(&changes)).await?;
    let Some(stored) = store.change(changes, |default| known.contains(default), now)? else {
        return Ok(StoreView {
            store,
            activations,
            now,
        });
    };
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let write = async { stores::update(&mut conn, &stored, store.version).await }.await;
    conn.end(write).await.map_err(write_failure)?;
    refresh(app, id).await;
    Ok(StoreView {
        store: stored,
        activations,
        now,
    })
}

/// Those of these defaults that the store has.
async fn known_defaults(
    app: &App,
    id: &StoreId,
    mut named: Vec<NamedDefault>,
) -> Result<Vec<NamedDefault>, CallError> {
    if named.is_empty() {
        return Ok(named);
    }
    let mut conn = app.pools.reads.checkout().await?;
    let read = async {
        let mut known = Vec::new();
        for default in named.drain(..) {
            let is_there = match &default {
                NamedDefault::Warehouse(warehouse) => {
                    Warehouse::get(&mut conn, id, warehouse).await?.is_some()
                }
                NamedDefault::Carrier(carrier) => {
                    Carrier::get(&mut conn, id, carrier).await?.is_some()
                }
            };
            known.extend(is_there.then_some(default));
        }
        Ok(known)
    }
    .await;
    Ok(conn.finish_with(read)?)
}
