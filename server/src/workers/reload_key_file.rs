//! Takes over changes of the key file, so that a secret is given or withdrawn without a restart.

use std::sync::Arc;

use crate::auth::key_file::{self, Difference, KeyFile, RELOAD_INTERVAL, Reload};
use crate::telemetry::metrics::{Metrics, ReloadedFile};

/// Runs for as long as it is polled.
pub async fn run(callers: Arc<KeyFile>, metrics: Metrics) {
    loop {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        let callers = callers.clone();
        // A file may be on a slow disk.
        match tokio::task::spawn_blocking(move || callers.reload()).await {
            Ok(Reload::Unchanged) => {}
            Ok(Reload::Taken(difference)) => {
                metrics.reloaded(ReloadedFile::Keys, true);
                tell(&difference);
            }
            Ok(Reload::Invalid(error)) => {
                metrics.reloaded(ReloadedFile::Keys, false);
                tracing::error!(
                    %error,
                    "the callers stay those from before, also those whom the file was to drop"
                );
            }
            Err(error) => tracing::error!(%error, "the key file could not be read again"),
        }
    }
}

/// A line for each kind of change, with whom it is about.
fn tell(difference: &Difference) {
    tracing::info!("the key file has changed and is taken");
    for (change, callers) in difference.changes() {
        tracing::info!(
            change,
            count = callers.len(),
            callers = key_file::told(callers),
            "callers of the key file have changed"
        );
    }
}
