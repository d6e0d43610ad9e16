//! The door to the inside of a server that runs in the tests' process: nothing else
//! reaches into its parts.

use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::context::StoreConfig;
use belay_domain::ids::StoreId;
use belay_server::App;
use belay_server::db::pool::Pool;
use belay_server::db::shares::Share;
use belay_server::engine::{EngineError, Submission};
use belay_server::outage::Notes;
use belay_server::page_gate::Turn;
use belay_server::retention::Kind;
use belay_server::server::Server;
use belay_server::workers::watch_health::WatchHealth;
use belay_server::workers::{evaluate_sellers, prune_old_rows, read_figures};
use belay_wire::batch::Reply;
use tokio::time::Instant;
use tonic_health::server::HealthReporter;

use crate::HANG;

/// The inside of one server. It outlives a stop.
#[derive(Debug, Clone)]
pub struct Inside(Arc<App>);

impl Inside {
    pub(crate) fn of(server: &Server) -> Self {
        Self(server.app().clone())
    }

    /// What the admin port gives out as metrics.
    pub fn metrics(&self) -> String {
        let text = self.0.telemetry.metrics.text();
        text.expect("the metrics can be told")
    }

    /// Those whose commands have no answer yet.
    pub fn callers(&self) -> usize {
        self.0.engine.callers()
    }

    /// Commands of callers that wait for a batch.
    pub fn queued(&self) -> usize {
        self.0.engine.waiting().0
    }

    pub fn pages_waiting(&self) -> usize {
        self.0.pages.waiting()
    }

    pub fn simulations(&self) -> usize {
        self.0.simulations.running()
    }

    /// Streams of the feed that are open.
    pub fn streams(&self) -> usize {
        self.0.feed.streams()
    }

    /// Those of them that are still written to.
    pub fn watches(&self) -> usize {
        self.0.feed.watches()
    }

    pub fn partitions(&self) -> u16 {
        self.0.partitions.count.get()
    }

    pub fn identity_key(&self) -> [u8; 32] {
        self.0.identity_key
    }

    /// The connections to the database of this share.
    pub fn pool(&self, share: Share) -> &Pool {
        self.0.pools.of(share)
    }

    /// What fails for the database's sake, until somebody takes it.
    pub fn database_notes(&self) -> &Notes {
        self.0.pools.notes()
    }

    /// A turn to read a page.
    pub async fn page_turn(&self, caller: &Actor) -> Turn {
        let turn = self.0.pages.enter(caller, Instant::now() + HANG).await;
        turn.expect("a turn is free")
    }

    /// A store, as the server has it in memory.
    pub async fn store(&self, store: &StoreId) -> Arc<StoreConfig> {
        let config = self.0.stores.config(store).await;
        config.expect("the store is there")
    }

    /// The same, as the database has it now.
    pub async fn refreshed(&self, store: &StoreId) -> Arc<StoreConfig> {
        let read = self.0.stores.refresh(store).await;
        read.expect("reference data is read");
        self.store(store).await
    }

    /// Hands a command to the engine, with what RPCs choose by themselves.
    pub async fn submit(&self, submission: Submission) -> Result<Reply, EngineError> {
        self.0.engine.submit(submission).await
    }

    /// Prunes what is older than this.
    pub async fn prune(&self, kind: Kind, kept: Duration) {
        let pruned = prune_old_rows::pass(&self.0, kind, kept).await;
        pruned.expect("a pass over the database");
    }

    pub async fn read_figures(&self) {
        let read = read_figures::look(&self.0).await;
        read.expect("figures can be read");
    }

    pub(crate) async fn look_at_sellers(&self) {
        let looked = evaluate_sellers::look(&self.0).await;
        looked.expect("sellers can be looked at");
    }

    /// The worker that tells this reporter of the server's health.
    pub fn watch_health(&self, health: HealthReporter) -> WatchHealth {
        WatchHealth::new(self.0.clone(), health, &[])
    }
}
