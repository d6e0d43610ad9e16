//! The database: what stands in which table, and nothing of what it means.
//!
//! There is one file per table. Each says in its first paragraph what may run where: what reads or
//! writes an order's rows for a command runs inside the engine's transaction, under the lock of the
//! order's own row; lists and administration run anywhere. `aggregate` puts whole orders together
//! from their tables and writes back what changed.
//!
//! Statements are diesel's typed ones. Where one is needed that diesel cannot say (a forced index,
//! an UPDATE of many rows, an upsert), it is a fragment of its own in the file of its table, with
//! typed parameters. This module knows the domain and never the wire: events and stored answers are
//! bytes here.

mod cancellation_parts;
mod cancellation_units;
mod columns;
mod gates;
mod order_lines;
mod pages;
mod partition_heads;
mod payments;
mod schema;
mod scope;
mod shipment_units;
mod spans;
mod statement;

pub mod aggregate;
pub mod cancellations;
pub mod carriers;
pub mod clock;
pub mod decisions;
pub mod error;
pub mod events;
pub mod incidents;
pub mod migrate;
pub mod orders;
pub mod policies;
pub mod pool;
pub mod probe;
pub mod refunds;
pub mod requests;
pub mod settings;
pub mod shipments;
pub mod stores;
pub mod summaries;
pub mod transaction;
pub mod warehouses;

use belay_domain::ids::OrderKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::error::{Class, DbError};
pub use self::pages::PageQuery;
pub use self::pool::{Checkout, Pool, PoolSettings};

/// A connection to the database.
pub type Conn = diesel_async::AsyncMysqlConnection;

/// An entry of a list that goes from new to old, and where the next page of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub create_time: Timestamp,
    #[serde(with = "key_bytes")]
    pub order_key: OrderKey,
    /// Of the order's child that is listed; 0 where orders are.
    pub number: u32,
}

mod key_bytes {
    use belay_domain::ids::OrderKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        key: &OrderKey,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        key.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OrderKey, D::Error> {
        <[u8; 16]>::deserialize(deserializer).map(OrderKey)
    }
}
