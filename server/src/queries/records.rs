//! Queries of a store's carriers and warehouses.

use belay_domain::ids::StoreId;
use belay_domain::scope::IdFilter;

use crate::App;
use crate::db::DbError;
use crate::db::snapshot::Snapshot;

pub(crate) use crate::db::StoreRecord;

/// So many of a store's records behind one, those that are seen.
pub(crate) async fn list<R: StoreRecord>(
    app: &App,
    of: (&StoreId, &IdFilter<R::Id>),
    after: Option<&R::Id>,
    limit: u16,
) -> Result<Vec<R>, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = R::list(&mut conn, of, after, limit).await;
    conn.end(read).await
}
