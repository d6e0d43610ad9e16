//! The checks themselves: what finds nothing wrong must be able to find something.

use belay_client::model::TrackingFact;
use belay_proto::v1 as pb;
use belay_tests::{TestServer, invariants, run};
use prost::Message;

/// A row changed behind Belay's back, and the invariant that is then broken.
const CORRUPTIONS: &[(&str, &str, &str)] = &[
    (
        "UPDATE refunds SET goods = goods + 1",
        "UPDATE refunds SET goods = goods - 1",
        "M1",
    ),
    (
        "UPDATE payments SET captured = 1",
        "UPDATE payments SET captured = 2249",
        "M1",
    ),
    (
        "UPDATE refunds SET kind = 'VOID'",
        "UPDATE refunds SET kind = 'REFUND'",
        "M1",
    ),
    (
        "UPDATE refunds SET goods = -goods",
        "UPDATE refunds SET goods = -goods",
        "M1",
    ),
    (
        "UPDATE shipments SET shipping = shipping + 1",
        "UPDATE shipments SET shipping = shipping - 1",
        "M2",
    ),
    (
        "UPDATE cancellation_parts SET refund_tax = 9",
        "UPDATE cancellation_parts SET refund_tax = 359",
        "M2",
    ),
    (
        "UPDATE cancellation_parts SET units = '[[1,0,3]]'",
        "UPDATE cancellation_parts SET units = '[[1,0,3],[2,0,1]]'",
        "M2",
    ),
    (
        "UPDATE shipments SET units = '[[1,0,4],[2,0,1]]'",
        "UPDATE shipments SET units = '[[1,0,3],[2,0,1]]'",
        "M3",
    ),
    (
        "UPDATE shipments SET units = '[[1,0,3],[1,2,1],[2,0,1]]'",
        "UPDATE shipments SET units = '[[1,0,3],[2,0,1]]'",
        "M3: a unit is in two shipments",
    ),
    (
        "UPDATE shipments SET units = '[]'",
        "UPDATE shipments SET units = '[[1,0,3],[2,0,1]]'",
        "M3",
    ),
    (
        "UPDATE shipments SET units = NULL",
        "UPDATE shipments SET units = '[[1,0,3],[2,0,1]]'",
        "M3",
    ),
    (
        "UPDATE orders SET version = version + 1",
        "UPDATE orders SET version = version - 1",
        "S2",
    ),
    (
        "UPDATE partition_heads SET head = head + 1",
        "UPDATE partition_heads SET head = head - 1",
        "F1",
    ),
    (
        "UPDATE orders SET refund_count = 0",
        "UPDATE orders SET refund_count = 1",
        "an order's counts",
    ),
];

#[test]
fn each_invariant_is_found_broken_where_it_is() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        find_each(t, CORRUPTIONS).await;
    });
}

/// Each is found, and nothing before it or once it is put right.
async fn find_each(t: &TestServer, corruptions: &[(&str, &str, &str)]) {
    assert_eq!(invariants::violations(&t.database).await, [""; 0]);
    for (corrupt, fix, invariant) in corruptions {
        assert!(t.database.execute(corrupt, ()).await > 0, "{corrupt}");
        let violations = invariants::violations(&t.database).await;
        assert!(
            violations.iter().any(|found| found.starts_with(invariant)),
            "{corrupt}: {violations:#?}"
        );
        t.database.execute(fix, ()).await;
        assert_eq!(invariants::violations(&t.database).await, [""; 0], "{fix}");
    }
}

/// The same of what is projected of an order that waits.
const CORRUPTIONS_OF_STOCK: &[(&str, &str, &str)] = &[
    (
        "UPDATE stock_balances SET on_hand = on_hand + 1",
        "UPDATE stock_balances SET on_hand = on_hand - 1",
        "K1",
    ),
    (
        "UPDATE stock_orders SET holdings = REPLACE(holdings, '3,3,3]', '3,3,2]')",
        "UPDATE stock_orders SET holdings = REPLACE(holdings, '3,3,2]', '3,3,3]')",
        "K3",
    ),
    (
        "UPDATE stock_orders SET holdings = REPLACE(holdings, 'MUG', 'mug')",
        "UPDATE stock_orders SET holdings = REPLACE(holdings, 'mug', 'MUG')",
        "K3",
    ),
    // One that waits is missing, and one that does not is there.
    (
        "UPDATE stock_holders SET shipment = 9",
        "UPDATE stock_holders SET shipment = 1",
        "K4",
    ),
    (
        "UPDATE stock_orders SET holdings = REPLACE(holdings, 'PLANNED', 'CANCELLED')",
        "UPDATE stock_orders SET holdings = REPLACE(holdings, 'CANCELLED', 'PLANNED')",
        "K4",
    ),
    (
        "UPDATE stock_orders SET holdings = REPLACE(holdings, '3,3,3]', '3,0,3]')",
        "UPDATE stock_orders SET holdings = REPLACE(holdings, '3,0,3]', '3,3,3]')",
        "K4",
    ),
];

#[test]
fn each_invariant_of_stock_is_found_broken_where_it_is() {
    run(async |t| {
        t.place_paid("A-1").await;
        belay_tests::stock::projected(&t.database).await;
        find_each(t, CORRUPTIONS_OF_STOCK).await;
    });
}

#[test]
fn a_closed_unpaid_order_with_money_is_found() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.database
            .execute("UPDATE orders SET state = 'CLOSED_UNPAID'", ())
            .await;
        let violations = invariants::violations(&t.database).await;
        assert!(
            violations.iter().any(|found| found.starts_with("S3")),
            "{violations:#?}"
        );
        t.database
            .execute("UPDATE orders SET state = 'TO_SHIP'", ())
            .await;
    });
}

/// The events of a row, but for those that open an incident.
fn without_incidents(mut payload: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while !payload.is_empty() {
        let event = pb::Event::decode_length_delimited(&mut payload).expect("an event");
        if event.event_type() != pb::EventType::IncidentOpened {
            kept.extend(event.encode_length_delimited_to_vec());
        }
    }
    kept
}

#[test]
fn what_left_after_it_was_cancelled_is_found_unless_an_incident_says_so() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        t.scan("A-1:s1", TrackingFact::PickedUp).await;
        assert_eq!(invariants::violations(&t.database).await, [""; 0]);
        let kept: Vec<(u16, u64, Vec<u8>)> = t
            .database
            .rows("SELECT shard_partition, position, payload FROM events", ())
            .await;
        for (partition, position, payload) in &kept {
            let silent = "UPDATE events SET payload = ? WHERE shard_partition = ? AND position = ?";
            t.database
                .execute(silent, (without_incidents(payload), partition, position))
                .await;
        }
        let violations = invariants::violations(&t.database).await;
        assert!(
            violations.iter().any(|found| found.starts_with("S1")),
            "{violations:#?}"
        );
        for (partition, position, payload) in kept {
            let fix = "UPDATE events SET payload = ? WHERE shard_partition = ? AND position = ?";
            t.database
                .execute(fix, (payload, partition, position))
                .await;
        }
    });
}
