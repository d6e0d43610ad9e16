//! Takes over changes of the files of TLS, so that a certificate is renewed without a restart.

use std::sync::Arc;

use crate::telemetry::metrics::{Metrics, ReloadedFile};
use crate::tls::front::Front;

/// Runs for as long as it is polled.
pub async fn run(front: Arc<Front>, metrics: Metrics) {
    loop {
        tokio::time::sleep(front.settings().look_interval).await;
        let looking = front.clone();
        // A file may be on a slow disk.
        match tokio::task::spawn_blocking(move || looking.look()).await {
            Ok(Some(is_taken)) => metrics.reloaded(ReloadedFile::Tls, is_taken),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the files of TLS could not be looked at"),
        }
    }
}
