//! Every command touches one shard. What a server sends to its database is read from the database's
//! own log, taken apart by a parser of SQL, and held to `deploy/vitess/vschema.json`: a statement
//! names where its rows are, or stands in the table of those that ask all shards.

mod costs;
mod spread;
mod sql;
mod vschema;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use belay_server::retention::{Keep, RetentionSettings};
use belay_tests::instance::Service;
use belay_tests::server::run_at_on_own_mysqld;
use belay_tests::{TestServer, until};
use futures_util::future::join_all;
use jiff::SignedDuration;

use self::spread::{ACROSS, Across, SPREAD};
use self::sql::Taken;
use self::vschema::VSchema;
use crate::differential;

const MONDAY: &str = "2026-03-02T10:00:00Z";
const LOG: &[&str] = &["--general-log=ON", "--log-output=TABLE"];
/// As many as a server of the harness has lanes.
const SHARDS_LOG2: u32 = 1;
/// Orders that are written and read at the same time, so that batches hold several.
const CROWD: usize = 64;
/// Of a statement that is told.
const STATEMENT_CHARS_TOLD: usize = 400;

/// One statement, and who sent it.
struct Sent {
    session: u64,
    text: String,
    taken: Taken,
}

/// What accounts of Belay have sent, in its order for each session.
async fn sent(t: &TestServer, vschema: &VSchema) -> Vec<Sent> {
    let log = "SELECT thread_id, argument FROM mysql.general_log \
        WHERE command_type IN ('Query', 'Execute') AND user_host LIKE 'belay\\_%'";
    let rows: Vec<(u64, Vec<u8>)> = t.database.rows(log, ()).await;
    let mut sent = Vec::new();
    for (session, argument) in rows {
        // One character a byte: what is no text stays what it was.
        let text: String = argument.iter().copied().map(char::from).collect();
        let statements = sql::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut taken: Vec<Taken> = statements
            .iter()
            .map(|statement| sql::take(vschema, statement))
            .collect();
        if taken.is_empty() {
            taken.push(Taken::default());
        }
        sent.extend(taken.into_iter().map(|taken| Sent {
            session,
            text: text.clone(),
            taken,
        }));
    }
    sent
}

fn shards(places: &BTreeSet<u64>) -> BTreeSet<u64> {
    places
        .iter()
        .map(|place| place >> (u64::BITS - SHARDS_LOG2))
        .collect()
}

/// Orders of all shards at once, written and read.
async fn crowd(t: &TestServer) {
    let ids: Vec<String> = (0..CROWD).map(|at| format!("CROWD-{at}")).collect();
    join_all(ids.iter().map(|id| t.place_paid(id))).await;
    let storefront = t.storefront();
    let read = join_all(ids.iter().map(async |id| storefront.get_order(&**id).await)).await;
    assert!(read.into_iter().all(|order| order.is_ok()));
    join_all(ids.iter().map(|id| t.cancel(id))).await;
}

/// Whatever is old leaves the tables that are pruned.
async fn prune(t: &TestServer) {
    t.advance(SignedDuration::from_hours(1)).await;
    let pruning = Service::start(t.database.pruning_url().await, |settings| {
        settings.manual_clock = true;
        let nothing = Keep::For(Duration::ZERO);
        settings.retention = RetentionSettings {
            events: nothing,
            requests: nothing,
            decisions: nothing,
            bulk_results: nothing,
            ..settings.retention
        };
    })
    .await;
    until("all that is old is pruned", async || {
        // Deadlines may have passed by now.
        let left = "WITH old AS (SELECT `now` - INTERVAL 30 MINUTE AS at FROM manual_clock) SELECT \
            (SELECT COUNT(*) FROM requests, old WHERE create_time < at) \
            + (SELECT COUNT(*) FROM decisions, old WHERE decision_time < at) \
            + (SELECT COUNT(*) FROM bulk_cancellations, old WHERE end_time < at) \
            + (SELECT COUNT(*) FROM events, old WHERE event_time < at)";
        let (left,): (u64,) = t.database.row(left, ()).await;
        (left == 0).then_some(())
    })
    .await;
    pruning.stop().await;
}

/// The part of the database that a transaction has been to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Shard(u64),
    /// All shards.
    Shards,
    /// The keyspace that is not sharded.
    Global,
}

/// The statements of one transaction, in their order.
struct Transaction<'a>(Vec<&'a Sent>);

impl Transaction<'_> {
    fn is_write(&self) -> bool {
        self.0.iter().any(|sent| sent.taken.is_write)
    }

    /// The tables that it changes, or rows of which it locks.
    fn written(&self) -> BTreeSet<&str> {
        let writes = self.0.iter().filter(|sent| sent.taken.is_write);
        writes
            .flat_map(|sent| sent.taken.tables.iter().map(String::as_str))
            .collect()
    }

    fn reached(&self, vschema: &VSchema) -> BTreeSet<Reached> {
        let mut reached = BTreeSet::new();
        for Sent { taken, .. } in &self.0 {
            for touched in &taken.touched {
                match &touched.places {
                    None => drop(reached.insert(Reached::Shards)),
                    Some(places) => reached.extend(shards(places).into_iter().map(Reached::Shard)),
                }
            }
            // The clock that tests move is nobody's in service.
            let mut tables = taken.tables.iter().filter(|table| *table != "manual_clock");
            if tables.any(|table| vschema.sharded_by(table).is_none()) {
                reached.insert(Reached::Global);
            }
        }
        reached
    }

    /// How many orders it has locked or created.
    fn orders(&self) -> usize {
        let orders = self.0.iter().filter(|sent| sent.taken.is_write);
        let touched = orders.flat_map(|sent| &sent.taken.touched);
        let places = touched
            .filter(|touched| touched.table == "orders")
            .flat_map(|of| of.places.iter().flatten());
        places.collect::<BTreeSet<_>>().len()
    }
}

fn transactions(sent: &[Sent]) -> Vec<Transaction<'_>> {
    let mut open: BTreeMap<u64, Vec<&Sent>> = BTreeMap::new();
    let mut ended = Vec::new();
    for sent in sent {
        match sql::first_word(&sent.text) {
            "BEGIN" | "START" => drop(open.insert(sent.session, Vec::new())),
            "COMMIT" | "ROLLBACK" => ended.extend(open.remove(&sent.session).map(Transaction)),
            _ => {
                if let Some(open) = open.get_mut(&sent.session) {
                    open.push(sent);
                }
            }
        }
    }
    ended
}

/// Statements that ask all shards and have no row in the table of those, and rows that none has.
fn spread(sent: &[Sent]) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    for Sent { text, taken, .. } in sent {
        for touched in taken
            .touched
            .iter()
            .filter(|touched| touched.places.is_none())
        {
            let (table, by) = (&touched.table, &touched.by);
            match SPREAD.iter().position(|spread| spread.is_of(table, by)) {
                Some(at) => drop(needed.insert(at)),
                None => {
                    let text: String = text.chars().take(STATEMENT_CHARS_TOLD).collect();
                    wrong.insert(format!("{} {table} by {by:?}: {text}", taken.verb));
                }
            }
        }
    }
    let idle = (0..SPREAD.len()).filter(|at| !needed.contains(at));
    wrong
        .extend(idle.map(|at| format!("{} by {:?} is not asked", SPREAD[at].table, SPREAD[at].by)));
    wrong
}

/// Transactions that write, reach more than one place, and have no row in the table of those; and
/// rows that none has.
fn across(transactions: &[Transaction<'_>], vschema: &VSchema) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    for transaction in transactions.iter().filter(|of| of.is_write()) {
        let (reached, written) = (transaction.reached(vschema), transaction.written());
        if reached.len() <= 1 && !reached.contains(&Reached::Shards) {
            continue;
        }
        let is_of = |across: &Across| written.iter().all(|table| across.tables.contains(table));
        match ACROSS.iter().position(is_of) {
            Some(at) => drop(needed.insert(at)),
            None => drop(wrong.insert(format!("{written:?} reaches {reached:?}"))),
        }
    }
    let idle = (0..ACROSS.len()).filter(|at| !needed.contains(at));
    wrong.extend(
        idle.map(|at| format!("{} with {:?} is not met", ACROSS[at].who, ACROSS[at].tables)),
    );
    wrong
}

#[test]
fn every_command_touches_one_shard() {
    run_at_on_own_mysqld(LOG, MONDAY, async |t| {
        differential::every_rpc(t).await;
        crowd(t).await;
        prune(t).await;
        let vschema = VSchema::read();
        let sent = sent(t, &vschema).await;
        let transactions = transactions(&sent);

        // All tables were written, by batches too, in all shards: what follows is about something.
        let written: BTreeSet<&str> = transactions.iter().flat_map(Transaction::written).collect();
        let sharded = vschema.keyspaces["belay"].tables.keys().map(String::as_str);
        let untouched: Vec<&str> = sharded.filter(|table| !written.contains(table)).collect();
        assert_eq!(untouched, ["erasures"], "which `belay erase` writes");
        let orders = transactions.iter().filter(|of| of.orders() > 1);
        let reached: BTreeSet<Reached> = orders.flat_map(|of| of.reached(&vschema)).collect();
        let all: Vec<Reached> = (0..1 << SHARDS_LOG2).map(Reached::Shard).collect();
        assert_eq!(reached.into_iter().collect::<Vec<_>>(), all, "batches");

        let wrong: Vec<String> = spread(&sent)
            .into_iter()
            .chain(across(&transactions, &vschema))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
