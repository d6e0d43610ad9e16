//! Queries of an order's history.

use belay_domain::ids::OrderKey;
use belay_domain::scope::Caller;
use belay_proto::v1 as pb;
use belay_wire::events::{self as wire_events, Selector};
use belay_wire::status::CallError;

use crate::App;
use crate::db::events;
use crate::db::snapshot::Snapshot;

/// So many events of an order behind a position, or all that there are: those that the caller sees,
/// as it sees them. None where there is no such order, for every order begins with an event.
pub(crate) async fn events(
    app: &App,
    caller: &Caller,
    key: OrderKey,
    after: Option<u64>,
    limit: u16,
) -> Result<Option<Vec<pb::Event>>, CallError> {
    let selector = Selector::of_caller(&pb::EventFilter::default(), caller);
    let partition = key.partition(app.partitions);
    let mut behind = after.unwrap_or(0);
    let mut seen_events = Vec::new();
    loop {
        let mut conn = Snapshot::begin(&app.pools.reads).await?;
        let read = events::history(&mut conn, key, (partition, behind), limit).await;
        let rows = conn.end(read).await?;
        if rows.is_empty() && behind == 0 {
            return Ok(None);
        }
        for row in &rows {
            let read = wire_events::read(&row.payload, row.partition, row.last_position, row.count);
            let read = read.map_err(|error| {
                CallError::Internal(format!("stored events cannot be read: {error}"))
            })?;
            // A page may begin, or end, in the middle of a row.
            let new = read
                .iter()
                .filter(|event| event.position.unsigned_abs() > behind);
            // Who sees an order sees what came of it, and who sees parcels what came of those.
            let seen = new.filter(|event| selector.shows_whole() || selector.selects(event));
            seen_events.extend(seen.map(|event| selector.shown(event).into_owned()));
            behind = row.last_position;
        }
        if rows.len() < usize::from(limit) || seen_events.len() >= usize::from(limit) {
            return Ok(Some(seen_events));
        }
    }
}
