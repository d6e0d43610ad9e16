//! A shipment: what is in it, where it stands and what keeps it in.

use belay_domain::context::StoreConfig;
use belay_domain::ids::ChildKind;
use belay_domain::order::Order;
use belay_domain::shipment::{CustomsFlag, Hold, Shipment, Stage};
use belay_proto::v1 as pb;

use super::cancellation::actor;
use crate::Wire;
use crate::enums::numbers;
use crate::values::{count, etag, time};
use crate::views::Viewer;

/// A shipment with what its warehouse needs, as the viewer sees it.
pub fn shipment(
    viewer: &Viewer<'_>,
    order: &Order,
    store: &StoreConfig,
    shipment: &Shipment,
) -> pb::Shipment {
    viewer.shown(whole(order, store, shipment))
}

pub(super) fn whole(order: &Order, store: &StoreConfig, shipment: &Shipment) -> pb::Shipment {
    let cancelled = shipment.units.intersection(&order.cancelled_units());
    let content = |number| {
        let line = order.line(number)?;
        Some(pb::ShipmentContent {
            line_id: ChildKind::Line.id(&order.id, number),
            sku: line.sku.to_string(),
            quantity: count(shipment.units.count_of(number)),
            cancelled_quantity: count(cancelled.count_of(number)),
            dispatched_quantity: count(shipment.whereabouts.left.count_of(number)),
            received_quantity: count(shipment.whereabouts.home.count_of(number)),
        })
    };
    pb::Shipment {
        shipment_id: ChildKind::Shipment.id(&order.id, shipment.number),
        order_id: order.id.to_string(),
        warehouse_id: shipment.warehouse.to_string(),
        carrier_id: shipment.carrier.to_string(),
        stage: shipment.stage.number(),
        fence: shipment.fence.into(),
        tracking_number: shipment
            .tracking_number
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        contents: shipment.units.lines().filter_map(content).collect(),
        // Shipments are planned with the order, and what is split off is planned no later.
        create_time: Some(time(order.create_time)),
        dispatch_time: shipment.dispatch_time.map(time),
        deliver_time: shipment.deliver_time.map(time),
        update_time: Some(time(shipment.update_time)),
        order_etag: etag(order.version),
        prepare_by: shipment.prepare_by.map(time),
        preparation_overdue: shipment.preparation_overdue,
        hold: shipment.hold.as_ref().map(hold),
        intercept: shipment.intercept.map(|intercept| pb::Intercept {
            state: intercept.state.number(),
            request_time: Some(time(intercept.request_time)),
            update_time: Some(time(intercept.update_time)),
        }),
        customs_flag: shipment
            .customs_flag
            .as_ref()
            .map(|flag| customs_flag(order, store, shipment, flag)),
        split_from_id: shipment
            .split_from
            .map(|number| ChildKind::Shipment.id(&order.id, number))
            .unwrap_or_default(),
        do_not_hand_over: must_stay(order, shipment),
    }
}

fn hold(hold: &Hold) -> pb::Hold {
    pb::Hold {
        hold_until: Some(time(hold.until)),
        note: hold.note.clone().unwrap_or_default(),
        placed_by: Some(actor(&hold.placed_by)),
        create_time: Some(time(hold.create_time)),
    }
}

/// What may be done is by the policy that the order was placed under, as the flag is.
fn customs_flag(
    order: &Order,
    store: &StoreConfig,
    shipment: &Shipment,
    flag: &CustomsFlag,
) -> pb::CustomsFlag {
    let customs = store
        .policies
        .version(order.policy_version)
        .and_then(|policy| policy.customs.as_ref());
    let is_partner = store
        .carriers
        .get(&shipment.carrier)
        .is_some_and(|carrier| carrier.partner_delivery);
    let remedies = customs.map(|customs| {
        if is_partner {
            &customs.partner_delivery
        } else {
            &customs.own_delivery
        }
    });
    pb::CustomsFlag {
        sku: flag.sku.to_string(),
        quantity: count(flag.quantity),
        units_max: count(flag.units_max),
        remedies: remedies
            .map(|remedies| numbers(remedies))
            .unwrap_or_default(),
    }
}

/// Every unit was cancelled before it left, so nothing of it may leave.
fn must_stay(order: &Order, shipment: &Shipment) -> bool {
    let is_inside = shipment.stage.is_before_dispatch() || shipment.stage == Stage::Cancelled;
    is_inside && order.live_units(shipment).is_empty()
}
