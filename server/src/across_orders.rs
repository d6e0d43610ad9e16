//! Use cases that reach across the orders of a store: pages, counts, and claims of refunds. What
//! is read for one of them is read from one moment.
//!
//! How a request looks, and how its answer, is for others to know.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use belay_domain::commands::{Command, LeaseRefunds, Work};
use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::order::{Order, OrderState};
use belay_domain::query::{Counted, OrdersSummary, Place};
use belay_domain::scope::{Caller, Scope};
use belay_wire::parse::cancellations::Actions;
use belay_wire::parse::refunds::Claim;
use belay_wire::parse::{CommandRequest, Envelope};
use belay_wire::status::CallError;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{self, Conn, DbError, ListQuery, aggregate, refunds, summaries};

/// The entries found for a page, with the orders that hold them.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) places: Vec<Place>,
    pub(crate) orders: HashMap<OrderKey, Order>,
    pub(crate) now: Timestamp,
}

pub(crate) async fn page(
    app: &App,
    filter: &impl ListQuery,
    after: Option<Place>,
    limit: u16,
) -> Result<Found, CallError> {
    let mut conn = Snapshot::begin(&app.pool).await?;
    let read = async {
        let places = db::list(&mut conn, filter, after, limit).await?;
        let mut keys: Vec<OrderKey> = places.iter().map(|place| place.order_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let now = app.clock.now(&mut conn).await?;
        let orders = orders_of(&mut conn, &keys).await?;
        Ok(Found {
            places,
            orders,
            now,
        })
    }
    .await;
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
    app: &App,
    summary: &OrdersSummary,
) -> Result<Vec<(OrderState, Counted)>, CallError> {
    let mut conn = Snapshot::begin(&app.pool).await?;
    let read = summaries::orders(&mut conn, summary).await;
    Ok(conn.end(read).await?)
}

/// The work that waits for a party, counted.
#[derive(Debug)]
pub(crate) struct ActionsCount {
    pub(crate) auto_approved: Counted,
    pub(crate) requested: Counted,
    pub(crate) nearest_deadline: Option<Timestamp>,
}

pub(crate) async fn count_actions(app: &App, actions: &Actions) -> Result<ActionsCount, CallError> {
    let mut conn = Snapshot::begin(&app.pool).await?;
    let read = async {
        let awaiting = summaries::awaiting(&actions.summary, actions.party);
        let (requested, nearest_deadline) = awaiting.load(&mut conn).await?;
        let auto_approved = if actions.counts_auto_approved() {
            let since = actions.since(app.clock.now(&mut conn).await?);
            let approved = summaries::auto_approved(&actions.summary, since);
            approved.load(&mut conn).await?.0
        } else {
            Counted::default()
        };
        Ok(ActionsCount {
            auto_approved,
            requested,
            nearest_deadline,
        })
    }
    .await;
    Ok(conn.end(read).await?)
}

/// Finds what may be claimed, then asks each order for it: another worker may be faster, so fewer
/// may come back. Returns the answer of each order that gave any.
pub(crate) async fn claim_refunds(
    app: &App,
    store: Arc<StoreConfig>,
    caller: &Caller,
    deadline: Instant,
    claim: &Claim,
) -> Result<Vec<Vec<u8>>, CallError> {
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
    let mut conn = Snapshot::begin(&app.pool).await?;
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
