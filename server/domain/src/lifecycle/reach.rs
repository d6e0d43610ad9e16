//! The first rung of every decision: how much of an order a command is about, and whether that is
//! there for its caller.

use crate::order::Order;
use crate::rejection::Rejection;
use crate::scope::{Scope, View};
use crate::shipment::Shipment;

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
pub(crate) fn check(
    order: &Order,
    reach: Reach,
    view: View,
    scope: &Scope,
) -> Result<(), Rejection> {
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
        Reach::Cancellation(number) => check_cancellation(order, number, view, scope),
        Reach::EveryShipment
            if !order
                .shipments
                .iter()
                .all(|shipment| scope.sees_shipment(shipment)) =>
        {
            Err(Rejection::OutOfScope)
        }
        Reach::Order | Reach::Shipment(_) | Reach::EveryShipment => Ok(()),
    }
}

/// All of its parts must be the caller's. Who sees parcels is told of one without such a part that
/// it is not there, as reads say.
fn check_cancellation(
    order: &Order,
    number: u32,
    view: View,
    scope: &Scope,
) -> Result<(), Rejection> {
    let Some(cancellation) = order.cancellation(number) else {
        return Ok(());
    };
    let shipments = cancellation
        .parts
        .iter()
        .filter_map(|part| order.shipment(part.shipment));
    let (own, others): (Vec<&Shipment>, Vec<&Shipment>) =
        shipments.partition(|shipment| scope.sees_shipment(shipment));
    match view {
        _ if others.is_empty() => Ok(()),
        View::Parcels if own.is_empty() => Err(Rejection::CancellationNotFound {
            cancellation: number,
        }),
        View::Whole | View::Parcels => Err(Rejection::OutOfScope),
    }
}
