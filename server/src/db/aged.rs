//! Tables whose rows are deleted once they are old. May run anywhere.
//!
//! What is deleted is committed and older than anybody still writes, so nobody else locks it but
//! another server that deletes too: of two one waits for the other, for one statement, and goes on
//! with what is left.

use diesel::QueryableByName;
use diesel::sql_types::Datetime;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::At;
use super::error::DbError;

/// A table whose rows are deleted by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aged {
    pub table: &'static str,
    /// The column by which they age, which never changes.
    pub time: &'static str,
    /// The index that begins with it.
    pub index: &'static str,
}

/// The rows that a batch deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    pub rows: usize,
    /// Where the next batch begins; none where nothing is left that is old enough.
    pub reached: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Datetime)]
    time: At,
}

impl Aged {
    /// Deletes so many rows of a time before this one, the oldest first, which lie at or behind
    /// `from`: a pass tells where its last batch ended, for the index holds on to what was deleted
    /// until no snapshot sees it.
    pub async fn delete(
        &self,
        conn: &mut Conn,
        from: Timestamp,
        before: Timestamp,
        limit: u16,
    ) -> Result<Deleted, DbError> {
        let found: Vec<Row> = diesel::sql_query(self.oldest_sql(limit))
            .bind::<Datetime, _>(At(from))
            .bind::<Datetime, _>(At(before))
            .load(conn)
            .await?;
        let Some(last) = found.last().map(|row| row.time.0) else {
            return Ok(Deleted {
                rows: 0,
                reached: None,
            });
        };
        let rows = diesel::sql_query(self.delete_sql(limit))
            .bind::<Datetime, _>(At(from))
            .bind::<Datetime, _>(At(last))
            .execute(conn)
            .await?;
        let is_full = found.len() == usize::from(limit);
        Ok(Deleted {
            rows,
            reached: is_full.then_some(last),
        })
    }

    /// The time of the oldest row.
    pub async fn oldest(&self, conn: &mut Conn) -> Result<Option<Timestamp>, DbError> {
        let (Self { table, time, .. }, index) = (self, self.index);
        let query = format!(
            "SELECT `{time}` AS `time` FROM `{table}` FORCE INDEX (`{index}`) ORDER BY `{time}` LIMIT 1"
        );
        let found: Vec<Row> = diesel::sql_query(query).load(conn).await?;
        Ok(found.into_iter().next().map(|row| row.time.0))
    }

    /// The times of the oldest rows, from one time on and before another.
    pub fn oldest_sql(&self, limit: u16) -> String {
        let Self { table, time, index } = self;
        format!(
            "SELECT `{time}` AS `time` FROM `{table}` FORCE INDEX (`{index}`) \
             WHERE `{time}` >= ? AND `{time}` < ? ORDER BY `{time}` LIMIT {limit}"
        )
    }

    /// From one time on, up to and with another.
    pub fn delete_sql(&self, limit: u16) -> String {
        let Self { table, time, index } = self;
        // DELETE takes no FORCE INDEX; MariaDB reads past the hint, and takes the index for the
        // order.
        format!(
            "DELETE /*+ INDEX(`{table}` `{index}`) */ FROM `{table}` \
             WHERE `{time}` >= ? AND `{time}` <= ? ORDER BY `{time}` LIMIT {limit}"
        )
    }
}
