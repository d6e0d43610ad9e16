//! Networks that are cut, and healed.

use std::time::Duration;

use belay_client::{Belay, RetryPolicy, Role};
use belay_tests::SHOP;
use belay_tests::group::Group;
use belay_tests::instance::Service;
use belay_tests::network::Cut;
use tokio::time::{Instant, sleep};

use crate::load::Seen;
use crate::report::Kind;
use crate::{another_serves, writes_go_on};

/// How long servers do not reach the primary.
const UNREACHABLE: Duration = Duration::from_secs(20);
/// Less than the five seconds by which a group notices.
const BLIP: Duration = Duration::from_secs(3);
/// How long the caller of a server that reaches the old primary alone waits.
const LONE_WAIT: Duration = Duration::from_secs(2);
/// What that caller reads.
const LONE_READS: usize = 5;

/// Cuts the primary off, and heals the network as the kind of event says.
pub(crate) async fn cut(group: &Group, kind: Kind, primary: usize, seen: &Seen) {
    let network = group.network();
    match kind {
        Kind::Blip => {
            network.cut(primary, Cut::All);
            sleep(BLIP).await;
            network.heal(primary);
        }
        Kind::Unreachable => {
            network.cut(primary, Cut::Callers);
            sleep(UNREACHABLE).await;
            network.heal(primary);
        }
        Kind::Isolate => {
            network.cut(primary, Cut::All);
            let cut_at = Instant::now();
            another_serves(group, primary).await;
            writes_go_on(seen, cut_at).await;
            network.heal(primary);
            group.come_back(primary).await;
        }
        Kind::Partition => partition(group, primary, seen).await,
        Kind::Kill | Kind::Switch | Kind::Stop | Kind::Freeze => {
            unreachable!("{} cuts no network", kind.name())
        }
    }
}

/// A minority whose primary is still reached, and by one server alone: that must not tell of what
/// it no longer knows.
async fn partition(group: &Group, primary: usize, seen: &Seen) {
    let lone = Service::start(group.member(primary).serve_url(), |_| {}).await;
    let before = seen.orders();
    group.network().cut(primary, Cut::Hosts);
    let cut_at = Instant::now();
    another_serves(group, primary).await;
    writes_go_on(seen, cut_at).await;
    let caller = Belay::builder(format!("http://{}", lone.address()))
        .role(Role::Storefront, "web")
        .timeout(LONE_WAIT)
        .retry(RetryPolicy::never())
        .build();
    let caller = caller.expect("a client").store(SHOP);
    let mut answered = 0;
    for order_id in seen.ended_since(&before).iter().rev().take(LONE_READS) {
        answered += usize::from(seen.read_once(&caller, order_id).await);
    }
    let acknowledged = seen.place_once(&caller).await;
    eprintln!(
        "a server that reaches the old primary alone answered {answered} of {LONE_READS} reads, and acknowledged {} write",
        if acknowledged { "a" } else { "no" }
    );
    group.network().heal(primary);
    group.come_back(primary).await;
    lone.stop().await;
}
