//! Ties the health service to the database: a server that cannot write says so, and the log has the
//! reason.
//!
//! The look has a connection of its own, so that a crowded pool is not taken for a database that is
//! away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::App;
use crate::db::error::DbError;
use crate::db::{Conn, probe};
use crate::outage::Reporter;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// An account's grants on a database are read when a connection begins: so the look begins a new
/// one now and then.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(5);
/// How long a connection that was there before may take; then a new one is asked.
const KNOWN_ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long one look may take, its connection included.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The worker that looks at the database and tells the health service.
#[derive(Debug)]
pub struct WatchHealth {
    app: Arc<App>,
    health: HealthReporter,
    /// Full names; the empty name is the server as a whole.
    services: Vec<&'static str>,
    told: Option<ServingStatus>,
    connection: Option<OwnConnection>,
    reporter: Reporter,
}

struct OwnConnection {
    conn: Conn,
    begun_at: Instant,
}

impl std::fmt::Debug for OwnConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnConnection")
    }
}

impl WatchHealth {
    pub fn new(app: Arc<App>, health: HealthReporter, services: &[&'static str]) -> Self {
        let services = services.iter().copied().chain([""]).collect();
        Self {
            app,
            health,
            services,
            told: None,
            connection: None,
            reporter: Reporter::default(),
        }
    }

    /// Looks again and again, for as long as it is polled.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look().await;
        }
    }

    /// One look. The first one is before anybody is served: until then the health service does not
    /// know.
    pub async fn look(&mut self) {
        let looked = timeout(LOOK_MAX, probe(&self.app, &mut self.connection)).await;
        let outcome = looked.unwrap_or_else(|_| {
            // Its answer may still be on the way.
            self.connection = None;
            Err(DbError::TimedOut {
                waited_ms: LOOK_MAX.as_millis(),
            })
        });
        let is_silent = outcome.as_ref().is_err_and(DbError::is_silence);
        self.app.pools.upkeep.set_silent(is_silent);
        let status = if outcome.is_ok() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        // Whoever watches is told of changes alone.
        if self.told != Some(status) {
            for service in &self.services {
                self.health.set_service_status(service, status).await;
            }
            self.told = Some(status);
            let metrics = &self.app.telemetry.metrics;
            metrics.serving(status == ServingStatus::Serving);
        }
        let outcome = outcome.map_err(|error| error.to_string());
        let line = self
            .reporter
            .look(Instant::now(), outcome, self.app.pools.notes().take());
        if let Some(line) = line {
            line.write();
        }
    }
}

/// A connection that was there before may be to a server that has gone, has fallen silent or has
/// given way to another; then a new one decides. Where that finds another primary, whoever waits
/// for the one before is let go.
async fn probe(app: &App, connection: &mut Option<OwnConnection>) -> Result<(), DbError> {
    if let Some(mut known) = connection.take()
        && known.begun_at.elapsed() < CONNECTION_AGE_MAX
    {
        let looked = timeout(KNOWN_ANSWER_MAX, probe::check_writable(&mut known.conn)).await;
        if let Ok(Ok(())) = looked {
            *connection = Some(known);
            return Ok(());
        }
        // As long as nothing else is known.
        if looked.is_err() {
            app.pools.upkeep.set_silent(true);
        }
    }
    let begun_at = Instant::now();
    let mut conn = app.pools.upkeep.connect_beside().await?;
    probe::check_writable(&mut conn).await?;
    *connection = Some(OwnConnection { conn, begun_at });
    Ok(())
}
