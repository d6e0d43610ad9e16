//! The calls that the methods of [`Store`](crate::Store) and [`Belay`](crate::Belay) make, one type
//! each, and what is given to them.
//!
//! A call is completed by setters and sent by awaiting it or by `send`. A call that is cloned
//! before it is sent keeps its request id: both are one wish.

mod cancellations;
mod custody;
mod fulfillment;
mod incidents;
mod orders;
mod policies;
mod refunds;
mod stores;

pub use cancellations::{
    ApproveCancellation, GetCancellation, ListCancellations, OnBehalfOf, OnIneligibleUnits,
    PreviewCancellation, RejectCancellation, RequestCancellation, SummarizeActions, Units,
    WithdrawCancellation,
};
pub use custody::{
    AnswerIntercept, AnswerStop, HoldShipment, InterceptAnswer, Parcel, ReceiveParcel, ReleaseHold,
    SplitShipment, StopAnswer, Stopped,
};
pub use fulfillment::{
    DispatchShipment, GetShipment, ListShipments, MarkReady, RecordTracking, StartPreparation,
};
pub use incidents::{ListIncidents, ResolveIncident};
pub use orders::{
    CreateOrder, GetOrder, ListOrderHistory, ListOrders, NewBuyer, NewLine, NewShipment,
    RecordPayment, SummarizeOrders,
};
pub use policies::{ActivatePolicy, CreatePolicy, GetPolicy, ListPolicies, ListPresets};
pub use refunds::{ClaimRefunds, GetRefund, ListRefunds, RecordRefundResult};
pub use stores::{
    CreateStore, FirstPolicy, GetStore, ListCarriers, ListStores, ListWarehouses, PutCarrier,
    PutWarehouse, UpdateStore,
};
