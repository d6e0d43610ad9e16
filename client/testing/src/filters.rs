//! The filters of lists: what each finds in an order.

use belay_domain::cancellation::{Cancellation, Gate, GateState};
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::incident::Incident;
use belay_domain::order::Order;
use belay_domain::query::{
    CancellationFilter, IncidentFilter, ListPosition, OrderFilter, OrderSearch, RefundFilter,
    ShipmentFilter,
};
use belay_domain::scope::View;
use belay_domain::shipment::{Shipment, Stage};
use jiff::Timestamp;

pub(crate) fn sorted_by(position: &ListPosition) -> (Timestamp, OrderKey, u32) {
    (position.create_time, position.order_key, position.number)
}

/// Lists go from new to old.
pub(crate) fn is_behind(position: &ListPosition, after: &ListPosition) -> bool {
    sorted_by(position) < sorted_by(after)
}

/// Whether a condition that is given is met.
pub(crate) fn matches<T: PartialEq>(asked: Option<&T>, is: &T) -> bool {
    asked.is_none_or(|asked| asked == is)
}

/// A filter of a list: what it finds in an order that the caller sees.
pub(crate) trait Listed {
    fn positions(&self, order: &Order) -> Vec<ListPosition>;
}

fn place(order: &Order, number: u32, create_time: Timestamp) -> ListPosition {
    ListPosition {
        create_time,
        order_key: order.key(),
        number,
    }
}

impl Listed for OrderFilter {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let destination = &order.destination;
        let is_found = matches(self.buyer.as_ref(), &order.buyer.id)
            && matches(self.seller.as_ref(), &order.seller)
            && matches(self.state.as_ref(), &order.state)
            && matches(self.country.as_ref(), &destination.country_code)
            && matches(self.city.as_ref(), &destination.city)
            && self.sku.as_ref().is_none_or(|sku| has_sku(order, sku))
            && self
                .create_time_from
                .is_none_or(|from| order.create_time >= from)
            && self
                .create_time_before
                .is_none_or(|before| order.create_time < before);
        let found = is_found.then(|| place(order, 0, order.create_time));
        found.into_iter().collect()
    }
}

pub(crate) fn has_sku(order: &Order, sku: &belay_domain::ids::Sku) -> bool {
    order.lines.iter().any(|line| line.sku == *sku)
}

/// A search that looks at no ids behind one.
pub(crate) struct Search {
    pub(crate) search: OrderSearch,
    pub(crate) last_id: Option<OrderId>,
}

impl Listed for Search {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let is_looked_at = self.last_id.as_ref().is_none_or(|last| order.id <= *last);
        let is_found = is_looked_at && self.search.matches(order);
        let found = is_found.then(|| place(order, 0, order.create_time));
        found.into_iter().collect()
    }
}

impl Listed for ShipmentFilter {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let is_of = matches(self.order.as_ref(), &order.key())
            && matches(self.seller.as_ref(), &order.seller);
        let is_found = |shipment: &&Shipment| {
            is_of
                && self.scope.sees_shipment(shipment)
                && matches(self.warehouse.as_ref(), &shipment.warehouse)
                && matches(self.carrier.as_ref(), &shipment.carrier)
                && matches(self.stage.as_ref(), &shipment.stage)
                && self.prepare_by_before.is_none_or(|before| {
                    let is_due = shipment.prepare_by.is_some_and(|by| by < before);
                    shipment.stage == Stage::Planned && is_due
                })
        };
        let found = order.shipments.iter().filter(is_found);
        found
            .map(|shipment| place(order, shipment.number, order.create_time))
            .collect()
    }
}

/// Whether one of the parts matches.
fn finds_part(filter: &CancellationFilter, order: &Order, cancellation: &Cancellation) -> bool {
    let asks_gate = filter.awaiting.is_some() || filter.respond_by_before.is_some();
    let sees_parcels = filter.view == View::Parcels;
    let asks_parcel = sees_parcels || filter.warehouse.is_some() || filter.carrier.is_some();
    if !asks_gate && !asks_parcel {
        return true;
    }
    cancellation.parts.iter().any(|part| {
        let shipment = order.shipment(part.shipment);
        let is_parcel = shipment.is_some_and(|shipment| {
            (!sees_parcels || filter.scope.sees_shipment(shipment))
                && matches(filter.warehouse.as_ref(), &shipment.warehouse)
                && matches(filter.carrier.as_ref(), &shipment.carrier)
        });
        let is_awaited = |gate: &Gate| {
            gate.state == GateState::Open
                && filter
                    .awaiting
                    .is_none_or(|party| gate.spec.kind.party() == party)
                && filter
                    .respond_by_before
                    .is_none_or(|before| gate.respond_by.is_some_and(|by| by < before))
        };
        is_parcel && (!asks_gate || part.gates.iter().any(is_awaited))
    })
}

impl Listed for CancellationFilter {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let is_of = matches(self.order.as_ref(), &order.key())
            && matches(self.seller.as_ref(), &order.seller);
        let is_found = |cancellation: &&Cancellation| {
            is_of
                && matches(self.state.as_ref(), &cancellation.state())
                && finds_part(self, order, cancellation)
        };
        let found = order.cancellations.iter().filter(is_found);
        found
            .map(|found| place(order, found.number, found.create_time))
            .collect()
    }
}

impl Listed for RefundFilter {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let is_of = matches(self.order.as_ref(), &order.key())
            && matches(self.seller.as_ref(), &order.seller);
        let refunds = order.refunds.iter();
        let found = refunds.filter(|refund| is_of && matches(self.state.as_ref(), &refund.state));
        found
            .map(|refund| place(order, refund.number, refund.create_time))
            .collect()
    }
}

impl Listed for IncidentFilter {
    fn positions(&self, order: &Order) -> Vec<ListPosition> {
        let is_of = matches(self.order.as_ref(), &order.key());
        let is_about_own = |incident: &Incident| {
            let shipment = incident.shipment.and_then(|number| order.shipment(number));
            shipment.is_some_and(|shipment| self.scope.sees_shipment(shipment))
        };
        let found = order.incidents.iter().filter(|incident| {
            is_of
                && (self.view == View::Whole || is_about_own(incident))
                && matches(self.state.as_ref(), &incident.state)
                && matches(self.kind.as_ref(), &incident.kind)
        });
        found
            .map(|incident| place(order, incident.number, incident.create_time))
            .collect()
    }
}
