//! Shared by both sides of the rush: the store, and how its last parcel of the day is called.

use std::env;
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::{Belay, Error, Role};

pub(crate) const STORE: &str = "demo-rush";
/// The order number that begins so is the last of the day: with its parcel the warehouse closes.
pub(crate) const LAST: &str = "last-";

pub(crate) fn connect() -> Result<(Belay, String), Error> {
    let address = env::var("BELAY_ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let belay = Belay::builder(&address)
        .role(Role::Operator, "ops")
        .build()?;
    Ok((belay, address))
}

/// Makes the store, whose policy asks the warehouse before it cancels what is being packed. Whoever
/// comes second changes nothing.
pub(crate) async fn open_store(belay: &Belay) -> Result<(), Error> {
    let policy = FirstPolicy::preset("cross-border-declaration");
    belay.create_store(STORE, policy).await?;
    Ok(())
}

/// People take their time, and never the same.
pub(crate) async fn a_moment(longest_ms: u64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..=longest_ms))).await;
}
