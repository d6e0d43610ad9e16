//! Takes over changes of the file with the proxy's secrets, so that one is given or withdrawn without
//! a restart.

use std::sync::Arc;

use crate::auth::key_file::RELOAD_INTERVAL;
use crate::auth::proxy::Proxy;

/// Runs for as long as it is polled; not at all where the proxy shows a certificate.
pub async fn run(proxy: Arc<Proxy>) {
    while let Proxy::Secret(_) = &*proxy {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        let looking = proxy.clone();
        // A file may be on a slow disk.
        let look = move || {
            if let Proxy::Secret(secrets) = &*looking {
                secrets.reload();
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "the proxy's secrets could not be looked at");
        }
    }
}
