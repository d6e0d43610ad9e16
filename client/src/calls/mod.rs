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

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    /// `CreateOrder` as `create_order`.
    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    }

    #[test]
    fn every_rpc_has_a_method() {
        let calls = concat!(
            include_str!("orders.rs"),
            include_str!("cancellations.rs"),
            include_str!("incidents.rs"),
            include_str!("fulfillment.rs"),
            include_str!("custody.rs"),
            include_str!("refunds.rs"),
            include_str!("stores.rs"),
            include_str!("policies.rs"),
        );
        let set = FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "belay.v1");
        let services: Vec<_> = files.flat_map(|file| &file.service).collect();
        assert!(!services.is_empty());
        for method in services.iter().flat_map(|service| &service.method) {
            let (name, function) = (method.name(), snake(method.name()));
            let request = method.input_type().trim_start_matches(".belay.v1.");
            let declared = calls.contains(&format!("pub fn {function}("))
                && calls.contains(&format!(" {name}(pb::{request})"));
            assert!(declared, "{name} has no method `{function}`");
        }
    }
}
