//! The standings of the rates of sellers. `due` may run anywhere, the rest in a transaction.

use std::collections::BTreeSet;

use belay_domain::ids::{SellerId, StoreId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Json, Name};
use super::error::DbError;
use super::schema::seller_standings;
use super::statement::{self, upsert_rows};

/// The standing of a seller's rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellerStanding {
    /// The thresholds that it has reached.
    pub reached: BTreeSet<String>,
    /// How often it has crossed one.
    pub crossings: u32,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = seller_standings)]
struct StandingRow {
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    evaluate_time: At,
    reached: Json<BTreeSet<String>>,
    crossings: u32,
}

impl statement::Row for StandingRow {
    fn bytes(&self) -> usize {
        512
    }
}

/// The time at which sellers are due of whom something new was counted: before all others.
pub const WOKEN: Timestamp = Timestamp::UNIX_EPOCH;

/// Has sellers looked at as soon as can be. They are locked in their order.
pub async fn wake(conn: &mut Conn, sellers: &BTreeSet<(StoreId, SellerId)>) -> Result<(), DbError> {
    let row = |(store, seller): &(StoreId, SellerId)| StandingRow {
        store_id: Name(store.clone()),
        seller_id: Name(seller.clone()),
        evaluate_time: At(WOKEN),
        reached: Json(BTreeSet::new()),
        crossings: 0,
    };
    let rows: Vec<StandingRow> = sellers.iter().map(row).collect();
    upsert_rows!(conn, seller_standings, rows.as_slice(), [evaluate_time]);
    Ok(())
}

/// A seller that is due, in the order in which they are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSeller {
    pub evaluate_time: Timestamp,
    pub store: StoreId,
    pub seller: SellerId,
}

/// So many sellers that are to be looked at by now, the longest due first, behind this one.
pub async fn due(
    conn: &mut Conn,
    now: Timestamp,
    after: Option<&DueSeller>,
    limit: u16,
) -> Result<Vec<DueSeller>, DbError> {
    let mut query = seller_standings::table
        .filter(seller_standings::evaluate_time.le(At(now)))
        .order((
            seller_standings::evaluate_time,
            seller_standings::store_id,
            seller_standings::seller_id,
        ))
        .limit(limit.into())
        .select((
            seller_standings::evaluate_time,
            seller_standings::store_id,
            seller_standings::seller_id,
        ))
        .into_boxed();
    if let Some(after) = after {
        let (store, seller) = (after.store.as_str(), after.seller.as_str());
        let at = At(after.evaluate_time);
        let of_store = seller_standings::store_id.eq(store.to_owned());
        let later_seller = seller_standings::seller_id.gt(seller.to_owned());
        let later_store = seller_standings::store_id.gt(store.to_owned());
        query = query.filter(
            seller_standings::evaluate_time
                .gt(at)
                .or(seller_standings::evaluate_time
                    .eq(at)
                    .and(later_store.or(of_store.and(later_seller)))),
        );
    }
    let rows: Vec<(At, Name<StoreId>, Name<SellerId>)> = query.load(conn).await?;
    let due = |(evaluate_time, store, seller): (At, Name<StoreId>, Name<SellerId>)| DueSeller {
        evaluate_time: evaluate_time.0,
        store: store.0,
        seller: seller.0,
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Locks a standing that is still due; None where it is not, or somebody else looks at it.
pub async fn take(
    conn: &mut Conn,
    (store, seller): (&StoreId, &SellerId),
    now: Timestamp,
) -> Result<Option<SellerStanding>, DbError> {
    let query = seller_standings::table
        .filter(seller_standings::store_id.eq(store.as_str()))
        .filter(seller_standings::seller_id.eq(seller.as_str()))
        .filter(seller_standings::evaluate_time.le(At(now)))
        .select((seller_standings::reached, seller_standings::crossings))
        .for_update()
        .skip_locked();
    let row: Option<(Json<BTreeSet<String>>, u32)> = query.first(conn).await.optional()?;
    Ok(row.map(|(reached, crossings)| SellerStanding {
        reached: reached.0,
        crossings,
    }))
}

/// Writes a standing that was taken, and when to look again.
pub async fn update(
    conn: &mut Conn,
    (store, seller): (&StoreId, &SellerId),
    standing: &SellerStanding,
    evaluate_time: Timestamp,
) -> Result<(), DbError> {
    let of_seller = seller_standings::table
        .filter(seller_standings::store_id.eq(store.as_str()))
        .filter(seller_standings::seller_id.eq(seller.as_str()));
    diesel::update(of_seller)
        .set((
            seller_standings::evaluate_time.eq(At(evaluate_time)),
            seller_standings::reached.eq(Json(standing.reached.clone())),
            seller_standings::crossings.eq(standing.crossings),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
