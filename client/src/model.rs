//! The data that calls return: orders, stores and what belongs to them, as plain types.
//!
//! Structs and enums may gain fields and values. An enum's value that this version does not know is
//! `Unrecognized`; it is never an error. Instants are exact to the microsecond.

mod actor;
mod annotations;
mod answer;
mod bulk;
mod cancellation;
mod decision;
mod denial;
mod event;
mod event_detail;
mod feed;
mod gate;
mod incident;
mod money;
mod order;
mod payment;
mod preview;
mod quality;
mod reasons;
mod refund;
mod shipment;
mod simulation;
mod stock;
mod store;
mod summary;

pub use actor::{Actor, CancellationFault, Party, Role};
pub use annotations::{AddedNote, ExternalReference, Note, NoteVisibility, UpdatedMetadata};
pub use answer::{Page, Written};
pub use bulk::{BulkCancellation, BulkFilter, BulkOutcome, BulkResult, BulkState, BulkUnits};
pub use cancellation::{
    Cancellation, CancellationEffect, CancellationOutcome, CancellationPart, CancellationPath,
    CancellationState, Deductions, FoundCancellation, LabelState, LineQuantity, ParcelReceipt,
    PartState, RequestedCancellation, ReturnState,
};
pub use decision::{
    EvaluatedPath, PassedOverRule, PolicyCondition, PolicyDecision, PolicyEvaluation,
    UnmetCondition,
};
pub use denial::Denial;
pub use event::{Event, EventType};
pub use event_detail::{EventDetail, PlannedShipment, SkuQuantity};
pub use feed::{Consumer, EventBatch, PartitionPosition};
pub use gate::{
    Gate, GateAnswer, GateKind, GatePreview, GateState, NextAction, OnDispatch, OnLost, OnTimeout,
    RespondWithin,
};
pub use incident::{Incident, IncidentKind, IncidentResolution, IncidentState, ResolvedIncident};
pub use money::Money;
pub use order::{Destination, FoundOrders, Line, Order, OrderState, OrderTotals, ShippingCharge};
pub use payment::{Payment, PaymentFact, PaymentState};
pub use preview::{CancellationPreview, PathOption, QualityPreview, Quote, Rejection};
pub use quality::{CountedCancellation, SellerQuality, SellerThreshold, ThresholdCrossing};
pub use reasons::{CancellationReason, CancellationReasons};
pub use refund::{Refund, RefundAmount, RefundDue, RefundKind, RefundResult, RefundState};
pub use shipment::{
    CustomsFlag, GoodsCondition, Hold, Intercept, InterceptState, Shipment, ShipmentContent,
    ShipmentStage, SplitOff, TrackingFact,
};
pub use simulation::{
    Compared, NotReplayedCount, NotReplayedReason, PolicyAnswer, PolicyOccasion, PolicyQuestion,
    SimulatedCase, SimulatedOutcome, SimulatedPortion, SimulatedTransitions, SimulationMessage,
    SimulationProgress, SimulationSummary,
};
pub use stock::{Stock, StockEntry, StockEntryKind, StockHolder};
pub use store::{
    Carrier, Policy, PolicyActivation, PolicyState, Preset, ReturnLabel, Store, Warehouse, Weekday,
};
pub use summary::{ActionsSummary, BoundedCount, OrderStateCount, OrdersSummary};

pub(crate) use answer::{read_page, read_request_id, read_written};
