//! Stock.

use belay_domain::ids::ChildKind;
use belay_domain::stock::{EntryPlace, OpenHolding, Source, Stock, StoredEntry};
use belay_proto::v1 as pb;

use super::cancellation::actor;
use crate::Wire as _;
use crate::values::{count, time};
use crate::views::Viewer;

/// What is there of a SKU.
pub fn stock(stock: &Stock) -> pb::Stock {
    let (key, balance) = (&stock.key, stock.balance);
    pb::Stock {
        store_id: key.store.to_string(),
        warehouse_id: key.warehouse.to_string(),
        sku: key.sku.to_string(),
        on_hand_quantity: balance.on_hand,
        reserved_quantity: balance.reserved,
        available_quantity: balance.available(),
        archived: balance.is_archived,
        tell_time: time_of(stock.told_place),
        update_time: time_of(stock.last_place),
    }
}

/// None where there was nothing.
fn time_of(place: EntryPlace) -> Option<prost_types::Timestamp> {
    (place != EntryPlace::FIRST).then(|| time(place.time()))
}

/// An entry of the ledger, as the viewer sees it.
pub fn stock_entry(viewer: &Viewer<'_>, stored: &StoredEntry) -> pb::StockEntry {
    viewer.shown(whole_entry(stored))
}

fn whole_entry(stored: &StoredEntry) -> pb::StockEntry {
    let entry = &stored.entry;
    let mut shown = pb::StockEntry {
        kind: entry.kind.number(),
        quantity: count(entry.quantity),
        on_hand_change: entry.on_hand,
        reserved_change: entry.reserved,
        previous_quantity: stored.previous.unwrap_or_default(),
        entry_time: Some(time(entry.place.time())),
        ..pb::StockEntry::default()
    };
    match &entry.source {
        Source::Shipment {
            order,
            number,
            cancellation,
        } => {
            shown.order_id = order.to_string();
            shown.shipment_id = ChildKind::Shipment.id(order, *number);
            let cancellation = cancellation.map(|number| ChildKind::Cancellation.id(order, number));
            shown.cancellation_id = cancellation.unwrap_or_default();
        }
        Source::Told(told_by) => shown.actor = Some(actor(told_by)),
    }
    shown
}

/// A shipment that waits for a SKU.
pub fn stock_holder(open: &OpenHolding) -> pb::StockHolder {
    pb::StockHolder {
        order_id: open.order.to_string(),
        shipment_id: ChildKind::Shipment.id(&open.order, open.shipment),
        stage: open.holding.stage.number(),
        quantity: count(open.holding.live),
        reserved_quantity: count(open.holding.reserved),
    }
}
