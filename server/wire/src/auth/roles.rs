//! The roles that may call each method, and what else of a caller it asks for. What they see of the
//! answers is in [`crate::views`].

use belay_domain::actor::Role;
use belay_domain::actor::Role::{
    Auditor, Carrier, Operator, Payments, Seller, Storefront, Support, Warehouse,
};

use super::AuthError;

/// The access that a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub roles: &'static [Role],
    /// Of the roles, the one that may call it only where this setting of the store says so.
    pub by_setting: Option<(Role, &'static str)>,
    /// Whether it decides about every order of a store: its caller must see them all.
    pub whole_store: bool,
}

/// Whether this method is administration: what operators alone may call.
pub fn is_administration(path: &str) -> bool {
    access(path).is_ok_and(|access| access.roles == [Operator])
}

/// What the method of this path asks of its caller. What has no row is closed to all, and is no
/// method: a test keeps rows and methods the same.
pub fn access(path: &str) -> Result<Access, AuthError> {
    let row = ROLES.iter().find(|(method, _)| *method == path);
    let (path, roles) = row.ok_or(AuthError::MethodUnknown)?;
    let by_setting = BY_SETTING.iter().find(|(method, _)| method == path);
    Ok(Access {
        roles,
        by_setting: by_setting.map(|(_, setting)| *setting),
        whole_store: WHOLE_STORE.contains(path),
    })
}

/// The paths of all methods.
pub fn paths() -> impl Iterator<Item = &'static str> {
    ROLES.iter().map(|(path, _)| *path)
}

/// What a role may do where the store lets it: [`check_settings`](super::check_settings) asks.
const BY_SETTING: &[(&str, (Role, &str))] = &[(
    "/belay.v1.OrderService/RecordPayment",
    (Storefront, "storefront_records_payments"),
)];

/// What decides what becomes of the orders of a store, whoever sells them and sends them.
const WHOLE_STORE: &[&str] = &[
    "/belay.v1.StoreService/CreateStore",
    "/belay.v1.StoreService/UpdateStore",
    "/belay.v1.StoreService/PutCarrier",
    "/belay.v1.StoreService/PutWarehouse",
    "/belay.v1.PolicyService/CreatePolicy",
    "/belay.v1.PolicyService/ActivatePolicy",
];

/// Everyone who has to do with orders.
const READERS: &[Role] = &[
    Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator, Auditor,
];
/// Everyone who keeps how far they have read the feed.
const CONSUMERS: &[Role] = &[
    Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator,
];
/// The roles whose requests a policy can be about.
const REQUESTERS: &[Role] = &[Storefront, Seller, Warehouse, Carrier, Support, Operator];

/// Everyone who keeps something with an order, or writes a note about it.
const WRITERS: &[Role] = &[Storefront, Seller, Support, Operator];

/// Everyone who cancels many orders at once.
const BULK: &[Role] = &[Seller, Support, Operator];
/// Everyone who sees what came of it.
const BULK_READERS: &[Role] = &[Seller, Support, Operator, Auditor];

/// Who may call what, by the path of the call.
const ROLES: &[(&str, &[Role])] = &[
    (
        "/belay.v1.OrderService/CreateOrder",
        &[Storefront, Operator],
    ),
    ("/belay.v1.OrderService/GetOrder", READERS),
    (
        "/belay.v1.OrderService/ListOrders",
        &[Storefront, Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.OrderService/FindOrders",
        &[Storefront, Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.OrderService/SummarizeOrders",
        &[Storefront, Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.OrderService/RecordPayment",
        &[Storefront, Payments, Operator],
    ),
    ("/belay.v1.OrderService/ListOrderHistory", READERS),
    ("/belay.v1.OrderService/UpdateOrderMetadata", WRITERS),
    ("/belay.v1.OrderService/AddNote", WRITERS),
    (
        "/belay.v1.CancellationService/PreviewCancellation",
        REQUESTERS,
    ),
    (
        "/belay.v1.CancellationService/RequestCancellation",
        REQUESTERS,
    ),
    ("/belay.v1.CancellationService/ListReasons", REQUESTERS),
    ("/belay.v1.CancellationService/GetCancellation", READERS),
    ("/belay.v1.CancellationService/ListCancellations", READERS),
    (
        "/belay.v1.CancellationService/ApproveCancellation",
        &[Seller, Support, Operator],
    ),
    (
        "/belay.v1.CancellationService/RejectCancellation",
        &[Seller, Support, Operator],
    ),
    (
        "/belay.v1.CancellationService/WithdrawCancellation",
        REQUESTERS,
    ),
    (
        "/belay.v1.CancellationService/ListIncidents",
        &[Warehouse, Payments, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.CancellationService/ResolveIncident",
        &[Support, Operator],
    ),
    ("/belay.v1.CancellationService/SummarizeActions", READERS),
    (
        "/belay.v1.CancellationService/UpdateCancellationMetadata",
        WRITERS,
    ),
    ("/belay.v1.FulfillmentService/GetShipment", READERS),
    ("/belay.v1.FulfillmentService/ListShipments", READERS),
    (
        "/belay.v1.FulfillmentService/StartPreparation",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/MarkReady",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/DispatchShipment",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/RecordTracking",
        &[Seller, Warehouse, Carrier, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/HoldShipment",
        &[Seller, Support, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/ReleaseHold",
        &[Seller, Support, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/SplitShipment",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/AnswerStop",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/AnswerIntercept",
        &[Warehouse, Carrier, Operator],
    ),
    (
        "/belay.v1.FulfillmentService/ReceiveParcel",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.RefundService/GetRefund",
        &[Storefront, Seller, Payments, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.RefundService/ListRefunds",
        &[Storefront, Seller, Payments, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.RefundService/ClaimRefunds",
        &[Payments, Operator],
    ),
    (
        "/belay.v1.RefundService/RecordRefundResult",
        &[Payments, Operator],
    ),
    ("/belay.v1.StoreService/CreateStore", &[Operator]),
    ("/belay.v1.StoreService/GetStore", READERS),
    ("/belay.v1.StoreService/ListStores", &[Operator, Auditor]),
    ("/belay.v1.StoreService/UpdateStore", &[Operator]),
    ("/belay.v1.StoreService/PutCarrier", &[Operator]),
    ("/belay.v1.StoreService/ListCarriers", READERS),
    ("/belay.v1.StoreService/PutWarehouse", &[Operator]),
    ("/belay.v1.StoreService/ListWarehouses", READERS),
    (
        "/belay.v1.InventoryService/SetStock",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.InventoryService/ArchiveSku",
        &[Seller, Warehouse, Operator],
    ),
    (
        "/belay.v1.InventoryService/GetStock",
        &[Storefront, Seller, Warehouse, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.InventoryService/ListStock",
        &[Storefront, Seller, Warehouse, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.InventoryService/ListStockEntries",
        &[Seller, Warehouse, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.InventoryService/ListStockHolders",
        &[Seller, Warehouse, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.SellerService/GetSellerQuality",
        &[Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.SellerService/ListCountedCancellations",
        &[Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.SellerService/ListThresholdCrossings",
        &[Seller, Support, Operator, Auditor],
    ),
    ("/belay.v1.PolicyService/ListPresets", &[Operator, Auditor]),
    ("/belay.v1.PolicyService/CreatePolicy", &[Operator]),
    (
        "/belay.v1.PolicyService/GetPolicy",
        &[Support, Operator, Auditor],
    ),
    (
        "/belay.v1.PolicyService/ListPolicies",
        &[Support, Operator, Auditor],
    ),
    ("/belay.v1.PolicyService/ActivatePolicy", &[Operator]),
    (
        "/belay.v1.PolicyService/ListDecisions",
        &[Support, Operator, Auditor],
    ),
    ("/belay.v1.PolicyService/SimulatePolicy", &[Operator]),
    ("/belay.v1.EventService/WatchEvents", READERS),
    ("/belay.v1.EventService/ListEvents", READERS),
    ("/belay.v1.EventService/CommitPosition", CONSUMERS),
    ("/belay.v1.EventService/DeleteConsumer", CONSUMERS),
    ("/belay.v1.EventService/GetConsumer", READERS),
    ("/belay.v1.EventService/ListConsumers", READERS),
    ("/belay.v1.BulkService/StartBulkCancellation", BULK),
    ("/belay.v1.BulkService/GetBulkCancellation", BULK_READERS),
    ("/belay.v1.BulkService/ListBulkCancellations", BULK_READERS),
    ("/belay.v1.BulkService/WatchBulkCancellation", BULK_READERS),
    ("/belay.v1.BulkService/ListBulkResults", BULK_READERS),
    ("/belay.v1.BulkService/StopBulkCancellation", BULK),
    ("/belay.testing.v1.ClockService/GetTime", &[Operator]),
    ("/belay.testing.v1.ClockService/AdvanceTime", &[Operator]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belay_proto::{testing, v1};

    use super::*;

    #[test]
    fn every_rpc_has_a_row_and_every_row_an_rpc() {
        let rpcs = v1::RPCS.iter().chain(testing::v1::RPCS);
        let rpcs: BTreeSet<&str> = rpcs.map(|rpc| rpc.path).collect();
        let rows: BTreeSet<&str> = ROLES.iter().map(|(path, _)| *path).collect();
        assert!(!rpcs.is_empty());
        assert_eq!(rpcs, rows);
        assert_eq!(ROLES.len(), rows.len(), "a row is there twice");
    }

    #[test]
    fn administration_is_of_stores_and_policies() {
        let administration: BTreeSet<&str> = v1::RPCS
            .iter()
            .map(|rpc| rpc.path)
            .filter(|path| is_administration(path))
            .filter_map(|path| path.strip_prefix("/belay.v1."))
            .collect();
        let expected = [
            "PolicyService/ActivatePolicy",
            "PolicyService/CreatePolicy",
            "PolicyService/SimulatePolicy",
            "StoreService/CreateStore",
            "StoreService/PutCarrier",
            "StoreService/PutWarehouse",
            "StoreService/UpdateStore",
        ];
        assert_eq!(administration, BTreeSet::from(expected));
        assert!(!is_administration("/belay.v1.StoreService/DeleteAll"));
    }

    #[test]
    fn what_else_is_asked_is_asked_of_methods_that_there_are() {
        for path in WHOLE_STORE {
            assert_eq!(access(path).unwrap().roles, [Operator], "{path}");
        }
        for (path, (role, _)) in BY_SETTING {
            assert!(access(path).unwrap().roles.contains(role), "{path}");
        }
    }

    #[test]
    fn an_auditor_changes_nothing() {
        for (method, roles) in ROLES {
            let rpc = method.rsplit('/').next().unwrap();
            let is_read = ["Find", "Get", "List", "Summarize", "Watch"]
                .iter()
                .any(|verb| rpc.starts_with(verb));
            assert!(!roles.contains(&Auditor) || is_read, "{method}");
        }
    }
}
