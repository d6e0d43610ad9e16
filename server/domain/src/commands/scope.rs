//! The first rung of every decision: whether what a command is about is there for its caller.

use super::{Command, CreateOrder, Selection};
use crate::context::StoreFacts;
use crate::order::Order;
use crate::rejection::Rejection;
use crate::scope::Scope;

/// How much of an order a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The order itself, its payments or its refunds.
    Order,
    Shipment(u32),
    /// Every shipment that it has a part on.
    Cancellation(u32),
    /// Units of whichever shipment.
    EveryShipment,
}

impl Reach {
    fn of(command: &Command) -> Self {
        match command {
            Command::RequestCancellation(wish) => Self::of_units(&wish.selection),
            Command::StartPreparation(command) => Reach::Shipment(command.shipment),
            Command::MarkReady(command) => Reach::Shipment(command.shipment),
            Command::DispatchShipment(command) => Reach::Shipment(command.shipment),
            Command::RecordTracking(command) => Reach::Shipment(command.shipment),
            Command::AnswerStop(command) => Reach::Shipment(command.shipment),
            Command::AnswerIntercept(command) => Reach::Shipment(command.shipment),
            Command::ReceiveParcel(command) => Reach::Shipment(command.shipment),
            Command::HoldShipment(command) => Reach::Shipment(command.shipment),
            Command::ReleaseHold(command) => Reach::Shipment(command.shipment),
            Command::SplitShipment(command) => Reach::Shipment(command.shipment),
            Command::ApproveCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::RejectCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::WithdrawCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::RecordPayment(_)
            | Command::LeaseRefunds(_)
            | Command::RecordRefundResult(_)
            | Command::ResolveIncident(_)
            | Command::Settle => Reach::Order,
        }
    }

    pub(super) fn of_units(selection: &Selection) -> Self {
        match selection {
            Selection::All | Selection::Lines(_) => Reach::EveryShipment,
            Selection::Shipment(number) => Reach::Shipment(*number),
        }
    }
}

/// Whether a caller of this scope may give this command: what it does not see is not there for it.
/// To be asked before anything is told of the order, also before an answer is repeated.
pub fn check_scope(order: &Order, command: &Command, scope: &Scope) -> Result<(), Rejection> {
    check_reach(order, Reach::of(command), scope)
}

pub(super) fn check_reach(order: &Order, reach: Reach, scope: &Scope) -> Result<(), Rejection> {
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

/// Nobody places what they would not see, nor a shipment that is not theirs.
pub(super) fn check_new_order(
    command: &CreateOrder,
    store: &StoreFacts,
    scope: &Scope,
) -> Result<(), Rejection> {
    let named = command
        .shipments
        .iter()
        .map(|shipment| (&shipment.warehouse, &shipment.carrier));
    let default = store
        .default_route
        .as_ref()
        .filter(|_| command.shipments.is_empty());
    let mut routes = named.chain(default.map(|(warehouse, carrier)| (warehouse, carrier)));
    match scope.sellers.holds(&command.seller)
        && routes.all(|(warehouse, carrier)| scope.sees_route(warehouse, carrier))
    {
        true => Ok(()),
        false => Err(Rejection::OutOfScope),
    }
}
