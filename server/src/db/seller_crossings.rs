//! The thresholds that sellers have crossed. `insert` runs in the transaction that has taken the
//! standing, `list` anywhere.

use belay_domain::ids::{SellerId, StoreId};
use belay_domain::policy::QualityThreshold;
use belay_domain::quality::{Crossing, CrossingRecord, Rate};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Name};
use super::error::DbError;
use super::schema::seller_crossings;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = seller_crossings, check_for_backend(Mysql))]
struct CrossingRow {
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    number: u32,
    threshold: String,
    percent: u32,
    is_reached: bool,
    numerator: u64,
    denominator: u64,
    cross_time: At,
}

impl From<CrossingRow> for CrossingRecord {
    fn from(row: CrossingRow) -> Self {
        Self {
            number: row.number,
            crossing: Crossing {
                threshold: QualityThreshold {
                    name: row.threshold,
                    percent: row.percent,
                },
                is_reached: row.is_reached,
            },
            rate: Rate {
                numerator: row.numerator,
                denominator: row.denominator,
            },
            time: row.cross_time.0,
        }
    }
}

/// Fails with kind `Duplicate` where the seller has one of this number.
pub async fn insert(
    conn: &mut Conn,
    (store, seller): (&StoreId, &SellerId),
    record: &CrossingRecord,
) -> Result<(), DbError> {
    let CrossingRecord {
        number,
        crossing,
        rate,
        time,
    } = record.clone();
    let row = CrossingRow {
        store_id: Name(store.clone()),
        seller_id: Name(seller.clone()),
        number,
        threshold: crossing.threshold.name,
        percent: crossing.threshold.percent,
        is_reached: crossing.is_reached,
        numerator: rate.numerator,
        denominator: rate.denominator,
        cross_time: At(time),
    };
    diesel::insert_into(seller_crossings::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// So many before this number, the last first.
pub async fn list(
    conn: &mut Conn,
    (store, seller): (&StoreId, &SellerId),
    before: Option<u32>,
    limit: u16,
) -> Result<Vec<CrossingRecord>, DbError> {
    let query = seller_crossings::table
        .filter(seller_crossings::store_id.eq(store.as_str()))
        .filter(seller_crossings::seller_id.eq(seller.as_str()))
        .filter(seller_crossings::number.lt(before.unwrap_or(u32::MAX)))
        .order(seller_crossings::number.desc())
        .limit(limit.into())
        .select(CrossingRow::as_select());
    let rows: Vec<CrossingRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(CrossingRecord::from).collect())
}
