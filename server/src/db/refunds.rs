//! Refunds. Read with their order; written by `aggregate` alone. The lists may run anywhere.

use std::iter;

use belay_domain::ids::{ExternalId, OrderKey, SellerId, StoreId, WorkerId};
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::query::{ListPosition, RefundFilter};
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::scope::Scope;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Name};
use super::error::DbError;
use super::pages::{Filter, ListQuery, Listed, PageQuery};
use super::schema::refunds;
use super::scope::in_scope;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = refunds, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct RefundRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    number: u32,
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    payment_number: u32,
    cancellation_number: Option<u32>,
    kind: Name<RefundKind>,
    state: Name<RefundState>,
    goods: i64,
    tax: i64,
    shipping: i64,
    excess: i64,
    due_by: At,
    worker_id: Option<Name<WorkerId>>,
    lease_until: Option<At>,
    provider_refund_id: Option<Name<ExternalId>>,
    failure_code: Option<String>,
    create_time: At,
    update_time: At,
    settle_time: Option<At>,
    overdue_at: At,
    overdue: bool,
    retry_of: Option<u32>,
    settled_amount: Option<i64>,
}

impl statement::Row for RefundRow {
    fn bytes(&self) -> usize {
        1_024
    }
}

impl RefundRow {
    pub(super) fn of(key: OrderKey, order: &Order, refund: &Refund) -> Self {
        Self {
            order_key: key.into(),
            number: refund.number,
            store_id: Name(order.store.clone()),
            seller_id: Name(order.seller.clone()),
            payment_number: refund.payment,
            cancellation_number: refund.cancellation,
            kind: Name(refund.kind),
            state: Name(refund.state),
            goods: refund.amounts.goods,
            tax: refund.amounts.tax,
            shipping: refund.amounts.shipping,
            excess: refund.amounts.excess,
            due_by: At(refund.due_by),
            worker_id: refund.worker.clone().map(Name),
            lease_until: refund.lease_until.map(At),
            provider_refund_id: refund.provider_refund_id.clone().map(Name),
            failure_code: refund.failure_code.clone(),
            create_time: At(refund.create_time),
            update_time: At(refund.update_time),
            settle_time: refund.settle_time.map(At),
            overdue_at: At(refund.overdue_at),
            overdue: refund.overdue,
            retry_of: refund.retry_of,
            settled_amount: refund.settled_amount,
        }
    }

    pub(super) fn into_refund(self) -> Refund {
        let amounts = Amounts {
            goods: self.goods,
            tax: self.tax,
            shipping: self.shipping,
            excess: self.excess,
        };
        // A row of the time before its amount was kept paid what was asked.
        let as_asked = (self.state.0 == RefundState::Settled).then(|| amounts.total());
        Refund {
            number: self.number,
            payment: self.payment_number,
            cancellation: self.cancellation_number,
            kind: self.kind.0,
            state: self.state.0,
            amounts,
            settled_amount: self.settled_amount.or(as_asked),
            due_by: self.due_by.0,
            worker: self.worker_id.map(|worker| worker.0),
            lease_until: self.lease_until.map(|time| time.0),
            provider_refund_id: self.provider_refund_id.map(|id| id.0),
            failure_code: self.failure_code,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            settle_time: self.settle_time.map(|time| time.0),
            overdue_at: self.overdue_at.0,
            overdue: self.overdue,
            retry_of: self.retry_of,
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<RefundRow>, DbError> {
    Ok(rows_of_orders!(conn, refunds, RefundRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<RefundRow>) -> Result<(), DbError> {
    change_rows!(writes, refunds, rows, [order_key, number] => [
        payment_number,
        cancellation_number,
        kind,
        state,
        goods,
        tax,
        shipping,
        excess,
        due_by,
        worker_id,
        lease_until,
        provider_refund_id,
        failure_code,
        update_time,
        settle_time,
        overdue_at,
        overdue,
        retry_of,
        settled_amount
    ]);
    Ok(())
}

impl ListQuery for RefundFilter {
    /// The order, or the seller, or neither leads to the page, with the state.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let columns = [
            Filter::given("seller_id", &self.seller),
            self.state.map(|state| Filter::eq("state", state.name())),
        ];
        let store = Filter::eq("store_id", self.store.as_str());
        let filters = iter::once(store)
            .chain(columns.into_iter().flatten())
            .collect();
        let page = match self.order {
            Some(order) => PageQuery::of_order("refunds", order, filters),
            None => PageQuery::by_index(Listed::Children("refunds"), index(self), filters),
        };
        page.within(&self.scope).after(after, limit)
    }
}

fn index(filter: &RefundFilter) -> &'static str {
    match (&filter.seller, filter.state) {
        (Some(_), None) => "refunds_by_seller",
        (Some(_), Some(_)) => "refunds_by_seller_state",
        (None, Some(_)) => "refunds_by_state",
        (None, None) => "refunds_by_time",
    }
}

/// A refund that a payment worker may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimableRefund {
    pub due_by: Timestamp,
    pub order_key: OrderKey,
    pub number: u32,
}

/// The store's refunds in this scope that [`Refund::is_claimable`] at `now`, the most urgent first.
/// A plain read, because claiming by UPDATE deadlocks with whoever writes the orders: the claim
/// itself is a command to each order.
pub async fn claimable(
    conn: &mut Conn,
    store: &StoreId,
    scope: &Scope,
    now: Timestamp,
    limit: u16,
) -> Result<Vec<ClaimableRefund>, DbError> {
    let mut found: Vec<ClaimableRefund> = Vec::new();
    // One statement for each state: together they would have to sort all that is due.
    for state in [RefundState::Due, RefundState::Unknown] {
        let query = refunds::table
            .filter(refunds::store_id.eq(store.as_str()))
            .filter(refunds::state.eq(state.name()));
        let mut query = query.filter(in_scope("refunds", scope)).into_boxed();
        if state == RefundState::Unknown {
            query = query.filter(
                refunds::lease_until
                    .is_null()
                    .or(refunds::lease_until.le(At(now))),
            );
        }
        let rows: Vec<(At, Bytes<16>, u32)> = query
            .order((refunds::due_by, refunds::order_key, refunds::number))
            .limit(limit.into())
            .select((refunds::due_by, refunds::order_key, refunds::number))
            .load(conn)
            .await?;
        found.extend(
            rows.into_iter()
                .map(|(due_by, key, number)| ClaimableRefund {
                    due_by: due_by.0,
                    order_key: key.into(),
                    number,
                }),
        );
    }
    found.sort_unstable_by_key(|refund| (refund.due_by, refund.order_key, refund.number));
    found.truncate(limit.into());
    Ok(found)
}
