//! What one command tells at most: a row of the feed is delivered whole.

use belay_domain::decision::Decision;
use belay_domain::ids::{CarrierId, OrderId, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::order::{CONTENTS_MAX, LINES_MAX, Order, SHIPMENTS_MAX};
use belay_wire::events;
use jiff::SignedDuration;

use crate::CLIENT_BYTES_MAX;
use crate::extremes::id;
use crate::kit::{CancellationRequest, Cart, Case, gate, gated};

/// As many shipments and contents as an order may have.
fn fullest() -> Cart {
    let per_shipment = CONTENTS_MAX / SHIPMENTS_MAX;
    let lines: Vec<(u32, i64)> = (0..LINES_MAX).map(|_| (1_000, 1_000_000)).collect();
    let contents = |shipment: usize| -> Vec<(u32, u32)> {
        let each = |at: usize| {
            (
                u32::try_from((shipment * per_shipment + at) % LINES_MAX + 1).unwrap(),
                200,
            )
        };
        (0..per_shipment).map(each).collect()
    };
    let shipments: Vec<Vec<(u32, u32)>> = (0..SHIPMENTS_MAX).map(contents).collect();
    let shipments: Vec<&[(u32, u32)]> = shipments.iter().map(|each| &**each).collect();
    Cart::of(&lines).split(&shipments)
}

/// The bytes of a row, with ids as long as they may be.
fn row_bytes(decision: &Decision) -> usize {
    let mut order: Order = decision.order.clone();
    order.id = OrderId::parse(id()).unwrap();
    order.store = StoreId::parse(id()).unwrap();
    order.seller = SellerId::parse(id()).unwrap();
    for line in &mut order.lines {
        line.sku = Sku::parse("s".repeat(128)).unwrap();
    }
    for shipment in &mut order.shipments {
        shipment.warehouse = WarehouseId::parse(id()).unwrap();
        shipment.carrier = CarrierId::parse(id()).unwrap();
    }
    let mut events = decision.events.clone();
    for event in &mut events {
        event.actor.id = id();
        event.rule = Some("r".repeat(63));
    }
    events::render(&order, &events, 127).len()
}

#[test]
fn what_one_command_tells_of_the_fullest_order_fits() {
    let silence = |on_timeout: &str| {
        gated(
            "[UNRELEASED, PLANNED]",
            &[&gate("SELLER_CONSENT", on_timeout, "BAR")],
        )
    };
    for on_timeout in ["PASS", "REFUSE", "ESCALATE"] {
        let mut case: Case = fullest().place_under(silence(on_timeout));
        assert_eq!(case.order.content_count(), CONTENTS_MAX);
        let mut rows = vec![row_bytes(&case.last)];
        let total = case.order.total().total();
        case.capture("p1", total);
        rows.push(row_bytes(&case.last));
        // Every unit waits, in as many requests as there may be.
        for shipment in 1..=SHIPMENTS_MAX {
            let number = u32::try_from(shipment).unwrap();
            case.cancel(CancellationRequest::shipment(number)).unwrap();
            rows.push(row_bytes(&case.last));
        }
        // And then everything that was waited for passes in one moment.
        case.wait(SignedDuration::from_hours(24 * 365)).settle();
        rows.push(row_bytes(&case.last));
        assert!(
            rows.iter().all(|bytes| *bytes < CLIENT_BYTES_MAX * 3 / 4),
            "{rows:?}"
        );
    }
    // All of it in one request.
    let mut case: Case = fullest().place_under(silence("REFUSE"));
    let total = case.order.total().total();
    case.capture("p1", total);
    case.cancel(CancellationRequest::all()).unwrap();
    let asked = row_bytes(&case.last);
    case.wait(SignedDuration::from_hours(24 * 365)).settle();
    assert!(asked.max(row_bytes(&case.last)) < CLIENT_BYTES_MAX * 3 / 4);
}
