//! The projection of what counts in the quality of sellers. Each fact is written once; whoever has
//! a new one is looked at again (`workers/evaluate_sellers.rs`).

use std::collections::BTreeSet;

use belay_domain::quality::SellerFact;
use belay_wire::events::seller_facts as facts_of;

use super::{DELETED_MAX, ProjectionError};
use crate::db::{Conn, DbError, seller_facts, seller_standings};
use crate::feed::FeedRow;

/// What these rows of the feed do.
pub(super) async fn apply(
    conn: &mut Conn,
    generation: u32,
    rows: &[FeedRow],
) -> Result<(), ProjectionError> {
    let mut facts: Vec<SellerFact> = Vec::new();
    for row in rows {
        let read = facts_of(&row.events).map_err(|error| {
            let (partition, last) = (row.partition, row.last);
            ProjectionError::Events(format!("partition {partition}, position {last}: {error}"))
        })?;
        facts.extend(read);
    }
    seller_facts::insert(conn, generation, &facts).await?;
    let sellers: BTreeSet<_> = facts
        .into_iter()
        .map(|fact| (fact.store, fact.seller))
        .collect();
    seller_standings::wake(conn, &sellers).await?;
    Ok(())
}

/// Deletes some of what lies before this generation. Says whether there was something.
pub(super) async fn forget(conn: &mut Conn, generation: u32) -> Result<bool, DbError> {
    let deleted = seller_facts::delete_before(conn, generation, DELETED_MAX).await?;
    Ok(deleted > 0)
}
