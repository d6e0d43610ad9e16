//! The decision log. Written inside the engine's transaction, with the decision itself.

use belay_domain::ids::StoreId;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Bytes};
use super::error::DbError;
use super::requests::RequestKey;
use super::schema::decisions;
use super::statement::{self, insert_rows};

#[derive(Debug, Clone)]
pub struct NewDecision {
    /// The request that was decided.
    pub key: RequestKey,
    pub store: StoreId,
    pub decision_time: Timestamp,
    pub policy_version: u32,
    pub accepted: bool,
    /// The questions and answers, as JSON.
    pub record: String,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = decisions, treat_none_as_default_value = false)]
struct DecisionRow {
    order_key: Bytes<16>,
    request_id: Bytes<16>,
    caller: String,
    store_id: String,
    decision_time: At,
    policy_version: u32,
    accepted: bool,
    record: String,
}

impl statement::Row for DecisionRow {
    fn bytes(&self) -> usize {
        512 + self.record.len()
    }
}

pub async fn insert(conn: &mut Conn, new: &[NewDecision]) -> Result<(), DbError> {
    let row = |new| {
        let NewDecision {
            key,
            store,
            decision_time,
            policy_version,
            accepted,
            record,
        }: &NewDecision = new;
        DecisionRow {
            order_key: key.order_key.into(),
            request_id: key.request_id.into(),
            caller: key.caller.clone(),
            store_id: store.to_string(),
            decision_time: At(*decision_time),
            policy_version: *policy_version,
            accepted: *accepted,
            record: record.clone(),
        }
    };
    let rows: Vec<DecisionRow> = new.iter().map(row).collect();
    insert_rows!(conn, decisions, rows.as_slice());
    Ok(())
}
