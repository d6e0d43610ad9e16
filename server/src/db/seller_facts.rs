//! Facts that count for the quality of sellers. `insert` runs in the transaction of a projection,
//! the reads anywhere.

use belay_domain::ids::{OrderId, OrderKey, SellerId, StoreId};
use belay_domain::quality::{FactKind, SellerFact, Window};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::seller_facts;
use super::statement::{self, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = seller_facts, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct FactRow {
    generation: u32,
    order_key: Bytes<16>,
    kind: Name<FactKind>,
    number: u32,
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    order_id: Name<OrderId>,
    cancellation: Option<u32>,
    fact_time: At,
}

impl statement::Row for FactRow {
    fn bytes(&self) -> usize {
        512
    }
}

impl From<FactRow> for SellerFact {
    fn from(row: FactRow) -> Self {
        Self {
            store: row.store_id.0,
            seller: row.seller_id.0,
            order: row.order_id.0,
            kind: row.kind.0,
            number: row.number,
            cancellation: row.cancellation,
            time: row.fact_time.0,
        }
    }
}

/// Writes facts; one that is there already stays as it is.
pub async fn insert(conn: &mut Conn, generation: u32, facts: &[SellerFact]) -> Result<(), DbError> {
    let row = |fact: &SellerFact| FactRow {
        generation,
        order_key: fact.order_key().into(),
        kind: Name(fact.kind),
        number: fact.number,
        store_id: Name(fact.store.clone()),
        seller_id: Name(fact.seller.clone()),
        order_id: Name(fact.order.clone()),
        cancellation: fact.cancellation,
        fact_time: At(fact.time),
    };
    let rows: Vec<FactRow> = facts.iter().map(row).collect();
    upsert_rows!(conn, seller_facts, rows.as_slice(), [generation]);
    Ok(())
}

/// The facts of one kind of a seller that lie in a window.
macro_rules! in_window {
    ($generation:expr, $store:expr, $seller:expr, $kind:expr, $window:expr) => {
        seller_facts::table
            .filter(seller_facts::generation.eq($generation))
            .filter(seller_facts::store_id.eq($store.as_str()))
            .filter(seller_facts::seller_id.eq($seller.as_str()))
            .filter(seller_facts::kind.eq(Name($kind)))
            .filter(seller_facts::fact_time.ge(At($window.begin)))
            .filter(seller_facts::fact_time.lt(At($window.end)))
    };
}

/// How many there are: it walks an index and reads no row.
pub async fn count(
    conn: &mut Conn,
    generation: u32,
    (store, seller): (&StoreId, &SellerId),
    kind: FactKind,
    window: Window,
) -> Result<u64, DbError> {
    let query = in_window!(generation, store, seller, kind, window).count();
    let count: i64 = query.get_result(conn).await?;
    Ok(count.unsigned_abs())
}

/// The key by which a list of facts is sorted: the instant in microseconds, the order and the
/// number.
pub type FactPlace = (i64, [u8; 16], u32);

pub fn place(fact: &SellerFact) -> FactPlace {
    (fact.time.as_microsecond(), fact.order_key().0, fact.number)
}

/// So many behind a place, the oldest first.
pub async fn list(
    conn: &mut Conn,
    generation: u32,
    (store, seller): (&StoreId, &SellerId),
    (kind, window): (FactKind, Window),
    after: Option<FactPlace>,
    limit: u16,
) -> Result<Vec<SellerFact>, DbError> {
    let mut query = in_window!(generation, store, seller, kind, window)
        .order((
            seller_facts::fact_time,
            seller_facts::order_key,
            seller_facts::number,
        ))
        .limit(limit.into())
        .select(FactRow::as_select())
        .into_boxed();
    if let Some((micros, order_key, number)) = after {
        let time = At(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX));
        let order_key = Bytes::from(OrderKey(order_key));
        let of_time = seller_facts::fact_time.eq(time);
        let of_order = seller_facts::order_key.eq(order_key);
        query = query.filter(
            seller_facts::fact_time.gt(time).or(of_time
                .and(seller_facts::order_key.gt(order_key))
                .or(of_time.and(of_order).and(seller_facts::number.gt(number)))),
        );
    }
    let rows: Vec<FactRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(SellerFact::from).collect())
}

/// Deletes so many facts of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, "seller_facts", generation, limit).await
}
