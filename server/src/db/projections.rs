//! Projections and their generations. `all` and `get` may run anywhere, all else in a transaction.
//!
//! Whoever writes to generations beside their positions shares the row's lock, so that none begins
//! or ends meanwhile.

use belay_domain::projection::Projection;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::Name;
use super::error::DbError;
use super::schema::projections;
use super::statement::Shared;

/// The generations of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// The one that is read.
    pub serving: u32,
    /// The one that a rebuild fills.
    pub building: Option<u32>,
    /// What was told beside the feed is in the one that is built.
    pub is_replayed: bool,
}

impl Generations {
    pub fn iter(self) -> impl Iterator<Item = u32> {
        [Some(self.serving), self.building].into_iter().flatten()
    }
}

/// The row of a projection: it is there since the migration that made the projection.
macro_rules! row_of {
    ($projection:expr) => {
        projections::table
            .filter(projections::projection.eq(Name($projection)))
            .select((
                projections::serving,
                projections::building,
                projections::is_replayed,
            ))
    };
}

type Row = (u32, Option<u32>, bool);

fn generations(row: Option<Row>, projection: Projection) -> Result<Generations, DbError> {
    let row = row.ok_or_else(|| DbError::Corrupt(format!("projection {projection} has no row")))?;
    let (serving, building, is_replayed) = row;
    Ok(Generations {
        serving,
        building,
        is_replayed,
    })
}

/// All projections that this release has.
pub async fn all(conn: &mut Conn) -> Result<Vec<(Projection, Generations)>, DbError> {
    let rows: Vec<(String, u32, Option<u32>, bool)> = projections::table.load(conn).await?;
    let of = |projection: &Projection| {
        let row = rows.iter().find(|row| row.0 == projection.name());
        let row =
            row.map(|(_, serving, building, is_replayed)| (*serving, *building, *is_replayed));
        Ok((*projection, generations(row, *projection)?))
    };
    Projection::ALL.iter().map(of).collect()
}

pub async fn get(conn: &mut Conn, projection: Projection) -> Result<Generations, DbError> {
    let row: Option<Row> = row_of!(projection).first(conn).await.optional()?;
    generations(row, projection)
}

/// The same, and none begins or ends until the transaction does.
pub async fn share(conn: &mut Conn, projection: Projection) -> Result<Generations, DbError> {
    let row: Option<Row> = Shared(row_of!(projection))
        .get_result(conn)
        .await
        .optional()?;
    generations(row, projection)
}

/// The same, and nobody else writes to them beside the feed.
pub async fn lock(conn: &mut Conn, projection: Projection) -> Result<Generations, DbError> {
    let row: Option<Row> = row_of!(projection)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    generations(row, projection)
}

/// Writes what [`lock`] gave.
pub async fn update(
    conn: &mut Conn,
    projection: Projection,
    generations: Generations,
) -> Result<(), DbError> {
    diesel::update(projections::table.filter(projections::projection.eq(Name(projection))))
        .set((
            projections::serving.eq(generations.serving),
            projections::building.eq(generations.building),
            projections::is_replayed.eq(generations.is_replayed),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
