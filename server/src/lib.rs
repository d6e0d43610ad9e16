//! The Belay server: gRPC in front, MySQL behind, one door between.
//!
//! `rpc` takes calls in, `engine` decides and commits, `feed` tells what was committed, `deliver`
//! sends it to those who have no gRPC, `across_orders` reads and claims what many orders hold,
//! `admin` changes reference data, `db` holds the SQL, `workers` send what nobody asks for,
//! `console` shows pages to people, `connect` lets callers in who have no gRPC. The rules
//! themselves are in the crate `belay_domain`, requests and answers in `belay_wire`.
//! `ARCHITECTURE.md` draws it.

// tonic's Status is large by design and travels in every Err of an RPC.
#![allow(clippy::result_large_err)]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod across_orders;
mod admin;
pub mod admin_port;
pub mod auth;
pub mod bulk;
pub mod caller_limits;
mod command;
pub mod command_line;
pub mod connect;
pub mod console;
pub mod db;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod drain;
pub mod durations;
pub mod engine;
pub mod erase;
mod failure;
mod fair_queue;
pub mod feed;
pub mod figures;
pub mod grants;
pub mod identity_command;
pub mod identity_keys;
pub mod ids;
pub mod in_memory;
pub mod outage;
pub mod page_gate;
pub mod port;
pub mod profiles;
pub mod projections;
mod quality;
mod queries;
pub mod reads;
pub mod retention;
pub mod rpc;
pub mod secondaries;
pub mod server;
pub mod simulation;
mod small_port;
pub mod store_cache;
pub mod telemetry;
pub mod tls;
mod trusted_file;
pub mod verify;
pub mod workers;

use belay_domain::ids::Partitions;
use belay_wire::freshness::WritePositions;
use tokio_util::sync::CancellationToken;

use crate::bulk::BulkSettings;
use crate::db::clock::Clock;
use crate::db::pools::Pools;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::figures::LastFigures;
use crate::identity_keys::IdentityKeys;
use crate::page_gate::PageGate;
use crate::projections::Lags;
use crate::reads::Reads;
use crate::retention::{OldestRows, RetentionSettings};
use crate::secondaries::Secondaries;
use crate::simulation::Simulations;
use crate::store_cache::StoreCache;
use crate::telemetry::Telemetry;

/// The application: what every RPC and every worker shares.
#[derive(Debug)]
pub struct App {
    pub engine: Engine,
    pub reads: Reads,
    pub pages: PageGate,
    pub feed: Feed,
    pub lags: Lags,
    pub simulations: Simulations,
    pub oldest_rows: OldestRows,
    pub retention: RetentionSettings,
    pub figures: LastFigures,
    pub pools: Pools,
    pub secondaries: Secondaries,
    /// Of writes, for reads that must show them.
    pub positions: WritePositions,
    pub stores: StoreCache,
    pub telemetry: Telemetry,
    /// Key of the hashes of e-mail addresses and user names, and of all seals: the first of
    /// `identity_keys`.
    pub identity_key: [u8; 32],
    pub identity_keys: IdentityKeys,
    /// Partitions of the feed, fixed when the database was made.
    pub partitions: Partitions,
    pub clock: Clock,
    pub bulk: BulkSettings,
    /// Whether a policy version is activated by another person than its author.
    pub two_person_activation: bool,
    /// Cancelled when a stop has given its notice: streams end.
    pub closing: CancellationToken,
}
