//! The commands that were decided, with their answers.
//!
//! `find` and `insert` run inside the engine's transaction and under the orders' locks. Only under
//! the lock does finding no row prove that the command was not decided: whoever could have written
//! it held the same lock.

use std::collections::HashMap;

use belay_domain::records::{KnownRequest, NewRequest, RequestKey};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Binary, Text};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::aged::Aged;
use super::columns::{At, Bytes};
use super::error::DbError;
use super::schema::requests;
use super::statement::{self, KEYS_MAX, padded};
use super::writes::Writes;

/// How they are deleted.
pub const AGED: Aged = Aged {
    table: "requests",
    time: "create_time",
    index: "requests_by_age",
};

/// Longest name of a caller, in characters.
pub const CALLER_LENGTH_MAX: usize = 80;

#[derive(Debug, Insertable)]
#[diesel(table_name = requests, treat_none_as_default_value = false)]
struct RequestRow {
    order_key: Bytes<16>,
    request_id: Bytes<16>,
    caller: String,
    fingerprint: Bytes<32>,
    answer: Vec<u8>,
    create_time: At,
}

impl statement::Row for RequestRow {
    fn bytes(&self) -> usize {
        512 + self.answer.len()
    }
}

/// Those of these commands that were decided.
pub async fn find(
    conn: &mut Conn,
    keys: &[RequestKey],
) -> Result<HashMap<RequestKey, KnownRequest>, DbError> {
    type Found = (Bytes<16>, Bytes<16>, String, Bytes<32>, Vec<u8>);
    let mut found = HashMap::new();
    for keys in keys.chunks(KEYS_MAX) {
        let rows: Vec<Found> = FindRequests { keys }.load(conn).await?;
        found.extend(
            rows.into_iter()
                .map(|(order, request_id, caller, fingerprint, answer)| {
                    let key = RequestKey {
                        order_key: order.into(),
                        request_id: request_id.into(),
                        caller,
                    };
                    (
                        key,
                        KnownRequest {
                            fingerprint: fingerprint.0,
                            answer,
                        },
                    )
                }),
        );
    }
    Ok(found)
}

pub fn insert(writes: &mut Writes, new: &[NewRequest]) -> Result<(), DbError> {
    let row = |new| {
        let NewRequest {
            key,
            fingerprint,
            answer,
            create_time,
        }: &NewRequest = new;
        RequestRow {
            order_key: key.order_key.into(),
            request_id: key.request_id.into(),
            caller: key.caller.clone(),
            fingerprint: Bytes(*fingerprint),
            answer: answer.clone(),
            create_time: At(*create_time),
        }
    };
    let rows: Vec<RequestRow> = new.iter().map(row).collect();
    for rows in statement::chunks(&rows) {
        let insert = diesel::insert_into(requests::table).values(rows);
        writes.insert("requests", &insert)?;
    }
    Ok(())
}

/// `SELECT` by a list of whole primary keys, as OR of ANDs: MariaDB makes no ranges of a list of
/// tuples.
#[derive(Debug, Clone, Copy)]
struct FindRequests<'a> {
    keys: &'a [RequestKey],
}

impl Query for FindRequests<'_> {
    type SqlType = (Binary, Binary, Text, Binary, Binary);
}

impl QueryId for FindRequests<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for FindRequests<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "SELECT `order_key`, `request_id`, `caller`, `fingerprint`, `answer` FROM `requests`",
        );
        let mut separator = " WHERE ";
        for key in padded(self.keys) {
            out.push_sql(separator);
            out.push_sql("(`order_key` = ");
            out.push_bind_param::<Binary, _>(&key.order_key.0)?;
            out.push_sql(" AND `request_id` = ");
            out.push_bind_param::<Binary, _>(key.request_id.as_bytes())?;
            out.push_sql(" AND `caller` = ");
            out.push_bind_param::<Text, _>(&key.caller)?;
            out.push_sql(")");
            separator = " OR ";
        }
        Ok(())
    }
}
