//! What Belay tells: orders and what belongs to them, stores and what belongs to them, as plain data.
//!
//! Structs and enums may gain fields and values. An enum's value that this version does not know is `Unrecognized`; it
//! is never an error. Instants are exact to the microsecond.

mod actor;
mod answer;
mod cancellation;
mod event;
mod gate;
mod incident;
mod money;
mod order;
mod payment;
mod preview;
mod refund;
mod shipment;
mod store;

pub use actor::{Actor, Fault, Party, Role};
pub use answer::{Page, Written};
pub use cancellation::{
    Cancellation, CancellationEffect, CancellationOutcome, CancellationPath, CancellationState, FoundCancellation,
    LineQuantity, Part, PartState, RequestedCancellation,
};
pub use event::{Event, EventDetail, EventType};
pub use gate::{Gate, GateKind, GatePreview, GateState, NextAction, OnDispatch, OnLost, OnTimeout};
pub use incident::{Incident, IncidentKind, IncidentState};
pub use money::Money;
pub use order::{Destination, Line, Order, OrderState, OrderTotals, ShippingCharge};
pub use payment::{Payment, PaymentFact, PaymentState};
pub use preview::{CancellationPreview, PathOption, Refusal};
pub use refund::{Refund, RefundAmount, RefundDue, RefundKind, RefundResult, RefundState};
pub use shipment::{Shipment, ShipmentContent, ShipmentStage, TrackingFact};
pub use store::{Carrier, Policy, PolicyActivation, PolicyState, Preset, ReturnLabel, Store, Warehouse, Weekday};

pub(crate) use answer::{read_page, read_request_id, read_written};
