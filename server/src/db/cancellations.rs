//! Cancellations. Read with their order; written by `aggregate` alone. The list may run anywhere.

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{Cancellation, CancellationState, Fault, Outcome, Part};
use belay_domain::ids::{OrderKey, SellerId, StoreId};
use belay_domain::order::Order;
use belay_domain::policy::{Effect, NextAction};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::columns::{At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::cancellations;
use super::statement::{self, page_newest_first, rows_of_orders, upsert_rows};
use super::{Conn, Place};

/// `state`, `outcome` and `close_reason` are what the parts say; they are written for the lists and not read back.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = cancellations, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct CancellationRow {
    pub(super) order_key: Bytes<16>,
    pub(super) number: u32,
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    state: Name<CancellationState>,
    outcome: Option<Name<Outcome>>,
    close_reason: Option<String>,
    reason: String,
    fault: Name<Fault>,
    note: Option<String>,
    evidence: Json<Vec<String>>,
    counted: bool,
    effects: Json<Vec<Effect>>,
    requester_role: Name<Role>,
    requester_id: String,
    submitted_by_role: Name<Role>,
    submitted_by_id: String,
    policy_version: u32,
    create_time: At,
    close_time: Option<At>,
    next_actions: Json<Vec<NextAction>>,
}

impl statement::Row for CancellationRow {
    fn bytes(&self) -> usize {
        let evidence: usize = self.evidence.0.iter().map(|entry| entry.len() * 2 + 4).sum();
        1_024 + self.note.as_ref().map_or(0, String::len) + evidence
    }
}

impl CancellationRow {
    pub(super) fn of(key: OrderKey, order: &Order, cancellation: &Cancellation) -> Self {
        Self {
            order_key: key.into(),
            number: cancellation.number,
            store_id: Name(order.store.clone()),
            seller_id: Name(order.seller.clone()),
            state: Name(cancellation.state()),
            outcome: cancellation.outcome().map(Name),
            close_reason: cancellation.close_reason().map(str::to_owned),
            reason: cancellation.reason.clone(),
            fault: Name(cancellation.fault),
            note: cancellation.note.clone(),
            evidence: Json(cancellation.evidence.clone()),
            counted: cancellation.counted,
            effects: Json(cancellation.effects.clone()),
            requester_role: Name(cancellation.requester.role),
            requester_id: cancellation.requester.id.clone(),
            submitted_by_role: Name(cancellation.submitted_by.role),
            submitted_by_id: cancellation.submitted_by.id.clone(),
            policy_version: cancellation.policy_version,
            create_time: At(cancellation.create_time),
            close_time: cancellation.close_time.map(At),
            next_actions: Json(cancellation.next_actions.clone()),
        }
    }

    pub(super) fn into_cancellation(self, parts: Vec<Part>) -> Cancellation {
        Cancellation {
            number: self.number,
            reason: self.reason,
            fault: self.fault.0,
            note: self.note,
            evidence: self.evidence.0,
            counted: self.counted,
            effects: self.effects.0,
            next_actions: self.next_actions.0,
            requester: Actor { role: self.requester_role.0, id: self.requester_id },
            submitted_by: Actor { role: self.submitted_by_role.0, id: self.submitted_by_id },
            policy_version: self.policy_version,
            parts,
            create_time: self.create_time.0,
            close_time: self.close_time.map(|time| time.0),
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<CancellationRow>, DbError> {
    Ok(rows_of_orders!(conn, cancellations, CancellationRow, keys))
}

pub(super) async fn write(conn: &mut Conn, rows: &[CancellationRow]) -> Result<(), DbError> {
    upsert_rows!(
        conn,
        cancellations,
        rows,
        [
            state,
            outcome,
            close_reason,
            reason,
            fault,
            note,
            evidence,
            counted,
            effects,
            requester_role,
            requester_id,
            submitted_by_role,
            submitted_by_id,
            policy_version,
            close_time,
            next_actions
        ]
    );
    Ok(())
}

/// Which cancellations to list. All given fields must match.
#[derive(Debug, Clone)]
pub struct CancellationFilter {
    pub store: StoreId,
    pub order: Option<OrderKey>,
    pub seller: Option<SellerId>,
    pub state: Option<CancellationState>,
}

/// One page of cancellations, newest first, after the last one of the page before. Seller and state filter within the store's
/// cancellations by time.
pub async fn list(
    conn: &mut Conn,
    filter: &CancellationFilter,
    after: Option<Place>,
    limit: u16,
) -> Result<Vec<Place>, DbError> {
    let mut query = cancellations::table.filter(cancellations::store_id.eq(filter.store.as_str())).into_boxed();
    if let Some(order) = filter.order {
        query = query.filter(cancellations::order_key.eq(Bytes::from(order)));
    }
    if let Some(seller) = &filter.seller {
        query = query.filter(cancellations::seller_id.eq(seller.as_str()));
    }
    if let Some(state) = filter.state {
        query = query.filter(cancellations::state.eq(state.name()));
    }
    Ok(page_newest_first!(conn, cancellations, query, after, limit))
}
