//! Ties the health service to the database: a server that cannot decide says so.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::App;
use crate::db::clock;
use crate::db::error::DbError;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until it is told to stop. `services` are full names; the empty name is the server as a whole.
pub async fn run(app: Arc<App>, health: HealthReporter, services: Vec<&'static str>, stop: CancellationToken) {
    let mut was_well = None;
    loop {
        let outcome = probe(&app).await;
        let is_well = outcome.is_ok();
        if was_well != Some(is_well) {
            match outcome {
                Ok(()) => tracing::info!("the database answers: serving"),
                Err(error) => tracing::error!(%error, "the database does not answer: not serving"),
            }
            let status = if is_well { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in services.iter().copied().chain([""]) {
                health.set_service_status(service, status).await;
            }
            was_well = Some(is_well);
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn probe(app: &App) -> Result<(), DbError> {
    let mut connection = app.pool.checkout().await?;
    clock::now(&mut connection).await?;
    connection.finish();
    Ok(())
}
