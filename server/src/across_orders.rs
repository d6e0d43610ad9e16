//! Use cases that reach across the orders of a store: pages, counts, and claims of refunds. What
//! is read for one of them is read from one moment.
//!
//! How a request looks, and how its answer, is for others to know.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use belay_domain::commands::{Command, LeaseRefunds, Work};
use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::order::{Line, Order, OrderState};
use belay_domain::query::{
    Counted, DecisionFilter, DecisionPlace, ListPosition, OrderSearch, OrdersSummary, SearchedBy,
};
use belay_domain::scope::{Caller, Scope};
use belay_wire::batch::Answered;
use belay_wire::pages::{PageCut, PageRequest};
use belay_wire::parse::cancellations::Actions;
use belay_wire::parse::refunds::Claim;
use belay_wire::parse::{CommandRequest, Envelope};
use belay_wire::status::CallError;
use futures_util::future::join_all;
use jiff::Timestamp;
use prost::Message;
use tokio::time::Instant;

use crate::App;
use crate::db::clock::Clock;
pub(crate) use crate::db::decisions::StoredDecision;
use crate::db::snapshot::Snapshot;
use crate::db::{
    self, Conn, DbError, ListQuery, aggregate, decision_pages, order_lines, orders, refunds,
    summaries,
};
use crate::secondaries::reading::Reading;

/// Records of orders that are loaded and rendered without a pause; one order may have more. Between
/// two slices the thread serves others.
const SLICE_RECORDS_MAX: usize = 500;

/// A page of what orders hold, and the token for what follows. `render` is told the moment of the
/// read as well. What the page has no room for is not loaded: it is known beforehand how many
/// records an order has, and what a slice comes to shows before the next one is read.
pub(crate) async fn page<Entry: Message>(
    reading: &mut Reading<'_>,
    filter: &impl ListQuery,
    page: &PageRequest,
    render: impl Fn(&Order, u32, Timestamp) -> Option<Entry>,
) -> Result<(Vec<Entry>, String), CallError> {
    let after = page.after_place()?;
    loop {
        let mut conn = reading.begin().await?;
        let read = page_of(&mut conn, reading.clock(), (filter, after), page, &render);
        let read = reading.drive(read).await;
        if let Some(read) = reading.end(conn, read).await? {
            return Ok(read);
        }
    }
}

/// The same of a search, and whether more ids begin so than it looks at.
pub(crate) async fn found<Entry: Message>(
    reading: &mut Reading<'_>,
    search: &OrderSearch,
    page: &PageRequest,
    render: impl Fn(&Order, u32, Timestamp) -> Option<Entry>,
) -> Result<((Vec<Entry>, String), bool), CallError> {
    let after = page.after_place()?;
    loop {
        let mut conn = reading.begin().await?;
        let clock = reading.clock();
        let read = async {
            let found = page_of(&mut conn, clock, (search, after), page, &render).await?;
            Ok((found, leaves_ids_out(&mut conn, search).await?))
        };
        let read = reading.drive(read).await;
        if let Some(read) = reading.end(conn, read).await? {
            return Ok(read);
        }
    }
}

async fn leaves_ids_out(conn: &mut Conn, search: &OrderSearch) -> Result<bool, DbError> {
    match &search.by {
        SearchedBy::IdPrefix(prefix) => orders::has_more_ids(conn, &search.store, prefix).await,
        SearchedBy::Email(_) | SearchedBy::TrackingNumber(_) => Ok(false),
    }
}

async fn page_of<Entry: Message>(
    conn: &mut Conn,
    clock: Clock,
    (filter, after): (&impl ListQuery, Option<ListPosition>),
    page: &PageRequest,
    render: impl Fn(&Order, u32, Timestamp) -> Option<Entry>,
) -> Result<(Vec<Entry>, String), DbError> {
    let found = db::list(conn, filter, after, page.limit()).await?;
    let now = clock.now(conn).await?;
    let records = records_of(conn, &found).await?;
    let records_of = |key: &OrderKey| records.get(key).copied().unwrap_or_default();
    let (mut cut, mut orders) = (PageCut::default(), HashMap::new());
    for slice in slices(page.take_positions(&found, records_of), records_of) {
        let mut missing: Vec<OrderKey> = slice.iter().map(|position| position.order_key).collect();
        missing.retain(|key| !orders.contains_key(key));
        missing.sort_unstable();
        missing.dedup();
        orders.extend(orders_of(conn, &missing).await?);
        let fits = slice.iter().all(|position| {
            let order = orders.get(&position.order_key);
            cut.add(order.and_then(|order| render(order, position.number, now)))
        });
        if !fits {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(page.end_cut(cut, &found))
}

async fn records_of(
    conn: &mut Conn,
    found: &[ListPosition],
) -> Result<HashMap<OrderKey, usize>, DbError> {
    let mut keys: Vec<OrderKey> = found.iter().map(|position| position.order_key).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    orders::records(conn, &keys).await
}

/// The places in slices, each with at most [`SLICE_RECORDS_MAX`] records or of one order. An order
/// counts for its first place in a slice.
fn slices(
    positions: &[ListPosition],
    records_of: impl Fn(&OrderKey) -> usize,
) -> Vec<&[ListPosition]> {
    let (mut slices, mut rest) = (Vec::new(), positions);
    while !rest.is_empty() {
        let (mut known, mut records) = (HashSet::new(), 0);
        let over = rest.iter().position(|position| {
            if known.insert(position.order_key) {
                records += records_of(&position.order_key);
            }
            records > SLICE_RECORDS_MAX && known.len() > 1
        });
        let (slice, behind) = rest.split_at(over.unwrap_or(rest.len()));
        slices.push(slice);
        rest = behind;
    }
    slices
}

/// The decisions found for a page, with what was bought with their orders.
#[derive(Debug)]
pub(crate) struct Decisions {
    pub(crate) decisions: Vec<StoredDecision>,
    pub(crate) lines: HashMap<OrderKey, Vec<Line>>,
    /// Where the search ended that has not come to the end.
    pub(crate) left_off: Option<DecisionPlace>,
}

pub(crate) async fn decisions(
    reading: &mut Reading<'_>,
    filter: &DecisionFilter,
    after: Option<DecisionPlace>,
    limit: u16,
) -> Result<Decisions, CallError> {
    loop {
        let mut conn = reading.begin().await?;
        let read = decisions_of(&mut conn, filter, after.as_ref(), limit);
        let read = reading.drive(read).await;
        if let Some(read) = reading.end(conn, read).await? {
            return Ok(read);
        }
    }
}

async fn decisions_of(
    conn: &mut Conn,
    filter: &DecisionFilter,
    after: Option<&DecisionPlace>,
    limit: u16,
) -> Result<Decisions, DbError> {
    let found = decision_pages::find(conn, filter, after, limit).await?;
    let keys = found.found.iter().map(|decision| decision.key.order_key);
    let mut keys: Vec<OrderKey> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(Decisions {
        lines: order_lines::of_orders(conn, &keys).await?,
        decisions: found.found,
        left_off: found.left_off,
    })
}

/// Requests about an order that were rejected, from the oldest on.
pub(crate) async fn rejected(
    app: &App,
    key: OrderKey,
    order: &OrderId,
    after: Option<&DecisionPlace>,
    limit: u16,
) -> Result<Vec<StoredDecision>, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = db::decisions::rejected_of(&mut conn, key, order, after, limit).await;
    Ok(conn.end(read).await?)
}

async fn orders_of(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<HashMap<OrderKey, Order>, DbError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    aggregate::read(conn, keys).await
}

/// How many orders are in each state.
pub(crate) async fn count_orders(
    reading: &mut Reading<'_>,
    summary: &OrdersSummary,
) -> Result<Vec<(OrderState, Counted)>, CallError> {
    loop {
        let mut conn = reading.begin().await?;
        let read = summaries::orders(&mut conn, summary);
        let read = reading.drive(read).await;
        if let Some(read) = reading.end(conn, read).await? {
            return Ok(read);
        }
    }
}

/// The work that waits for a party, counted.
#[derive(Debug)]
pub(crate) struct ActionsCount {
    pub(crate) auto_approved: Counted,
    pub(crate) requested: Counted,
    pub(crate) nearest_deadline: Option<Timestamp>,
}

pub(crate) async fn count_actions(
    reading: &mut Reading<'_>,
    actions: &Actions,
) -> Result<ActionsCount, CallError> {
    loop {
        let mut conn = reading.begin().await?;
        let read = actions_of(&mut conn, reading.clock(), actions);
        let read = reading.drive(read).await;
        if let Some(read) = reading.end(conn, read).await? {
            return Ok(read);
        }
    }
}

async fn actions_of(
    conn: &mut Conn,
    clock: Clock,
    actions: &Actions,
) -> Result<ActionsCount, DbError> {
    let awaiting = summaries::awaiting(&actions.summary, actions.party);
    let (requested, nearest_deadline) = awaiting.load(conn).await?;
    let auto_approved = if actions.counts_auto_approved() {
        let since = actions.since(clock.now(conn).await?);
        let approved = summaries::auto_approved(&actions.summary, since);
        approved.load(conn).await?.0
    } else {
        Counted::default()
    };
    Ok(ActionsCount {
        auto_approved,
        requested,
        nearest_deadline,
    })
}

/// Finds what may be claimed, then asks each order for it: another worker may be faster, so fewer
/// may come back. Returns the answer of each order that gave any.
pub(crate) async fn claim_refunds(
    app: &App,
    store: Arc<StoreConfig>,
    caller: &Caller,
    deadline: Instant,
    claim: &Claim,
) -> Result<Vec<Answered>, CallError> {
    let claimable = claimable(app, &caller.scope, claim).await?;
    let leases = claimable.into_iter().map(|(order, refunds)| {
        let lease = LeaseRefunds {
            refunds,
            worker: claim.worker.clone(),
            lease: claim.lease,
        };
        let command = CommandRequest {
            store: claim.store.clone(),
            envelope: Envelope {
                order,
                request_id: None,
                expected_version: None,
                child: None,
            },
            work: Work::Decide(Command::LeaseRefunds(lease)),
        };
        app.decide(store.clone(), caller, deadline, command)
    });
    let mut answers = Vec::new();
    let mut failure = None;
    for leased in join_all(leases).await {
        match leased {
            Ok(answer) => answers.push(answer),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // What was leased must reach its worker, whatever became of the rest.
    match failure {
        Some(failure) if answers.is_empty() => Err(failure),
        Some(_) | None => Ok(answers),
    }
}

/// What may be claimed now, by order.
async fn claimable(
    app: &App,
    scope: &Scope,
    claim: &Claim,
) -> Result<Vec<(OrderId, Vec<u32>)>, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        let store = &claim.store;
        let found = refunds::claimable(&mut conn, store, scope, now, claim.count_max).await?;
        let mut by_order: BTreeMap<OrderKey, Vec<u32>> = BTreeMap::new();
        for refund in found {
            let numbers = by_order.entry(refund.order_key).or_default();
            numbers.push(refund.number);
        }
        let keys: Vec<OrderKey> = by_order.keys().copied().collect();
        let orders = orders_of(&mut conn, &keys).await?;
        let named = |(key, numbers)| orders.get(&key).map(|order| (order.id.clone(), numbers));
        Ok(by_order.into_iter().filter_map(named).collect())
    }
    .await;
    Ok(conn.end(read).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_few_records_or_one_order_and_together_all_places() {
        let position = |order: u8| ListPosition {
            create_time: Timestamp::UNIX_EPOCH,
            order_key: OrderKey([order; 16]),
            number: 0,
        };
        let positions: Vec<ListPosition> = [1, 1, 2, 3, 4, 4].map(position).into();
        let records_of = |key: &OrderKey| match key.0[0] {
            3 => SLICE_RECORDS_MAX + 1,
            _ => SLICE_RECORDS_MAX / 2,
        };
        let slices = slices(&positions, records_of);
        let lengths: Vec<usize> = slices.iter().map(|slice| slice.len()).collect();
        assert_eq!(lengths, [3, 1, 2]);
        assert_eq!(slices.concat(), positions);
    }
}
