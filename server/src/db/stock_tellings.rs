//! Counts of stock as somebody told them, by request. `get` and `page` may run anywhere,
//! `insert` in a transaction.

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{Sku, StoreId, WarehouseId};
use belay_domain::stock::{EntryKind, StockKey, Telling};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::stock_tellings;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_tellings, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct TellingRow {
    store_id: Name<StoreId>,
    request_id: Bytes<16>,
    warehouse_id: Name<WarehouseId>,
    sku: Name<Sku>,
    kind: Name<EntryKind>,
    quantity: u32,
    role: Name<Role>,
    actor_id: String,
    tell_time: At,
}

impl From<&Telling> for TellingRow {
    fn from(telling: &Telling) -> Self {
        let StockKey {
            store,
            warehouse,
            sku,
        } = telling.key.clone();
        Self {
            store_id: Name(store),
            request_id: telling.request_id.into(),
            warehouse_id: Name(warehouse),
            sku: Name(sku),
            kind: Name(telling.kind),
            quantity: telling.quantity,
            role: Name(telling.actor.role),
            actor_id: telling.actor.id.clone(),
            tell_time: At(telling.time),
        }
    }
}

impl From<TellingRow> for Telling {
    fn from(row: TellingRow) -> Self {
        Self {
            key: StockKey {
                store: row.store_id.0,
                warehouse: row.warehouse_id.0,
                sku: row.sku.0,
            },
            request_id: row.request_id.into(),
            kind: row.kind.0,
            quantity: row.quantity,
            actor: Actor::new(row.role.0, row.actor_id),
            time: row.tell_time.0,
        }
    }
}

pub async fn get(
    conn: &mut Conn,
    store: &StoreId,
    request_id: Uuid,
) -> Result<Option<Telling>, DbError> {
    let query = stock_tellings::table
        .filter(stock_tellings::store_id.eq(store.as_str()))
        .filter(stock_tellings::request_id.eq(Bytes::from(request_id)))
        .select(TellingRow::as_select());
    Ok(query.first(conn).await.optional()?.map(Telling::from))
}

/// Fails with kind `Duplicate` where the request was heard before.
pub async fn insert(conn: &mut Conn, telling: &Telling) -> Result<(), DbError> {
    diesel::insert_into(stock_tellings::table)
        .values(TellingRow::from(telling))
        .execute(conn)
        .await?;
    Ok(())
}

/// So many behind this one, in the order of store and request.
pub async fn page(
    conn: &mut Conn,
    after: Option<&Telling>,
    limit: u16,
) -> Result<Vec<Telling>, DbError> {
    let mut query = stock_tellings::table
        .order((stock_tellings::store_id, stock_tellings::request_id))
        .limit(limit.into())
        .select(TellingRow::as_select())
        .into_boxed();
    if let Some(after) = after {
        let store = after.key.store.as_str();
        let request_id = Bytes::from(after.request_id);
        query = query.filter(
            stock_tellings::store_id
                .gt(store)
                .or(stock_tellings::store_id
                    .eq(store)
                    .and(stock_tellings::request_id.gt(request_id))),
        );
    }
    let rows: Vec<TellingRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(Telling::from).collect())
}
