//! Takes over changes of the file with the proxy's secrets, so that one is given or withdrawn
//! without a restart.

use std::sync::Arc;

use crate::auth::key_file::RELOAD_INTERVAL;
use crate::auth::proxy::Proxy;
use crate::telemetry::metrics::{Metrics, ReloadedFile};

/// Runs for as long as it is polled; not at all where the proxy shows a certificate.
pub async fn run(proxy: Arc<Proxy>, metrics: Metrics) {
    while let Proxy::Secret(_) = &*proxy {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        let looking = proxy.clone();
        // A file may be on a slow disk.
        let look = move || match &*looking {
            Proxy::Secret(secrets) => secrets.reload(),
            Proxy::Certificate(_) => None,
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Some(is_taken)) => metrics.reloaded(ReloadedFile::ProxySecret, is_taken),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the proxy's secrets could not be looked at"),
        }
    }
}
