//! The position of each generation of a projection, in each partition. `all` and `of_each` may run
//! anywhere, the rest in a transaction.

use std::collections::BTreeMap;

use belay_domain::projection::Projection;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Integer, SmallInt, Text, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::Name;
use super::error::DbError;
use super::schema::projection_positions;
use super::statement::padded;

/// The move of a generation in a partition: from where, and to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub partition: u16,
    pub from: u64,
    pub to: u64,
}

macro_rules! of_generation {
    ($projection:expr, $generation:expr) => {
        projection_positions::table
            .filter(projection_positions::projection.eq(Name($projection)))
            .filter(projection_positions::generation.eq($generation))
            .order(projection_positions::shard_partition)
            .select((
                projection_positions::shard_partition,
                projection_positions::position,
            ))
    };
}

/// In the order of the partitions; empty where it has not begun.
pub async fn all(
    conn: &mut Conn,
    projection: Projection,
    generation: u32,
) -> Result<Vec<(u16, u64)>, DbError> {
    let query = of_generation!(projection, generation);
    Ok(query.load(conn).await?)
}

/// Of each generation that has begun, of the projections that this release has.
pub async fn of_each(
    conn: &mut Conn,
) -> Result<BTreeMap<(Projection, u32), Vec<(u16, u64)>>, DbError> {
    let rows: Vec<(String, u32, u16, u64)> = projection_positions::table
        .order((
            projection_positions::projection,
            projection_positions::generation,
            projection_positions::shard_partition,
        ))
        .load(conn)
        .await?;
    let mut positions: BTreeMap<_, Vec<(u16, u64)>> = BTreeMap::new();
    for (projection, generation, partition, position) in rows {
        let Some(projection) = Projection::parse(&projection) else {
            continue;
        };
        let of_generation = positions.entry((projection, generation)).or_default();
        of_generation.push((partition, position));
    }
    Ok(positions)
}

/// The same of one, and nobody moves them until the transaction ends.
pub async fn lock_all(
    conn: &mut Conn,
    projection: Projection,
    generation: u32,
) -> Result<Vec<(u16, u64)>, DbError> {
    let query = of_generation!(projection, generation).for_update();
    Ok(query.load(conn).await?)
}

/// Of these partitions those that nobody else works on, which stay ours until the transaction ends.
pub async fn take(
    conn: &mut Conn,
    projection: Projection,
    generation: u32,
    partitions: &[u16],
) -> Result<Vec<(u16, u64)>, DbError> {
    let query = of_generation!(projection, generation)
        .filter(projection_positions::shard_partition.eq_any(partitions))
        .for_update()
        .skip_locked();
    Ok(query.load(conn).await?)
}

/// Begins a generation behind what each partition no longer holds, in their order. One that has
/// begun stays as it is.
pub async fn begin(
    conn: &mut Conn,
    projection: Projection,
    generation: u32,
    pruned: &[u64],
) -> Result<(), DbError> {
    let rows: Vec<_> = (0_u16..)
        .zip(pruned)
        .map(|(partition, pruned)| {
            (
                projection_positions::projection.eq(Name(projection)),
                projection_positions::generation.eq(generation),
                projection_positions::shard_partition.eq(partition),
                projection_positions::position.eq(*pruned),
            )
        })
        .collect();
    diesel::insert_or_ignore_into(projection_positions::table)
        .values(rows)
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves each from where it was. Fails with kind `VersionConflict` where one is no longer there:
/// somebody else has had the same effect, and the transaction must be rolled back.
pub async fn advance(
    conn: &mut Conn,
    projection: Projection,
    generation: u32,
    moves: &[Move],
) -> Result<(), DbError> {
    if moves.is_empty() {
        return Ok(());
    }
    let advance = Advance {
        projection: projection.name(),
        generation,
        moves,
    };
    let matched = advance.execute(conn).await?;
    DbError::unless_all_matched(matched, moves.len())
}

/// Ends a generation: nothing has an effect on it any more.
pub async fn end(conn: &mut Conn, projection: Projection, generation: u32) -> Result<(), DbError> {
    diesel::delete(
        projection_positions::table
            .filter(projection_positions::projection.eq(Name(projection)))
            .filter(projection_positions::generation.eq(generation)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One guarded UPDATE for several partitions.
#[derive(Debug, Clone, Copy)]
struct Advance<'a> {
    projection: &'a str,
    generation: u32,
    moves: &'a [Move],
}

impl QueryId for Advance<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Advance<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("UPDATE `projection_positions` SET `position` = CASE `shard_partition`");
        for step in padded(self.moves) {
            out.push_sql(" WHEN ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(&step.partition)?;
            out.push_sql(" THEN ");
            out.push_bind_param::<Unsigned<BigInt>, _>(&step.to)?;
        }
        out.push_sql(" END WHERE `projection` = ");
        out.push_bind_param::<Text, _>(self.projection)?;
        out.push_sql(" AND `generation` = ");
        out.push_bind_param::<Unsigned<Integer>, _>(&self.generation)?;
        let mut separator = " AND ((";
        for step in padded(self.moves) {
            out.push_sql(separator);
            out.push_sql("`shard_partition` = ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(&step.partition)?;
            out.push_sql(" AND `position` = ");
            out.push_bind_param::<Unsigned<BigInt>, _>(&step.from)?;
            separator = ") OR (";
        }
        out.push_sql("))");
        Ok(())
    }
}
