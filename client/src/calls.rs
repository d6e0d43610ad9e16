//! The calls that the methods of [`Store`](crate::Store) and [`Belay`](crate::Belay) make, one type
//! each, and the arguments that they take.
//!
//! A call is completed by setters, and sent by awaiting it or by `send`. A clone of a call that is
//! not sent yet has the same request id: both are one request.

mod annotations;
mod bulk;
mod cancellations;
mod events;
mod fulfillment;
mod inventory;
mod line_quantities;
mod macros;
mod orders;
mod policies;
mod reasons;
mod refunds;
mod sellers;
mod stores;

pub(crate) use events::filter_setters;

pub use annotations::{AddNote, UpdateCancellationMetadata, UpdateOrderMetadata};
pub use bulk::{
    BulkOrders, BulkProgress, GetBulkCancellation, ListBulkCancellations, ListBulkResults,
    MatchingOrders, StartBulkCancellation, StopBulkCancellation, WatchBulkCancellation,
};
pub use cancellations::incidents::{ListIncidents, ResolveIncident};
pub use cancellations::units::{OnBehalfOf, Units};
pub use cancellations::{
    ApproveCancellation, GetCancellation, ListCancellations, ListReasons, OnIneligibleUnits,
    PreviewCancellation, RejectCancellation, RequestCancellation, SummarizeActions,
    WithdrawCancellation,
};
pub use events::{
    CommitPosition, DeleteConsumer, EventStream, GetConsumer, ListConsumers, ListEvents,
    WatchEvents,
};
pub use fulfillment::answers::{InterceptAnswer, Parcel, StopAnswer, Stopped};
pub use fulfillment::{
    AnswerIntercept, AnswerStop, DispatchShipment, GetShipment, HoldShipment, ListShipments,
    MarkReady, ReceiveParcel, RecordTracking, ReleaseHold, SplitShipment, StartPreparation,
};
pub use inventory::{
    ArchiveSku, GetStock, ListStock, ListStockEntries, ListStockHolders, SetStock,
};
pub use orders::new_order::{NewBuyer, NewLine, NewShipment};
pub use orders::{
    CreateOrder, FindOrders, GetOrder, ListOrderHistory, ListOrders, OrderSearch, RecordPayment,
    SummarizeOrders,
};
pub use policies::decisions::ListDecisions;
pub use policies::simulation::{DraftPolicy, SimulatePolicy, Simulation, SimulationStream};
pub use policies::{ActivatePolicy, CreatePolicy, GetPolicy, ListPolicies, ListPresets};
pub use reasons::*;
pub use refunds::{ClaimRefunds, GetRefund, ListRefunds, RecordRefundResult};
pub use sellers::{GetSellerQuality, ListCountedCancellations, ListThresholdCrossings};
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
            include_str!("calls/orders.rs"),
            include_str!("calls/annotations.rs"),
            include_str!("calls/cancellations.rs"),
            include_str!("calls/cancellations/incidents.rs"),
            include_str!("calls/fulfillment.rs"),
            include_str!("calls/refunds.rs"),
            include_str!("calls/stores.rs"),
            include_str!("calls/policies.rs"),
            include_str!("calls/policies/decisions.rs"),
            include_str!("calls/policies/simulation.rs"),
            include_str!("calls/events.rs"),
            include_str!("calls/inventory.rs"),
            include_str!("calls/sellers.rs"),
            include_str!("calls/bulk.rs"),
        );
        let set = FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "belay.v1");
        let services: Vec<_> = files.flat_map(|file| &file.service).collect();
        assert!(!services.is_empty());
        for method in services.iter().flat_map(|service| &service.method) {
            let (name, function) = (method.name(), snake(method.name()));
            let request = method.input_type().trim_start_matches(".belay.v1.");
            let is_declared = calls.contains(&format!(" {name}(pb::{request})"))
                || (method.server_streaming() && calls.contains(&format!("pub struct {name}")));
            let declared = calls.contains(&format!("pub fn {function}(")) && is_declared;
            assert!(declared, "{name} has no method `{function}`");
        }
    }
}
