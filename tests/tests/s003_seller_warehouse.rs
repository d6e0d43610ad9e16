//! The acceptance cases of the policy `seller-warehouse`: the page "Cancellation by seller" of a
//! marketplace, for orders that leave from sellers' own warehouses.

mod customs;
mod in_transit;
mod later;
mod packing;

use belay_client::calls::FirstPolicy;
use belay_tests::TestServer;
use belay_tests::market::Market;
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// Where a seller may show to have been asked by the buyer.
const CHAT: &str = "CHAT:thread-77";

async fn open(t: &TestServer) -> Market<'_> {
    t.open_market(FirstPolicy::preset("seller-warehouse")).await
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

#[test]
fn every_case_has_a_test() {
    let sources = [
        include_str!("s003_seller_warehouse/packing.rs"),
        include_str!("s003_seller_warehouse/in_transit.rs"),
        include_str!("s003_seller_warehouse/customs.rs"),
        include_str!("s003_seller_warehouse/later.rs"),
    ];
    let tests = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("fn s003_"));
    let mut proved: Vec<u32> = tests
        .filter_map(|test| test.get(..2)?.parse().ok())
        .collect();
    proved.sort_unstable();
    assert_eq!(proved, (1..=19).collect::<Vec<_>>());
}
