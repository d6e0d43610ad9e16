//! Carriers and warehouses: each is a record of a store that is put whole.

use belay_domain::scope::Scope;
use belay_domain::store::{Carrier, Put, PutOutcome, Record, Warehouse};
use belay_wire::status::CallError;
use belay_wire::values::etag;

use super::{refresh, write_failure};
use crate::App;
use crate::db::StoreRecord;

/// A kind of record that not every caller sees.
pub(crate) trait Seen: Record {
    fn is_seen(&self, scope: &Scope) -> bool;
}

impl Seen for Carrier {
    fn is_seen(&self, scope: &Scope) -> bool {
        scope.carriers.contains(&self.id)
    }
}

impl Seen for Warehouse {
    fn is_seen(&self, scope: &Scope) -> bool {
        scope.warehouses.contains(&self.id)
    }
}

/// Creates or replaces a record of a store that is there. It is changed by those who see it.
pub(crate) async fn put<R: Seen + StoreRecord>(
    app: &App,
    scope: &Scope,
    put: Put<R>,
) -> Result<R, CallError> {
    if !put.record.is_seen(scope) {
        return Err(CallError::OutOfScope);
    }
    let mut conn = app.pool.checkout().await?;
    let write = async {
        let present = R::get(&mut conn, put.record.store(), put.record.id()).await?;
        let outcome = put.over(present);
        match &outcome {
            PutOutcome::Created(record) => record.insert(&mut conn).await?,
            PutOutcome::Updated(record) => record.update(&mut conn, record.version() - 1).await?,
            PutOutcome::Unchanged(_) | PutOutcome::Stale(_) => {}
        }
        Ok(outcome)
    }
    .await;
    match conn.finish_with(write).map_err(write_failure)? {
        PutOutcome::Created(record)
        | PutOutcome::Updated(record)
        | PutOutcome::Unchanged(record) => {
            refresh(app, record.store()).await;
            Ok(record)
        }
        PutOutcome::Stale(present) => Err(CallError::EtagMismatch {
            present: present.map(etag).unwrap_or_default(),
        }),
    }
}
