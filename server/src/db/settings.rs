//! Settings that were fixed when the database was created. Read once, when a server starts.

use std::fmt;
use std::num::NonZeroU16;

use belay_domain::ids::Partitions;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Conn;
use super::error::DbError;
use super::schema::{partition_heads, partition_tails, settings};
use super::statement::KEYS_MAX;

/// The partitions that a new database gets.
pub const PARTITIONS_DEFAULT: Partitions = Partitions::ranges(NonZeroU16::new(64).expect("not 0"));

const PARTITIONS: &str = "partitions";
/// Empty where the key is kept outside.
const IDENTITY_KEY: &str = "identity_key";
const IDENTITY_KEY_CHECK: &str = "identity_key_check";

/// The settings of a database: what it was created with, and what its server allows.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The partitions of the feed.
    pub partitions: Partitions,
    pub identity: StoredIdentity,
    /// Most bytes of one statement.
    pub max_allowed_packet: usize,
}

/// The trace that a database has of its identity key, by which e-mail addresses and user names are
/// hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoredIdentity {
    /// The key itself; none where it is kept outside.
    pub key: Option<[u8; 32]>,
    /// By which a key from outside is known.
    pub check: Option<[u8; 32]>,
}

impl fmt::Debug for StoredIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredIdentity").finish_non_exhaustive()
    }
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
    let bytes = |name: &'static str, value: &str| match blake3::Hash::from_hex(value) {
        _ if value.is_empty() => Ok(None),
        Ok(hash) => Ok(Some(hash.into())),
        Err(_) => Err(malformed(name)),
    };
    let partitions = Partitions::parse(value(PARTITIONS)?).ok_or_else(|| malformed(PARTITIONS))?;
    let key = bytes(IDENTITY_KEY, value(IDENTITY_KEY)?)?;
    let check = value(IDENTITY_KEY_CHECK).unwrap_or_default();
    let check = bytes(IDENTITY_KEY_CHECK, check)?;
    Ok(Settings {
        partitions,
        identity: StoredIdentity { key, check },
        max_allowed_packet: usize::try_from(server.max_allowed_packet).unwrap_or(usize::MAX),
    })
}

/// Fixes what is not fixed yet. Running it again, or twice at the same time, changes nothing. A new
/// database makes a key of its own, unless it is told the check value of one that is kept outside.
pub(super) async fn seed(conn: &mut Conn, check: Option<[u8; 32]>) -> Result<(), DbError> {
    let key = match check {
        // The server has a cryptographic source of its own.
        None => format!("('{IDENTITY_KEY}', LOWER(HEX(RANDOM_BYTES(32))))"),
        Some(check) => format!(
            "('{IDENTITY_KEY}', ''), ('{IDENTITY_KEY_CHECK}', '{}')",
            blake3::Hash::from_bytes(check).to_hex()
        ),
    };
    let is_new: i64 = settings::table
        .filter(settings::name.eq(IDENTITY_KEY))
        .count()
        .get_result(conn)
        .await?;
    let key = if is_new == 0 {
        format!(", {key}")
    } else {
        String::new()
    };
    let insert = format!(
        "INSERT IGNORE INTO settings (name, value) VALUES ('{PARTITIONS}', '{PARTITIONS_DEFAULT}'){key}"
    );
    conn.batch_execute(&insert).await?;
    let partitions: Vec<u16> = read(conn).await?.partitions.all().collect();
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

/// Takes the identity key out of the database, and leaves its check value. Belongs into a
/// transaction.
pub async fn forget_identity_key(conn: &mut Conn, check: [u8; 32]) -> Result<(), DbError> {
    set(
        conn,
        IDENTITY_KEY_CHECK,
        &blake3::Hash::from_bytes(check).to_hex(),
    )
    .await?;
    set(conn, IDENTITY_KEY, "").await
}

async fn set(conn: &mut Conn, name: &str, value: &str) -> Result<(), DbError> {
    diesel::replace_into(settings::table)
        .values((settings::name.eq(name), settings::value.eq(value)))
        .execute(conn)
        .await?;
    Ok(())
}
