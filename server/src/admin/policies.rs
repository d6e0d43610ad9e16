//! Policy versions and from when each decides.

use belay_domain::actor::Actor;
use belay_domain::ids::StoreId;
use belay_domain::policy::{self, Policy};
use belay_domain::store::{
    Activation, NewPolicy, PolicyHead, StoredPolicy, activation_time, active, author,
    earliest_activation, has_second_person, is_activated, is_in_time,
};
use belay_wire::parse::simulation::DraftPolicy;
use belay_wire::parse::stores::ActivationRequest;
use belay_wire::status::CallError;
use jiff::Timestamp;

use super::{refresh, write_failure};
use crate::App;
use crate::db::policies;
use crate::db::snapshot::Snapshot;
use crate::db::transaction::Transaction;

/// Something of a store's policies, with the store's activations, earliest first, at some moment.
#[derive(Debug)]
pub(crate) struct PolicyView<T> {
    pub(crate) found: T,
    pub(crate) activations: Vec<Activation>,
    pub(crate) now: Timestamp,
}

/// One version; the active one where none is named.
pub(crate) async fn get(
    app: &App,
    store: &StoreId,
    version: Option<u32>,
) -> Result<PolicyView<StoredPolicy>, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        let activations = policies::activations(&mut conn, store).await?;
        let found = match version.or(active(&activations, now).map(|active| active.version)) {
            Some(version) => policies::get(&mut conn, store, version).await?,
            None => None,
        };
        Ok((found, activations, now))
    }
    .await;
    let (found, activations, now) = conn.end(read).await?;
    let found = found.ok_or(CallError::PolicyNotFound {
        version: version.unwrap_or(0),
    })?;
    Ok(PolicyView {
        found,
        activations,
        now,
    })
}

/// So many versions before this one, the newest first.
pub(crate) async fn list(
    app: &App,
    store: &StoreId,
    before: Option<u32>,
    limit: u16,
) -> Result<PolicyView<Vec<PolicyHead>>, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        Ok(PolicyView {
            now: app.clock.now(&mut conn).await?,
            activations: policies::activations(&mut conn, store).await?,
            found: policies::list(&mut conn, store, before, limit).await?,
        })
    }
    .await;
    Ok(conn.end(read).await?)
}

/// The policy that a document describes.
pub(crate) fn validate(document: &str) -> Result<Policy, CallError> {
    policy::parse(document).map_err(|errors| CallError::PolicyInvalid {
        field: "document",
        errors,
    })
}

/// The policy that is to be simulated.
pub(crate) async fn draft(
    app: &App,
    store: &StoreId,
    draft: &DraftPolicy,
) -> Result<Policy, CallError> {
    match draft {
        DraftPolicy::Document(document) => validate(document),
        DraftPolicy::Version(version) => {
            let stored = get(app, store, Some(*version)).await?.found;
            policy::parse(&stored.document).map_err(|_| {
                CallError::Internal(format!("policy version {version} of {store} has errors"))
            })
        }
    }
}

/// Makes a version of a document; none where the newest one has it already.
pub(crate) async fn create(
    app: &App,
    store: &StoreId,
    caller: &Actor,
    (name, document): (String, String),
) -> Result<PolicyView<StoredPolicy>, CallError> {
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let write = async {
        let new = NewPolicy {
            store: store.clone(),
            name,
            document,
            create_time: app.clock.now(&mut conn).await?,
            author: author(caller),
        };
        policies::create(&mut conn, new).await
    }
    .await;
    let created = conn.end(write).await.map_err(write_failure)?;
    let view = get(app, store, Some(created.version)).await?;
    refresh(app, store).await;
    Ok(view)
}

/// How often an activation is begun anew whose write has waited for too long.
const ATTEMPTS_MAX: u32 = 3;

/// Lets a version decide from the instant that is asked for, or as soon as every server can know of
/// it.
pub(crate) async fn activate(
    app: &App,
    caller: &Actor,
    request: ActivationRequest,
) -> Result<PolicyView<StoredPolicy>, CallError> {
    for _ in 0..ATTEMPTS_MAX {
        match try_activate(app, caller, &request).await? {
            Attempt::Done(view) => return Ok(view),
            Attempt::TooLate => {}
        }
    }
    Err(CallError::Contention)
}

/// An activation that was tried.
enum Attempt {
    Done(PolicyView<StoredPolicy>),
    /// It waited for so long that some server might not know of it in time; nothing is written.
    TooLate,
}

async fn try_activate(
    app: &App,
    caller: &Actor,
    request: &ActivationRequest,
) -> Result<Attempt, CallError> {
    let ActivationRequest {
        store,
        version,
        effective_time: asked_time,
    } = request;
    let (version, asked_time) = (*version, *asked_time);
    let present = get(app, store, Some(version)).await?;
    let (activations, now) = (&present.activations, present.now);
    let earliest = earliest_activation(now);
    if is_activated(activations, version, asked_time, now, earliest) {
        return Ok(Attempt::Done(present));
    }
    let author = present.found.author.as_deref();
    if app.two_person_activation && !has_second_person(author, version, caller, activations) {
        return Err(CallError::SecondPersonNeeded { version });
    }
    let activation = Activation {
        effective_time: activated_from(asked_time, earliest)?,
        version,
    };
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let write = async {
        // What is to come after `earliest` is replaced; what is nearer stays, because some server
        // may already count on it.
        policies::activate(&mut conn, store, activation, earliest).await?;
        let activations = policies::activations(&mut conn, store).await?;
        // It may have waited for a connection and for locks.
        Ok((activations, app.clock.now(&mut conn).await?))
    }
    .await;
    if let Ok((_, now)) = &write
        && !is_in_time(activation, *now)
    {
        conn.give_up().await?;
        activated_from(asked_time, earliest_activation(*now))?;
        return Ok(Attempt::TooLate);
    }
    let (activations, _) = conn.end(write).await.map_err(write_failure)?;
    refresh(app, store).await;
    Ok(Attempt::Done(PolicyView {
        activations,
        ..present
    }))
}

fn activated_from(
    asked_time: Option<Timestamp>,
    earliest: Timestamp,
) -> Result<Timestamp, CallError> {
    activation_time(asked_time, earliest)
        .map_err(|violation| CallError::invalid_fields(vec![violation]))
}
