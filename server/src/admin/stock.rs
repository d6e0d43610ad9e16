//! Counts of stock, as people tell them. Each is written to every generation of the projection at
//! once, so that a read finds it and a rebuild does not lose it.

use std::collections::BTreeSet;

use belay_domain::actor::Actor;
use belay_domain::projection::Projection;
use belay_domain::stock::{EntryPlace, Stock, Telling};
use belay_wire::parse::inventory::TellingRequest;
use belay_wire::status::CallError;
use jiff::{SignedDuration, Timestamp};

use super::write_failure;
use crate::db::error::ErrorKind;
use crate::db::snapshot::Snapshot;
use crate::db::transaction::Transaction;
use crate::db::writes::Writes;
use crate::db::{DbError, projections as generations, stock_balances, stock_tellings};
use crate::{App, ids, projections};

/// Writes what is told, unless it was told before; gives the stock as it is then.
pub(crate) async fn tell(
    app: &App,
    actor: Actor,
    asked: TellingRequest,
) -> Result<Stock, CallError> {
    let mut telling = Telling {
        key: asked.key,
        request_id: asked.request_id.unwrap_or_else(ids::request_id),
        kind: asked.kind,
        quantity: asked.quantity,
        actor,
        time: Timestamp::UNIX_EPOCH,
    };
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let written = write(app, &mut conn, &mut telling).await;
    match conn.end(written).await {
        Ok(()) => {}
        // This request has been here before, or one of the same id is faster.
        Err(error) if error.kind() == ErrorKind::Duplicate => {
            let (store, request_id) = (&telling.key.store, telling.request_id);
            let mut conn = app.pools.reads.checkout().await?;
            let present = stock_tellings::get(&mut conn, store, request_id).await;
            let present = conn.finish_with(present)?;
            if present.is_some_and(|present| !present.repeats(&telling)) {
                return Err(CallError::RequestIdReused { request_id });
            }
        }
        Err(error) => return Err(write_failure(error)),
    }
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let serving = generations::get(&mut conn, Projection::Stock)
            .await?
            .serving;
        stock_balances::get(&mut conn, serving, &telling.key).await
    }
    .await;
    let stock = conn.end(read).await?;
    Ok(stock.unwrap_or_else(|| Stock::unknown(telling.key)))
}

async fn write(app: &App, conn: &mut Transaction, telling: &mut Telling) -> Result<(), DbError> {
    let generations = generations::share(conn, Projection::Stock).await?;
    let keys = BTreeSet::from([telling.key.clone()]);
    let present = stock_balances::lock(conn, generations.serving, &keys).await?;
    // Read with the lock, so that tellings of a SKU are in the order of their times.
    let now = app.clock.now(conn).await?;
    let last = present
        .get(&telling.key)
        .map(|stock| stock.told_place)
        .filter(|place| *place != EntryPlace::FIRST);
    telling.time = last.map_or(now, |last| {
        now.max(last.time() + SignedDuration::from_micros(1))
    });
    stock_tellings::insert(conn, telling).await?;
    let mut writes = Writes::default();
    for generation in generations.iter() {
        projections::post(conn, &mut writes, generation, vec![telling.entry()]).await?;
    }
    let per_message = conn.per_message();
    writes.send(conn, per_message).await
}
