//! Reads: what belongs together is read from one moment.

use std::collections::HashMap;
use std::sync::Arc;

use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::query::Place;
use belay_domain::rejection::Rejection;
use jiff::Timestamp;

use super::call::Call;
use super::status::Failure;
use crate::App;
use crate::db::error::DbError;
use crate::db::pool::Checkout;
use crate::db::{Conn, aggregate, clock, transaction};
use crate::wire::refusals::About;

/// A connection on which all statements see the same moment. If it is dropped before its end, the
/// connection is closed.
#[derive(Debug)]
pub(super) struct Snapshot {
    conn: Checkout,
}

impl Snapshot {
    pub(super) async fn begin(app: &App) -> Result<Self, DbError> {
        let mut conn = app.pool.checkout().await?;
        transaction::begin_snapshot(&mut conn).await?;
        Ok(Self { conn })
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Gives the connection back. Every future on it has ended.
    pub(super) async fn end<T>(mut self, read: Result<T, DbError>) -> Result<T, Failure> {
        if read.is_ok() {
            // Nothing was written; this only ends the transaction.
            transaction::commit(&mut self.conn).await?;
        } else {
            let _ = transaction::rollback(&mut self.conn).await;
        }
        Ok(self.conn.finish_with(read)?)
    }
}

/// The time by which decisions are made: the database's, or the row that tests move.
pub(super) async fn now(app: &App, conn: &mut Conn) -> Result<Timestamp, DbError> {
    if app.manual_clock {
        clock::manual(conn).await
    } else {
        clock::now(conn).await
    }
}

/// One order and the moment of the read, which is never before the order's last change. It is read
/// together with those that others ask for. One that the caller does not see is not there.
pub(super) async fn order(
    app: &App,
    call: &Call,
    store: &StoreId,
    id: &OrderId,
) -> Result<(Arc<Order>, Timestamp), Failure> {
    match app.reads.order(OrderKey::of(store, id)).await? {
        (Some(order), now) if call.caller.scope.sees_order(&order) => {
            let now = now.max(order.update_time);
            Ok((order, now))
        }
        (Some(_) | None, _) => Err(rejected(Rejection::OrderNotFound, id)),
    }
}

/// A refusal that the order itself, or its absence, gives to a read.
pub(super) fn rejected(rejection: Rejection, order: &OrderId) -> Failure {
    let about = About {
        order: order.clone(),
        child: None,
        request_id: None,
    };
    Failure::rejected(rejection, about)
}

/// A page of places in a list, with the orders that they are on.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) places: Vec<Place>,
    pub(super) orders: HashMap<OrderKey, Order>,
    pub(super) now: Timestamp,
}

/// Ends the read of a page: reads the orders of its places, from the same moment.
pub(super) async fn page(
    app: &App,
    mut snapshot: Snapshot,
    places: Result<Vec<Place>, DbError>,
) -> Result<Page, Failure> {
    let read = async {
        let places = places?;
        let mut keys: Vec<OrderKey> = places.iter().map(|place| place.order_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let now = now(app, snapshot.conn()).await?;
        let orders = match keys.is_empty() {
            true => HashMap::new(),
            false => aggregate::read(snapshot.conn(), &keys).await?,
        };
        Ok(Page {
            places,
            orders,
            now,
        })
    }
    .await;
    snapshot.end(read).await
}
