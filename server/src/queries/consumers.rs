//! Queries of the consumers of the feed, each with where the partitions end.

use belay_domain::actor::Role;
use belay_domain::feed::{Consumer, ConsumerKey, PartitionEnds};
use belay_domain::ids::StoreId;
use belay_domain::scope::Caller;

use crate::App;
use crate::db::consumers::{self, ConsumerQuery};
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, feed};

/// The place of a consumer in its list.
pub(crate) use crate::db::consumers::place;

pub(crate) async fn get(
    app: &App,
    key: &ConsumerKey,
) -> Result<(Option<Consumer>, Vec<PartitionEnds>), DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let found = consumers::get(&mut conn, key).await?;
        Ok((found, feed::ends(&mut conn).await?))
    }
    .await;
    conn.end(read).await
}

/// A page of the caller's own; operators and auditors see everybody's.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    store: Option<StoreId>,
    after: Option<consumers::ConsumerPlace>,
    limit: u16,
) -> Result<(Vec<Consumer>, Vec<PartitionEnds>), DbError> {
    let sees_all = matches!(caller.actor.role, Role::Operator | Role::Auditor);
    let query = ConsumerQuery {
        store,
        stores: caller.scope.stores.clone(),
        owner: (!sees_all).then(|| caller.actor.clone()),
    };
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let found = consumers::list(&mut conn, &query, after, limit).await?;
        Ok((found, feed::ends(&mut conn).await?))
    }
    .await;
    conn.end(read).await
}
