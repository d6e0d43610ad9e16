//! One batch inside its transaction: load, let its commands be decided, write what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use belay_domain::chain::{ChainKey, Mark};
use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderKey, Partitions, StoreId};
use belay_domain::records::RequestKey;
use belay_wire::batch::{Batch, OrderChange, Reply, Submitted};
use diesel_async::AsyncMysqlConnection;

use super::heads::KnownHeads;
use super::queued::{self, EngineError, QueuedCommand};
use crate::db::DbError;
use crate::db::address::PerMessage;
use crate::db::aggregate;
use crate::db::clock::Clock;
use crate::db::decisions;
use crate::db::events::{self, Appended, StoredEvents};
use crate::db::orders::{self, OnLocked};
use crate::db::partition_heads::Head;
use crate::db::requests;
use crate::db::writes::Writes;

/// The moment at which requests that were decided before are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskRequests {
    /// Before anything is decided: some of them were, or may have been.
    First,
    /// Only for commands that write no answer of their own. All others are taken for new: their
    /// rows are unique, so where one was decided before, the statement is refused with kind
    /// `Duplicate` and the batch is repeated with `First`. That is rare, and asking costs each
    /// batch a round trip.
    WhereNeeded,
}

pub(super) type Outcome = Result<Reply, EngineError>;

/// The context that all decisions of a batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchContext<'a> {
    /// Of every store that has a command in the batch.
    pub(super) configs: &'a HashMap<StoreId, Arc<StoreConfig>>,
    pub(super) partitions: Partitions,
    pub(super) clock: Clock,
    pub(super) chain_key: ChainKey,
    pub(super) ask_requests: AskRequests,
    pub(super) heads: &'a KnownHeads,
    /// Of the connection.
    pub(super) per_message: PerMessage,
}

/// The result of a transaction.
pub(super) struct Done {
    /// In the order of the commands.
    pub(super) outcomes: Vec<Outcome>,
    /// The rows of the feed.
    pub(super) events: Vec<StoredEvents>,
    /// The heads of their partitions behind them.
    pub(super) heads: BTreeMap<u16, Head>,
    /// The heads had been known, and not asked for.
    pub(super) were_expected: bool,
    /// Nothing was left to do: each command was answered as it was before, or changes nothing.
    pub(super) was_done_before: bool,
}

/// Decides these commands in their order and writes all that came of them.
pub(super) async fn decide_and_write(
    connection: &mut AsyncMysqlConnection,
    commands: &[QueuedCommand],
    on_locked: OnLocked,
    context: BatchContext<'_>,
) -> Result<Done, DbError> {
    let locked = orders::lock(connection, &queued::sorted_keys(commands), on_locked).await?;
    // Read after the locks: a decision is never before what it waited for.
    let locked_at = locked.iter().map(|order| order.locked_at).max();
    let now = match (context.clock, locked_at) {
        (Clock::Database, Some(now)) => now,
        (clock, _) => clock.now(connection).await?,
    };
    let submitted: Vec<Submitted<'_>> = commands
        .iter()
        .map(|command| submitted(command, context.configs))
        .collect();
    // Orders that are not there have no requests: a batch of creations asks nothing.
    let present: HashSet<OrderKey> = locked.iter().map(|order| order.order_key).collect();
    let requests = submitted.iter().filter_map(Submitted::request_key);
    let requests: Vec<RequestKey> = requests
        .filter(|request| present.contains(&request.order_key))
        .collect();
    let known = match context.ask_requests {
        AskRequests::First => requests::find(connection, &requests).await?,
        AskRequests::WhereNeeded => HashMap::new(),
    };
    let loaded = aggregate::load_children(connection, locked).await?;

    let mut batch = Batch::new(loaded, known, now, context.partitions);
    let mut outcomes = decide_all(&mut batch, commands, &submitted);
    if context.ask_requests == AskRequests::WhereNeeded
        && requests.iter().any(|request| !batch.has_answer(request))
    {
        let known = requests::find(connection, &requests).await?;
        if !known.is_empty() {
            batch = batch.afresh(known);
            outcomes = decide_all(&mut batch, commands, &submitted);
        }
    }
    let Appended {
        positions,
        marks,
        heads,
        were_expected,
    } = write(connection, &batch, context).await?;
    let was_done_before = batch.new_requests.is_empty()
        && batch.new_decisions.is_empty()
        && batch.new_events.is_empty();
    Ok(Done {
        outcomes,
        events: stored(batch, positions.into_iter().zip(marks)),
        heads,
        were_expected,
        was_done_before,
    })
}

/// A command with the latest reference data of its store.
fn submitted<'a>(
    command: &'a QueuedCommand,
    configs: &'a HashMap<StoreId, Arc<StoreConfig>>,
) -> Submitted<'a> {
    let submission = &command.submission;
    let store = &submission.store;
    Submitted {
        key: command.key,
        store: configs.get(&store.id).unwrap_or(store),
        caller: &submission.caller,
        request_id: submission.request_id,
        expected_version: submission.expected_version,
        work: &submission.work,
        fingerprint: command.fingerprint,
    }
}

fn decide_all(
    batch: &mut Batch,
    commands: &[QueuedCommand],
    submitted: &[Submitted<'_>],
) -> Vec<Outcome> {
    let submitted = commands.iter().zip(submitted);
    submitted
        .map(|(command, submitted)| decide(batch, command, submitted))
        .collect()
}

fn decide(batch: &mut Batch, command: &QueuedCommand, submitted: &Submitted<'_>) -> Outcome {
    // A panic in here is this command's alone, and has left no trace in the batch.
    match catch_unwind(AssertUnwindSafe(|| batch.decide(submitted))) {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => {
            tracing::error!(%error, "an answer cannot be repeated");
            Err(EngineError::Internal)
        }
        Err(_) => {
            let submission = &command.submission;
            command.call.in_scope(|| {
                tracing::error!(
                    store.id = %submission.store.id,
                    order.id = %submission.order,
                    request.id = %submission.request_id,
                    "a decision panicked"
                );
            });
            Err(EngineError::Internal)
        }
    }
}

/// Writes what changed, many rows a statement, and all statements in one message where the heads of
/// the partitions are known, else in two. The heads are locked last, for they are what batches of
/// other servers wait for.
async fn write(
    connection: &mut AsyncMysqlConnection,
    batch: &Batch,
    context: BatchContext<'_>,
) -> Result<Appended, DbError> {
    let (mut created, mut changed) = (Vec::new(), Vec::new());
    for (key, OrderChange { before, after }) in batch.orders() {
        match before {
            None => created.push((after, key.partition(context.partitions))),
            Some(before) if before != after => changed.push((before, after)),
            Some(_) => {}
        }
    }
    created.sort_by_key(|(order, _)| order.key());
    changed.sort_by_key(|(_, order)| order.key());
    let mut writes = Writes::default();
    aggregate::insert(&mut writes, &created)?;
    aggregate::update(&mut writes, &changed)?;
    decisions::insert(&mut writes, &batch.new_decisions)?;
    requests::insert(&mut writes, &batch.new_requests)?;
    let new_events = batch.new_events.as_slice();
    if new_events.is_empty() {
        writes.send(connection, context.per_message).await?;
        return Ok(Appended::default());
    }
    let partitions: BTreeSet<u16> = new_events.iter().map(|events| events.partition).collect();
    let heads = context.heads.take(&partitions);
    let (key, per_message) = (&context.chain_key, context.per_message);
    events::append(connection, per_message, writes, new_events, heads, key).await
}

/// The events as they stand in the feed, each row at its position.
fn stored(
    batch: Batch,
    places: impl Iterator<Item = (u64, (Option<Mark>, Mark))>,
) -> Vec<StoredEvents> {
    let rows = batch.new_events.into_iter().zip(places);
    rows.map(|(events, (last_position, (before, mark)))| StoredEvents {
        partition: events.partition,
        last_position,
        count: events.count,
        payload: events.payload,
        mark: Some(mark),
        before,
    })
    .collect()
}
