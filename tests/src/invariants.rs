//! The invariants of every order in the database, whatever a test did: M1 to M5, S1
//! to S3 and F1 of the domain, that goods which left are accounted for, that history tells how
//! everything stands, that its chains are whole, and that documents say what tables say.
//!
//! They are found out again here, from the rows alone and without the domain's code, so that a
//! mistake in it cannot hide itself.

mod departures;
mod goods;
mod queries;
mod units;

use belay_domain::ids::OrderKey;
use belay_proto::v1 as pb;
use belay_server::db::{aggregate, pool, settings};
use belay_server::identity_keys::IdentityKeys;
use belay_server::verify::{Anchor, verify};
use prost::Message;

use crate::database::Database;
use crate::feed::WITH_ALL_EVENTS;
use crate::history;

pub(crate) use goods::ranges;
pub(crate) use units::RANGES;

/// Everything in this database that breaks an invariant, as `M1: what` with the id of what breaks
/// it.
pub async fn violations(database: &Database) -> Vec<String> {
    let mut found = Vec::new();
    for (invariant, query) in queries::QUERIES {
        let query = format!("{WITH_ALL_EVENTS} {query}");
        let rows: Vec<(String,)> = database.rows(&query, ()).await;
        found.extend(rows.into_iter().map(|(row,)| format!("{invariant}: {row}")));
    }
    units::units_and_their_money(database, &mut found).await;
    goods::goods(database, &mut found).await;
    let rows: Vec<(Vec<u8>,)> = database
        .rows(
            &format!(
                "{WITH_ALL_EVENTS} SELECT payload FROM all_events ORDER BY shard_partition, position"
            ),
            (),
        )
        .await;
    let events: Vec<pb::Event> = rows
        .iter()
        .flat_map(|(payload,)| unpacked(payload))
        .collect();
    found.extend(history::contradictions(database, &events).await);
    departures::dispatched_and_cancelled(database, events, &mut found).await;
    found.extend(documents(database).await);
    found.extend(chains(database).await);
    found
}

/// The document of an order says what its tables say.
async fn documents(database: &Database) -> Vec<String> {
    let keys: Vec<(Vec<u8>,)> = database.rows("SELECT order_key FROM orders", ()).await;
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let mut found = Vec::new();
    // One by one: an order that cannot be read must not hide the others.
    for (key,) in keys {
        let key = OrderKey(key.try_into().expect("a key of 16 bytes"));
        match aggregate::contradicted(&mut conn, &[key]).await {
            Ok(contradicted) if contradicted.is_empty() => {}
            Ok(_) => found.push(format!(
                "D1: {key:?}: its document is not what its tables say"
            )),
            Err(error) => found.push(format!("D1: {error}")),
        }
    }
    found
}

/// Whatever happened, the chains of the feed are whole.
async fn chains(database: &Database) -> Vec<String> {
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let stored = settings::read(&mut conn).await.expect("its settings");
    let Some(key) = stored.identity.key else {
        // Its test follows them by the key that it keeps outside.
        return Vec::new();
    };
    let keys = IdentityKeys::of_database(key).chain_keys();
    let report = verify(&mut conn, &keys, &Anchor::default()).await;
    let report = report.expect("the chains can be followed");
    let broken = report.broken.iter();
    let broken = broken.map(|(partition, broken)| format!("C1: partition {partition}: {broken}"));
    broken.collect()
}

/// The events of one row: the messages one after the other, each with its length before it.
fn unpacked(mut payload: &[u8]) -> Vec<pb::Event> {
    let mut events = Vec::new();
    while !payload.is_empty() {
        events.push(
            pb::Event::decode_length_delimited(&mut payload).expect("a row holds proto Events"),
        );
    }
    events
}
