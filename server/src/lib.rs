//! The Belay server: gRPC in front, MySQL behind, one door between.
//!
//! `rpc` parses and renders, `engine` decides and commits, `db` holds the SQL, `workers` send what
//! nobody asks for. The rules themselves are in the crate `belay_domain`. `ARCHITECTURE.md` draws
//! it.

// tonic's Status is large by design and travels in every Err of an RPC.
#![allow(clippy::result_large_err)]

pub mod admin_port;
pub mod callers;
pub mod db;
pub mod demo;
pub mod drain;
pub mod engine;
pub mod entropy;
pub mod outage;
pub mod presets;
pub mod reads;
pub mod reference;
pub mod rpc;
pub mod server;
pub mod telemetry;
pub mod wire;
pub mod workers;

use jiff::Timestamp;

use crate::db::pool::Pool;
use crate::db::{Conn, DbError, clock};
use crate::engine::Engine;
use crate::reads::Reads;
use crate::reference::Stores;
use crate::telemetry::Telemetry;

/// What every RPC and every worker shares.
#[derive(Debug)]
pub struct App {
    pub engine: Engine,
    pub reads: Reads,
    pub pool: Pool,
    pub stores: Stores,
    pub telemetry: Telemetry,
    /// Key of the hashes of e-mail addresses and user names; made with the database, never leaves
    /// it.
    pub identity_key: [u8; 32],
    /// Partitions of the feed, fixed when the database was made.
    pub partitions: u16,
    /// Time is a row of the database.
    pub manual_clock: bool,
}

impl App {
    /// The time as the engine would see it: the database's, or that of the manual clock.
    pub async fn now(&self, conn: &mut Conn) -> Result<Timestamp, DbError> {
        if self.manual_clock {
            clock::manual(conn).await
        } else {
            clock::now(conn).await
        }
    }
}
