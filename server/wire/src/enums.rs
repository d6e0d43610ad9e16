//! Closed enums of the domain and their open twins on the wire. Both sides are matched in full: a
//! value that one side gains does not compile until the other knows it, or it stands in brackets:
//! that is of the wire alone.

use belay_domain::actor::Role;
use belay_domain::annotations::NoteVisibility;
use belay_domain::bulk::{BulkOutcome, JobState};
use belay_domain::calendar::Weekday;
use belay_domain::cancellation::{
    CancellationOutcome, CancellationState, GateState, LabelState, PartState,
};
use belay_domain::decision::Occasion;
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::incident::{IncidentKind, IncidentState, Resolution};
use belay_domain::order::OrderState;
use belay_domain::payment::{PaymentFact, PaymentState};
use belay_domain::policy::ConditionKey;
use belay_domain::refund::{RefundKind, RefundState};
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_domain::simulation::NotReplayed;
use belay_domain::stock::EntryKind;
use belay_domain::terms::{
    Effect, Fault, GateKind, GoodsCondition, NextAction, OnDispatch, OnLost, OnTimeout, Path,
};
use belay_proto::v1 as pb;

/// A closed enum that has a twin on the wire.
pub trait Wire: Copy {
    /// The number that stands for it.
    fn number(self) -> i32;
    /// None for UNSPECIFIED and for numbers that this server does not know.
    fn from_number(number: i32) -> Option<Self>;
}

macro_rules! wire {
    ($($Domain:ident = $Proto:ident {
        $($Variant:ident),* $(,)?
    } $([$($Only:ident),+])?)*) => {$(
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
                    $($(pb::$Proto::$Only => None,)+)?
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
    PaymentFact = PaymentFact {
        Attempted, Authorized, Captured, Declined, Voided, RefundedOutside, Chargeback, ChargebackReversed,
    }
    Stage = ShipmentStage {
        Unreleased, Planned, Preparing, Ready, InTransit, Delivered, Cancelled, Lost, Returning, Returned, Split,
    }
    TrackingFact = TrackingFact { PickedUp, InTransit, Delivered, Lost, Returning, Returned }
    InterceptState = InterceptState { Requested, Confirmed, Returning, Received, Failed }
    GoodsCondition = GoodsCondition { Unopened, Opened, Damaged }
    CancellationState = CancellationState { Pending, Completed, Rejected, Withdrawn }
    CancellationOutcome = CancellationOutcome { Full, Partial }
    Fault = CancellationFault { Buyer, Seller, Carrier, Platform, None }
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
    RefundState = RefundState { Due, Blocked, Submitted, Settled, Failed, Unknown, Dropped, Cancelled }
    IncidentKind = IncidentKind {
        CancelledYetShipped, LateFact, RefundMismatch, RefundFailed, PaymentLapsed, GoodsUnpaid, OverRefunded,
        CaptureMismatch,
    }
    IncidentState = IncidentState { Open, Resolved }
    Resolution = IncidentResolution { RefundAnyway, DropRefund, RetryRefund, Accept }
    EventType = EventType {
        OrderCreated, PaymentRecorded, OrderPaid, OrderClosedUnpaid, ShipmentStageChanged, TrackingRecorded,
        CancellationRequested, CancellationCompleted, CancellationRejected, CancellationWithdrawn, GateOpened,
        GateClosed, GateReminder, PartEnded, RefundCreated, RefundStateChanged, RefundOverdue, IncidentOpened,
        IncidentResolved, ShipmentHeld, HoldEnded, ShipmentSplit, InterceptChanged, ParcelReceived, PreparationOverdue,
        PaymentVerified, PaymentLapsed, MetadataChanged, NoteAdded,
    } [RequestRejected]
    NoteVisibility = NoteVisibility { Private, Public }
    EntryKind = StockEntryKind { Reserved, Released, Shipped, PutBack, SetAside, Zeroed, Counted, Archived }
    ErrorReason = ErrorReason {
        MetadataTooLarge, MethodUnknown, EncodingUnsupported, NameUnknown, InvalidField, PageTokenInvalid,
        ResumeTokenInvalid, PositionExpired, PositionAhead, WatcherTooSlow, ConsumerNotFound, PositionBehind,
        ConsumersExhausted, BulkCancellationNotFound, BulkCancellationsExhausted,
        MessageTooLarge, DeadlineExceeded, CallerUnknown, SessionEnded, CallerLimit, SecondPersonNeeded,
        RoleNotAllowed, Overloaded,
        StoreNotFound, WarehouseNotFound, PresetNotFound, PolicyNotFound, OrderNotFound, OutOfScope, LineNotFound,
        ShipmentNotFound, CancellationNotFound, RefundNotFound, IncidentNotFound, RequestIdReused,
        OrderAlreadyExists, StoreAlreadyExists, EtagMismatch, FenceStale, UnknownWarehouse,
        UnknownCarrier, ReasonRequired, ReasonUnknown, ReasonNotAllowed, NoteRequired,
        EvidenceRequired, OrderClosed, AlreadyPending, UnitsClaimed, QuantityUnavailable,
        NothingToCancel, QuoteExpired, QuoteMismatch, NotAllowed, Shipped, Delivered, AlreadyEnded,
        PaymentVerifying, UnpaidClosesItself, RefundNotOffered, NotInterceptable, CarrierRefused,
        WarehouseCannotStop, LabelUnavailableInRegion, NoAgreement, ConsentRefused, GateNotOpen,
        GateTimedOut, NotTheRequester, TooLateToWithdraw, PaymentLapsed, NotReleased,
        StageMismatch, ShipmentHeld, ShipmentBarred, SplitNotAllowed, CurrencyMismatch,
        RefundNotClaimed, IncidentResolved, ResolutionNotAllowed, LimitReached, PolicyInvalid,
        DatabaseUnavailable, Contention, OutcomeUnknown, Internal,
    }
    JobState = BulkState { Selecting, Running, Stopping, Completed, Stopped, Failed }
    BulkOutcome = BulkOutcome { Waiting, Completed, Pending, Rejected, Failed }
    Occasion = PolicyOccasion { Request, Return, Resolution, Reevaluation }
    NotReplayed = NotReplayedReason { EarlierFormat, RejectedOtherwise, VersionUnknown }
    ConditionKey = PolicyCondition {
        Actor, Stage, Path, Reason, Paid, PaymentMethod, Age, ValueAtLeast, ValueLessThan, DestinationCountry,
        InTransitCancel, PartnerDelivery, ReturnLabel, CustomsFlagged,
    }
    Weekday = Weekday { Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday }
}

/// The numbers of a list.
pub fn numbers<T: Wire>(values: &[T]) -> Vec<i32> {
    values.iter().map(|value| value.number()).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// One enum of the wire, and what the domain makes of it.
    struct Row {
        twin: &'static str,
        /// How many values the domain has.
        count: usize,
        /// The value that a number stands for: its name and the number that it goes back to.
        read: fn(i32) -> Option<(&'static str, i32)>,
        /// The number of the value that is stored under a name, in a column by itself or within
        /// JSON.
        stored: fn(&str) -> [Option<i32>; 2],
    }

    macro_rules! rows {
        ($($Domain:ident = $twin:literal,)*) => {
            [$(Row {
                twin: $twin,
                count: $Domain::ALL.len(),
                read: |number| $Domain::from_number(number).map(|value| (value.name(), value.number())),
                stored: |name| {
                    let within: Option<$Domain> = serde_json::from_value(name.into()).ok();
                    // Nothing is written that would not be read again.
                    let within = within.filter(|value| serde_json::to_value(value).is_ok_and(|json| json == name));
                    [$Domain::parse(name), within].map(|value| value.map(Wire::number))
                },
            },)*]
        };
    }

    /// Values that only the wire has.
    const OF_THE_WIRE: &[&str] = &["EVENT_TYPE_REQUEST_REJECTED"];

    /// Enums of the wire that the domain has no closed enum for: they are put together from
    /// something else.
    const WITHOUT_TWIN: &[&str] = &[
        "BulkUnits",
        "FeedStart",
        "OnIneligibleUnits",
        "Party",
        "PolicyState",
        "RefundResult",
        "ReturnState",
    ];

    #[test]
    fn every_value_goes_from_the_wire_to_the_domain_to_the_database_and_back() {
        let rows = rows![
            Role = "Role",
            OrderState = "OrderState",
            PaymentState = "PaymentState",
            PaymentFact = "PaymentFact",
            Stage = "ShipmentStage",
            TrackingFact = "TrackingFact",
            InterceptState = "InterceptState",
            GoodsCondition = "GoodsCondition",
            CancellationState = "CancellationState",
            CancellationOutcome = "CancellationOutcome",
            Fault = "CancellationFault",
            Effect = "CancellationEffect",
            Path = "CancellationPath",
            PartState = "PartState",
            GateKind = "GateKind",
            GateState = "GateState",
            OnTimeout = "OnTimeout",
            OnDispatch = "OnDispatch",
            OnLost = "OnLost",
            LabelState = "LabelState",
            NextAction = "NextAction",
            RefundKind = "RefundKind",
            RefundState = "RefundState",
            IncidentKind = "IncidentKind",
            IncidentState = "IncidentState",
            Resolution = "IncidentResolution",
            EventType = "EventType",
            ErrorReason = "ErrorReason",
            Weekday = "Weekday",
            NoteVisibility = "NoteVisibility",
            EntryKind = "StockEntryKind",
            JobState = "BulkState",
            BulkOutcome = "BulkOutcome",
            Occasion = "PolicyOccasion",
            NotReplayed = "NotReplayedReason",
            ConditionKey = "PolicyCondition",
        ];
        let set = prost_types::FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "belay.v1");
        let enums: Vec<_> = files.flat_map(|file| &file.enum_type).collect();
        assert_eq!(enums.len(), rows.len() + WITHOUT_TWIN.len());
        for found in enums
            .iter()
            .filter(|found| !WITHOUT_TWIN.contains(&found.name()))
        {
            let Some(row) = rows.iter().find(|row| row.twin == found.name()) else {
                panic!("{} is new: give it a twin and a row", found.name())
            };
            let (unspecified, values) = found.value.split_first().unwrap();
            let prefix = unspecified.name().strip_suffix("UNSPECIFIED").unwrap();
            assert_eq!(
                (row.read)(unspecified.number()),
                None,
                "{}",
                unspecified.name()
            );
            let is_known = |value: &&prost_types::EnumValueDescriptorProto| {
                !OF_THE_WIRE.contains(&value.name())
            };
            let values: Vec<_> = values.iter().filter(is_known).collect();
            assert_eq!(row.count, values.len(), "{}", row.twin);
            for value in values {
                let short = value.name().strip_prefix(prefix).unwrap();
                assert_eq!(
                    (row.read)(value.number()),
                    Some((short, value.number())),
                    "{}",
                    value.name()
                );
                assert_eq!(
                    (row.stored)(short),
                    [Some(value.number()); 2],
                    "{}",
                    value.name()
                );
            }
        }
    }

    #[test]
    fn unspecified_and_unknown_numbers_are_nothing() {
        assert_eq!(Path::from_number(0), None);
        assert_eq!(Path::from_number(99), None);
        assert_eq!(Path::from_number(-1), None);
    }
}
