//! The processes that deliver under a name. May run anywhere.

use belay_domain::ids::ConsumerId;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use uuid::Uuid;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::delivery_instances;
use super::statement::Upsert;

/// An instance is there until then.
pub async fn renew(
    conn: &mut Conn,
    consumer: &ConsumerId,
    instance: Uuid,
    until: Timestamp,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(delivery_instances::table).values((
        delivery_instances::consumer_id.eq(Name(consumer.clone())),
        delivery_instances::instance_id.eq(Bytes::from(instance)),
        delivery_instances::lease_until.eq(At(until)),
    ));
    Upsert {
        insert,
        columns: &["lease_until"],
    }
    .execute(conn)
    .await?;
    Ok(())
}

/// How many there are now.
pub async fn count(
    conn: &mut Conn,
    consumer: &ConsumerId,
    now: Timestamp,
) -> Result<usize, DbError> {
    let query = delivery_instances::table
        .filter(delivery_instances::consumer_id.eq(Name(consumer.clone())))
        .filter(delivery_instances::lease_until.gt(At(now)))
        .count();
    let count: i64 = query.get_result(conn).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Forgets an instance that ends.
pub async fn forget(conn: &mut Conn, consumer: &ConsumerId, instance: Uuid) -> Result<(), DbError> {
    let it = delivery_instances::table
        .filter(delivery_instances::consumer_id.eq(Name(consumer.clone())))
        .filter(delivery_instances::instance_id.eq(Bytes::from(instance)));
    diesel::delete(it).execute(conn).await?;
    Ok(())
}

/// Forgets those whose lease was over before this time: they were killed.
pub async fn forget_gone(
    conn: &mut Conn,
    consumer: &ConsumerId,
    before: Timestamp,
) -> Result<(), DbError> {
    let gone = delivery_instances::table
        .filter(delivery_instances::consumer_id.eq(Name(consumer.clone())))
        .filter(delivery_instances::lease_until.lt(At(before)));
    diesel::delete(gone).execute(conn).await?;
    Ok(())
}
