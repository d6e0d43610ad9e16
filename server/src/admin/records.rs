//! Carriers and warehouses: each is a record of a store that is put whole.

use belay_domain::store::{Put, PutOutcome};
use belay_wire::status::CallError;
use belay_wire::values::etag;

use super::{refresh, write_failure};
use crate::App;
use crate::db::StoreRecord;
use crate::db::transaction::Transaction;

/// Creates or replaces a record of a store that is there.
pub(crate) async fn put<R: StoreRecord>(app: &App, put: Put<R>) -> Result<R, CallError> {
    let mut conn = Transaction::begin(&app.pools.reads).await?;
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
    match conn.end(write).await.map_err(write_failure)? {
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
