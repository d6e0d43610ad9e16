//! The names that most programs use: one line to import from.
//!
//! ```
//! use belay_client::prelude::*;
//! ```

pub use crate::calls::{
    BulkOrders, FirstPolicy, InterceptAnswer, MatchingOrders, NewBuyer, NewLine, NewShipment,
    OnBehalfOf, OnIneligibleUnits, Parcel, StopAnswer, Stopped, Units,
};
pub use crate::model::{
    CancellationPath, CancellationState, Destination, EventDetail, EventType, GoodsCondition,
    NextAction, OrderState, Party, PaymentFact, RefundResult, RefundState, ShipmentStage,
    TrackingFact,
};
pub use crate::refund_worker::{RefundAnswer, RefundProvider, Settlement};
pub use crate::{
    Belay, CallError, Error, ErrorReason, Kind, Money, RequestId, RetryPolicy, Role, Scope, Store,
    reason,
};
