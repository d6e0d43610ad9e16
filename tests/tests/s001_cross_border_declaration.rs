//! The acceptance cases of the policy `cross-border-declaration`: the "Declaration on Canceling
//! Orders" of a platform that ships from warehouses in several regions.

mod paid;
mod shipped;
mod unpaid;

use belay_client::calls::FirstPolicy;
use belay_tests::TestServer;
use belay_tests::market::Market;
use jiff::{SignedDuration, Timestamp};

/// 11:00 in Berlin, 18:00 in Shanghai.
const MONDAY: &str = "2026-03-02T10:00:00Z";

async fn open(t: &TestServer) -> Market<'_> {
    t.open_market(FirstPolicy::preset("cross-border-declaration"))
        .await
}

fn at(instant: &str) -> Timestamp {
    instant.parse().expect("an instant")
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[test]
fn every_case_has_a_test() {
    let sources = [
        include_str!("s001_cross_border_declaration/unpaid.rs"),
        include_str!("s001_cross_border_declaration/paid.rs"),
        include_str!("s001_cross_border_declaration/shipped.rs"),
    ];
    let tests = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("fn s001_"));
    let mut proved: Vec<u32> = tests
        .filter_map(|test| test.get(..2)?.parse().ok())
        .collect();
    proved.sort_unstable();
    assert_eq!(proved, (1..=16).collect::<Vec<_>>());
}
