//! The first rung of every decision: how much of an order a command is about, and whether that is
//! there for its caller.

use crate::order::Order;
use crate::rejection::Rejection;
use crate::scope::Scope;

/// The reach of a command: how much of an order it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The order itself, its payments or its refunds.
    Order,
    Shipment(u32),
    /// Every shipment that it has a part on.
    Cancellation(u32),
    /// Units of whichever shipment.
    EveryShipment,
}

/// A caller of this scope may reach so much of the order: what it does not see is not there for
/// it.
pub(crate) fn check(order: &Order, reach: Reach, scope: &Scope) -> Result<(), Rejection> {
    if !scope.sees_order(order) {
        return Err(Rejection::OrderNotFound);
    }
    match reach {
        Reach::Shipment(number)
            if order
                .shipment(number)
                .is_some_and(|shipment| !scope.sees_shipment(shipment)) =>
        {
            Err(Rejection::ShipmentNotFound { shipment: number })
        }
        Reach::Cancellation(number) if !sees_cancellation(order, number, scope) => {
            Err(Rejection::OutOfScope)
        }
        Reach::EveryShipment
            if !order
                .shipments
                .iter()
                .all(|shipment| scope.sees_shipment(shipment)) =>
        {
            Err(Rejection::OutOfScope)
        }
        Reach::Order | Reach::Shipment(_) | Reach::Cancellation(_) | Reach::EveryShipment => Ok(()),
    }
}

fn sees_cancellation(order: &Order, number: u32, scope: &Scope) -> bool {
    let parts = order
        .cancellation(number)
        .into_iter()
        .flat_map(|cancellation| &cancellation.parts);
    let mut shipments = parts.filter_map(|part| order.shipment(part.shipment));
    shipments.all(|shipment| scope.sees_shipment(shipment))
}
