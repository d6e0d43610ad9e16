//! A database that goes back, as one does which follows another without its last transactions and
//! then takes its place: what was committed since is gone, and its positions are given out again.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use belay_domain::ids::{OrderId, OrderKey, Partitions, StoreId};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};

use crate::database::Database;
use crate::instance::session;
use crate::stock::projected;
use crate::{SHOP, until};

/// Of the feed of a database that a test has made.
const PARTITIONS: Partitions = Partitions::ranges(NonZeroU16::new(64).expect("not 0"));

/// Ids of so many orders of the shop whose events are in one partition.
pub fn neighbours(count: usize) -> Vec<String> {
    let store = StoreId::parse(SHOP).expect("an id");
    let partition = |id: &String| {
        let order = OrderId::parse(id.clone()).expect("an id");
        OrderKey::of(&store, &order).partition(PARTITIONS)
    };
    let mut ids = (0..).map(|number| format!("N-{number}"));
    let first = ids.next().expect("there is no end");
    let of = partition(&first);
    let others = ids.filter(|id| partition(id) == of).take(count - 1);
    [first].into_iter().chain(others).collect()
}

/// The rows of all tables as they were at some moment.
#[derive(Debug)]
pub struct Kept {
    /// With the columns that are no function of others.
    tables: Vec<(String, String)>,
}

impl Kept {
    /// As they are now, once the projections have read what there is.
    pub async fn of(database: &Database) -> Self {
        projected(database).await;
        // What is a function of other columns is written by MySQL.
        let columns = "SELECT table_name, column_name \
            FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name) \
            WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND COALESCE(generation_expression, '') = '' \
            AND table_name NOT IN ('__diesel_schema_migrations', 'heartbeats', 'delivery_instances') \
            ORDER BY table_name, ordinal_position";
        let columns: Vec<(String, String)> = database.rows(columns, ()).await;
        let mut by_table: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in columns {
            by_table
                .entry(table)
                .or_default()
                .push(format!("`{column}`"));
        }
        let tables: Vec<(String, String)> = by_table
            .into_iter()
            .map(|(table, columns)| (table, columns.join(", ")))
            .collect();
        for (table, columns) in &tables {
            let copy = format!("CREATE TABLE kept_{table} AS SELECT {columns} FROM {table}");
            database.execute(&copy, ()).await;
        }
        Self { tables }
    }

    /// In one moment all is as it was.
    pub async fn put_back(self, database: &Database) {
        projected(database).await;
        let mut conn = session(&database.url()).await;
        // Workers of the server may be in the way.
        until("the database goes back", async || {
            self.try_put_back(&mut conn).await.ok()
        })
        .await;
        for (table, _) in &self.tables {
            database
                .execute(&format!("DROP TABLE kept_{table}"), ())
                .await;
        }
    }

    async fn try_put_back(&self, conn: &mut Conn) -> mysql_async::Result<()> {
        let mut written = conn.start_transaction(TxOpts::default()).await?;
        for (table, columns) in &self.tables {
            written.query_drop(format!("DELETE FROM {table}")).await?;
            let back =
                format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM kept_{table}");
            written.query_drop(back).await?;
        }
        written.commit().await
    }
}
