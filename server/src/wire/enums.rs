//! Closed enums of the domain and their open twins on the wire. Both sides are matched in full: a value that one side gains does
//! not compile until the other knows it.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationState, Fault, GateKind, GateState, LabelState, Outcome, PartState, Path};
use belay_domain::event::EventType;
use belay_domain::incident::{IncidentKind, IncidentState, Resolution};
use belay_domain::order::OrderState;
use belay_domain::payment::{PaymentFact, PaymentState};
use belay_domain::policy::{Effect, GoodsCondition, NextAction, OnDispatch, OnLost, OnTimeout, Weekday};
use belay_domain::refund::{RefundKind, RefundState};
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_proto::v1 as pb;

/// A closed enum that has a twin on the wire.
pub(crate) trait Wire: Copy {
    /// The number that stands for it.
    fn number(self) -> i32;
    /// None for UNSPECIFIED and for numbers that this server does not know.
    fn from_number(number: i32) -> Option<Self>;
}

macro_rules! wire {
    ($($Domain:ident = $Proto:ident { $($Variant:ident),* $(,)? })*) => {$(
        impl Wire for $Domain {
            fn number(self) -> i32 {
                let twin = match self {
                    $($Domain::$Variant => pb::$Proto::$Variant,)*
                };
                twin.into()
            }

            fn from_number(number: i32) -> Option<Self> {
                match pb::$Proto::try_from(number).ok()? {
                    pb::$Proto::Unspecified => None,
                    $(pb::$Proto::$Variant => Some($Domain::$Variant),)*
                }
            }
        }
    )*};
}

wire! {
    Role = Role { Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator, Auditor, Buyer, System }
    OrderState = OrderState {
        AwaitingPayment, ClosedUnpaid, Cancelled, ToShip, Processing, PartlyShipped, Shipped, Delivered,
    }
    PaymentState = PaymentState { Attempting, Authorized, Captured, Declined, Voided }
    PaymentFact = PaymentFact { Attempted, Authorized, Captured, Declined, Voided, RefundedOutside, Chargeback }
    Stage = ShipmentStage {
        Unreleased, Planned, Preparing, Ready, InTransit, Delivered, Cancelled, Lost, Returning, Returned, Split,
    }
    TrackingFact = TrackingFact { PickedUp, InTransit, Delivered, Lost, Returning, Returned }
    InterceptState = InterceptState { Requested, Confirmed, Returning, Received, Failed }
    GoodsCondition = GoodsCondition { Unopened, Opened, Damaged }
    CancellationState = CancellationState { Pending, Completed, Rejected, Withdrawn }
    Outcome = CancellationOutcome { Full, Partial }
    Fault = Fault { Buyer, Seller, Carrier, Platform, None }
    Effect = CancellationEffect { ZeroStock, Restock }
    Path = CancellationPath { Cancel, Intercept, RefuseDelivery, ReturnUnopened, ReturnOpened }
    PartState = PartState { Waiting, Cancelled, Refused, Withdrawn }
    GateKind = GateKind {
        SellerConsent, SupportReview, WarehouseStop, CarrierIntercept, ParcelReceipt, LossConfirmation,
    }
    GateState = GateState { Queued, Open, Passed, Refused, Closed }
    OnTimeout = OnTimeout { Pass, Refuse, Escalate }
    OnDispatch = OnDispatch { Bar, RefusePart }
    OnLost = OnLost { Pass, Escalate }
    LabelState = LabelState { Issued, UnavailableInRegion }
    NextAction = NextAction {
        Cancel, Intercept, RefuseDelivery, ReturnUnopened, ReturnOpened, ContactSupport, ContactSeller, Wait, Pay,
        SplitShipment, SetStock, ArchiveSku, ChangeDeliveryArea,
    }
    RefundKind = RefundKind { Refund, Void }
    RefundState = RefundState { Due, Blocked, Submitted, Settled, Failed, Unknown, Dropped }
    IncidentKind = IncidentKind { CancelledYetShipped, LateFact, RefundMismatch, RefundFailed }
    IncidentState = IncidentState { Open, Resolved }
    Resolution = IncidentResolution { RefundAnyway, DropRefund, RetryRefund, Accept }
    EventType = EventType {
        OrderCreated, PaymentRecorded, OrderPaid, OrderClosedUnpaid, ShipmentStageChanged, TrackingRecorded,
        CancellationRequested, CancellationCompleted, CancellationRejected, CancellationWithdrawn, GateOpened,
        GateClosed, GateReminder, PartEnded, RefundCreated, RefundStateChanged, RefundOverdue, IncidentOpened,
        IncidentResolved, ShipmentHeld, HoldEnded, ShipmentSplit, InterceptChanged, ParcelReceived, PreparationOverdue,
        PaymentVerified,
    }
    Weekday = Weekday { Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday }
}

/// The numbers of a list.
pub(crate) fn numbers<T: Wire>(values: &[T]) -> Vec<i32> {
    values.iter().map(|value| value.number()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_the_same_name() {
        assert_eq!(
            pb::ShipmentStage::try_from(Stage::InTransit.number()).unwrap().as_str_name(),
            "SHIPMENT_STAGE_IN_TRANSIT"
        );
        let same = |prefix: &str, ours: &str, twin: &str| assert_eq!(format!("{prefix}_{ours}"), twin);
        for action in NextAction::ALL {
            let twin = pb::NextAction::try_from(action.number()).unwrap();
            same("NEXT_ACTION", action.name(), twin.as_str_name());
            assert_eq!(NextAction::from_number(action.number()), Some(*action));
        }
        for fact in PaymentFact::ALL {
            same("PAYMENT_FACT", fact.name(), pb::PaymentFact::try_from(fact.number()).unwrap().as_str_name());
        }
        for event_type in EventType::ALL {
            let twin = pb::EventType::try_from(event_type.number()).unwrap();
            same("EVENT_TYPE", event_type.name(), twin.as_str_name());
        }
        for state in OrderState::ALL {
            same("ORDER_STATE", state.name(), pb::OrderState::try_from(state.number()).unwrap().as_str_name());
        }
    }

    #[test]
    fn unspecified_and_unknown_numbers_are_nothing() {
        assert_eq!(Path::from_number(0), None);
        assert_eq!(Path::from_number(99), None);
        assert_eq!(Path::from_number(-1), None);
    }
}
