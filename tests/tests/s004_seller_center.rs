//! The acceptance cases of the policy `seller-center`: the page "Managing Cancellations" of a
//! marketplace's seller centre.

mod quality;
mod requests;

use belay_client::Role;
use belay_client::calls::FirstPolicy;
use belay_tests::TestServer;
use belay_tests::market::Market;
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The store's clock is Berlin's; that of its warehouse is Shanghai's.
async fn open(t: &TestServer) -> Market<'_> {
    let market = t.open_market(FirstPolicy::preset("seller-center")).await;
    let operator = market.as_role(Role::Operator, "ops");
    operator
        .update_store()
        .time_zone("Europe/Berlin")
        .await
        .expect("a time zone");
    market
}

/// Lets another policy decide from now on, as soon as every replica knows; its version.
async fn govern_by(t: &TestServer, market: &Market<'_>, document: String) -> i32 {
    let operator = market.as_role(Role::Operator, "ops");
    let version = operator
        .create_policy(document)
        .await
        .expect("a policy")
        .version;
    let active = operator
        .activate_policy(version)
        .await
        .expect("an activation");
    t.set_clock(active.effective_time.expect("an instant"))
        .await;
    version
}
