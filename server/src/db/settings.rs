//! What was fixed when the database was created. Read once, when a server starts.

use std::fmt;
use std::num::NonZeroU16;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Conn;
use super::error::DbError;
use super::schema::{partition_heads, partition_tails, settings};
use super::statement::KEYS_MAX;

/// How many partitions a new database gets.
pub const PARTITIONS_DEFAULT: u16 = 64;

const PARTITIONS: &str = "partitions";
const IDENTITY_KEY: &str = "identity_key";

/// The settings of a database: what it was created with, and what its server allows.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many partitions the feed has; at least 1.
    pub partitions: u16,
    /// The key of the hashes by which e-mail addresses and user names are kept.
    pub identity_key: [u8; 32],
    /// Most bytes of one statement.
    pub max_allowed_packet: usize,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

pub async fn read(conn: &mut Conn) -> Result<Settings, DbError> {
    #[derive(QueryableByName)]
    struct Server {
        #[diesel(sql_type = Unsigned<BigInt>)]
        max_allowed_packet: u64,
    }
    let query = "SELECT CAST(@@max_allowed_packet AS UNSIGNED) AS max_allowed_packet";
    let server: Server = diesel::sql_query(query).get_result(conn).await?;
    let rows: Vec<(String, String)> = settings::table
        .select((settings::name, settings::value))
        .load(conn)
        .await?;
    let value = |name: &str| {
        let found = rows.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| DbError::Corrupt(format!("setting {name} is missing")))
    };
    let malformed = |name: &str| DbError::Corrupt(format!("setting {name} is malformed"));
    let partitions: NonZeroU16 = value(PARTITIONS)?
        .parse()
        .map_err(|_| malformed(PARTITIONS))?;
    let identity_key =
        blake3::Hash::from_hex(value(IDENTITY_KEY)?).map_err(|_| malformed(IDENTITY_KEY))?;
    Ok(Settings {
        partitions: partitions.get(),
        identity_key: identity_key.into(),
        max_allowed_packet: usize::try_from(server.max_allowed_packet).unwrap_or(usize::MAX),
    })
}

/// Fixes what is not fixed yet. Running it again, or twice at the same time, changes nothing.
pub(super) async fn seed(conn: &mut Conn) -> Result<(), DbError> {
    // The server has a cryptographic source of its own.
    let insert = format!(
        "INSERT IGNORE INTO settings (name, value) VALUES \
         ('{PARTITIONS}', '{PARTITIONS_DEFAULT}'), ('{IDENTITY_KEY}', LOWER(HEX(RANDOM_BYTES(32))))"
    );
    conn.batch_execute(&insert).await?;
    let partitions: Vec<u16> = (0..read(conn).await?.partitions).collect();
    for partitions in partitions.chunks(KEYS_MAX) {
        let head = |partition: &u16| {
            (
                partition_heads::shard_partition.eq(*partition),
                partition_heads::head.eq(0_u64),
            )
        };
        let heads: Vec<_> = partitions.iter().map(head).collect();
        diesel::insert_or_ignore_into(partition_heads::table)
            .values(&heads)
            .execute(conn)
            .await?;
        let tail = |partition: &u16| {
            (
                partition_tails::shard_partition.eq(*partition),
                partition_tails::pruned.eq(0_u64),
                partition_tails::expiring.eq(0_u64),
            )
        };
        let tails: Vec<_> = partitions.iter().map(tail).collect();
        diesel::insert_or_ignore_into(partition_tails::table)
            .values(&tails)
            .execute(conn)
            .await?;
    }
    Ok(())
}
