//! The orders of bulk cancellations and what came of them. What writes runs in a transaction that
//! holds the lock of the job's row; what reads runs anywhere.

use std::collections::HashMap;

use belay_domain::bulk::{BulkOutcome, JobKey, JobOrder, OrderResult};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::rejection::Rejection;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{Bytes, Json, Name};
use super::error::DbError;
use super::schema::bulk_orders;
use super::statement::{self, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = bulk_orders, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct OrderRow {
    job_key: Bytes<16>,
    order_key: Bytes<16>,
    order_id: Name<OrderId>,
    outcome: Name<BulkOutcome>,
    cancellation: Option<u32>,
    currency: Option<String>,
    refund: Option<i64>,
    rejection: Option<Json<Rejection>>,
    reason: Option<Name<ErrorReason>>,
}

impl statement::Row for OrderRow {
    fn bytes(&self) -> usize {
        let rejection = self.rejection.as_ref();
        256 + rejection.map_or(0, |Json(rejection)| format!("{rejection:?}").len())
    }
}

impl OrderRow {
    fn new(job: JobKey, found: &JobOrder) -> Self {
        let mut row = Self {
            job_key: job.into(),
            order_key: found.order_key.into(),
            order_id: Name(found.order.clone()),
            outcome: Name(
                found
                    .result
                    .as_ref()
                    .map_or(BulkOutcome::Waiting, OrderResult::outcome),
            ),
            cancellation: None,
            currency: None,
            refund: None,
            rejection: None,
            reason: None,
        };
        match &found.result {
            None => {}
            Some(OrderResult::Accepted {
                cancellation,
                refund,
                ..
            }) => {
                row.cancellation = Some(*cancellation);
                (row.currency, row.refund) = refund.clone().unzip();
            }
            Some(OrderResult::Rejected(rejection)) => {
                row.rejection = Some(Json(rejection.clone()));
            }
            Some(OrderResult::Failed(reason)) => row.reason = Some(Name(*reason)),
        }
        row
    }
}

impl TryFrom<OrderRow> for JobOrder {
    type Error = DbError;

    fn try_from(row: OrderRow) -> Result<Self, DbError> {
        let order = &row.order_id.0;
        let missing = |what| DbError::Corrupt(format!("the result of {order} has no {what}"));
        let accepted = |is_pending| -> Result<OrderResult, DbError> {
            Ok(OrderResult::Accepted {
                is_pending,
                cancellation: row.cancellation.ok_or_else(|| missing("cancellation"))?,
                refund: row.currency.clone().zip(row.refund),
            })
        };
        let result = match row.outcome.0 {
            BulkOutcome::Waiting => None,
            BulkOutcome::Completed => Some(accepted(false)?),
            BulkOutcome::Pending => Some(accepted(true)?),
            BulkOutcome::Rejected => {
                let rejection = row.rejection.ok_or_else(|| missing("rejection"))?;
                Some(OrderResult::Rejected(rejection.0))
            }
            BulkOutcome::Failed => {
                let reason = row.reason.ok_or_else(|| missing("reason"))?;
                Some(OrderResult::Failed(reason.0))
            }
        };
        Ok(Self {
            order_key: row.order_key.into(),
            order: row.order_id.0,
            result,
        })
    }
}

/// Adds orders that wait; those that the job has stay as they are. Says how many are new.
pub async fn add(
    conn: &mut Conn,
    job: JobKey,
    orders: impl IntoIterator<Item = (OrderKey, OrderId)>,
) -> Result<u32, DbError> {
    let waiting = orders.into_iter().map(|(order_key, order)| {
        let waiting = JobOrder {
            order_key,
            order,
            result: None,
        };
        OrderRow::new(job, &waiting)
    });
    let rows: Vec<OrderRow> = waiting.collect();
    let mut added = 0;
    for rows in statement::chunks(&rows) {
        added += diesel::insert_or_ignore_into(bulk_orders::table)
            .values(rows)
            .execute(conn)
            .await?;
    }
    Ok(u32::try_from(added).unwrap_or(u32::MAX))
}

/// Writes results of orders that wait; those that have one keep it. Gives those that were written.
pub async fn record(
    conn: &mut Conn,
    job: JobKey,
    results: Vec<JobOrder>,
) -> Result<Vec<JobOrder>, DbError> {
    let keys = results.iter().map(|found| Bytes::from(found.order_key));
    let waiting: Vec<Bytes<16>> = bulk_orders::table
        .filter(bulk_orders::job_key.eq(Bytes::from(job)))
        .filter(bulk_orders::order_key.eq_any(keys))
        .filter(bulk_orders::outcome.eq(Name(BulkOutcome::Waiting)))
        .select(bulk_orders::order_key)
        .load(conn)
        .await?;
    let mut results: HashMap<OrderKey, JobOrder> = results
        .into_iter()
        .map(|found| (found.order_key, found))
        .collect();
    let written: Vec<JobOrder> = waiting
        .into_iter()
        .filter_map(|key| results.remove(&OrderKey::from(key)))
        .collect();
    let rows: Vec<OrderRow> = written
        .iter()
        .map(|found| OrderRow::new(job, found))
        .collect();
    upsert_rows!(
        conn,
        bulk_orders,
        rows.as_slice(),
        [outcome, cancellation, currency, refund, rejection, reason]
    );
    Ok(written)
}

/// So many orders of a job that wait, behind a key, by key.
pub async fn waiting(
    conn: &mut Conn,
    job: JobKey,
    after: Option<OrderKey>,
    limit: u16,
) -> Result<Vec<JobOrder>, DbError> {
    list(conn, job, Some(BulkOutcome::Waiting), after, limit).await
}

/// So many orders of a job behind a key, by key; those with one outcome, or all.
pub async fn list(
    conn: &mut Conn,
    job: JobKey,
    outcome: Option<BulkOutcome>,
    after: Option<OrderKey>,
    limit: u16,
) -> Result<Vec<JobOrder>, DbError> {
    let mut query = bulk_orders::table
        .filter(bulk_orders::job_key.eq(Bytes::from(job)))
        .order(bulk_orders::order_key)
        .select(OrderRow::as_select())
        .limit(limit.into())
        .into_boxed();
    if let Some(outcome) = outcome {
        query = query.filter(bulk_orders::outcome.eq(Name(outcome)));
    }
    if let Some(after) = after {
        query = query.filter(bulk_orders::order_key.gt(Bytes::from(after)));
    }
    let rows: Vec<OrderRow> = query.load(conn).await?;
    rows.into_iter().map(JobOrder::try_from).collect()
}

/// Deletes so many orders of a job that has ended; says how many.
pub async fn delete(conn: &mut Conn, job: JobKey, limit: u16) -> Result<usize, DbError> {
    const DELETE: &str =
        "DELETE FROM `bulk_orders` WHERE `job_key` = ? ORDER BY `order_key` LIMIT ?";
    Ok(diesel::sql_query(DELETE)
        .bind::<Binary, _>(job.0.to_vec())
        .bind::<BigInt, _>(i64::from(limit))
        .execute(conn)
        .await?)
}
