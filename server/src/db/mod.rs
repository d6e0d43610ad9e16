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

pub use self::error::{Class, DbError};
pub use self::pages::{ListQuery, PageQuery, list};
pub use self::pool::{Checkout, Pool, PoolSettings};

/// A connection to the database.
pub type Conn = diesel_async::AsyncMysqlConnection;
