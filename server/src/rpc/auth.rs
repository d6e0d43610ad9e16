//! Who calls, and which roles may call what.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use belay_domain::actor::Role;
use belay_domain::scope::Caller;
use http::HeaderMap;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use super::caller_headers::{self, SetBy};
use super::status::Failure;
use crate::callers::Callers;
use crate::telemetry::calls::Called;

/// How callers are known.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Headers are believed; who names no role is the operator. For a machine of one's own.
    Dev,
    /// Headers are believed, because a proxy sets them, and a role must be there.
    TrustedHeaders,
    /// By the secret that a call brings; headers that name a role or a scope count for nothing.
    CallersFile(Arc<Callers>),
}

/// In which roles somebody can call. Buyers and the system are only ever recorded.
pub(crate) const ROLES_OF_CALLERS: &[Role] = &[
    Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator, Auditor,
];

/// Who calls, and how far they see.
pub(super) fn authenticate(
    authentication: &Authentication,
    headers: &HeaderMap,
) -> Result<Caller, Failure> {
    match authentication {
        Authentication::Dev => caller_headers::named(headers, SetBy::Anybody),
        Authentication::TrustedHeaders => caller_headers::named(headers, SetBy::Proxy),
        Authentication::CallersFile(callers) => {
            let caller = caller_headers::token(headers).and_then(|token| callers.find(token));
            caller.ok_or(Failure::CallerUnknown)
        }
    }
}

/// A method, and which roles may call it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) called: Called,
    pub(super) roles: &'static [Role],
}

/// The method of this path. What has no row is closed to all, and is no method: a test keeps rows
/// and methods the same.
pub(super) fn method(path: &str) -> Option<Method> {
    METHODS.get(path).copied()
}

static METHODS: LazyLock<HashMap<&'static str, Method>> = LazyLock::new(|| {
    let reads = paths_of_reads();
    let method = |(path, roles): &(&'static str, &'static [Role])| {
        let called = Called {
            method: path.trim_start_matches('/'),
            is_read: reads.contains(*path),
        };
        (*path, Method { called, roles })
    };
    ROLES.iter().map(method).collect()
});

/// Of the methods that the protos say have no side effects.
fn paths_of_reads() -> HashSet<String> {
    let mut reads = HashSet::new();
    for set in [
        belay_proto::FILE_DESCRIPTOR_SET,
        belay_proto::testing::FILE_DESCRIPTOR_SET,
    ] {
        // They are compiled in, and a test reads them.
        let set = FileDescriptorSet::decode(set).unwrap_or_default();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let level = method.options.as_ref().map(|o| o.idempotency_level());
                    if level == Some(IdempotencyLevel::NoSideEffects) {
                        let (package, service) = (file.package(), service.name());
                        reads.insert(format!("/{package}.{service}/{}", method.name()));
                    }
                }
            }
        }
    }
    reads
}

/// Whether this caller is in one of these roles.
pub(super) fn authorize(roles: &[Role], caller: Caller) -> Result<Caller, Failure> {
    if roles.contains(&caller.actor.role) {
        Ok(caller)
    } else {
        Err(Failure::RoleNotAllowed {
            role: caller.actor.role.to_string(),
        })
    }
}

/// Whether this role may speak for a buyer.
pub(super) fn may_speak_for_buyers(role: Role) -> bool {
    matches!(role, Role::Support | Role::Operator)
}

use Role::{Auditor, Carrier, Operator, Payments, Seller, Storefront, Support, Warehouse};

/// Everyone who has to do with orders.
const READERS: &[Role] = &[
    Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator, Auditor,
];
/// Those whose wishes a policy can be about.
const WISHERS: &[Role] = &[Storefront, Seller, Warehouse, Carrier, Support, Operator];

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
        "/belay.v1.OrderService/SummarizeOrders",
        &[Storefront, Seller, Support, Operator, Auditor],
    ),
    (
        "/belay.v1.OrderService/RecordPayment",
        &[Storefront, Payments, Operator],
    ),
    ("/belay.v1.OrderService/ListOrderHistory", READERS),
    ("/belay.v1.CancellationService/PreviewCancellation", WISHERS),
    ("/belay.v1.CancellationService/RequestCancellation", WISHERS),
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
        WISHERS,
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
    ("/belay.testing.v1.ClockService/GetTime", &[Operator]),
    ("/belay.testing.v1.ClockService/AdvanceTime", &[Operator]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belay_domain::actor::Actor;

    use super::*;

    #[test]
    fn every_rpc_has_a_row_and_every_row_an_rpc() {
        let mut rpcs = BTreeSet::new();
        for set in [
            belay_proto::FILE_DESCRIPTOR_SET,
            belay_proto::testing::FILE_DESCRIPTOR_SET,
        ] {
            for file in prost_types::FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    let path =
                        |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                    rpcs.extend(service.method.iter().map(|method| path(method.name())));
                }
            }
        }
        let rows: BTreeSet<String> = ROLES
            .iter()
            .map(|(method, _)| (*method).to_owned())
            .collect();
        assert!(!rpcs.is_empty());
        assert_eq!(rpcs, rows);
        assert_eq!(ROLES.len(), rows.len(), "a row is there twice");
    }

    #[test]
    fn an_auditor_changes_nothing() {
        for (method, roles) in ROLES {
            let rpc = method.rsplit('/').next().unwrap();
            let is_read = ["Get", "List", "Summarize"]
                .iter()
                .any(|verb| rpc.starts_with(verb));
            assert!(!roles.contains(&Auditor) || is_read, "{method}");
        }
    }

    #[test]
    fn a_caller_is_whom_the_headers_name_where_they_are_believed() {
        let headers = |entries: &[(&'static str, &'static str)]| -> HeaderMap {
            entries
                .iter()
                .map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()))
                .collect()
        };
        let (nobody, ann) = (
            headers(&[]),
            headers(&[("belay-role", "SUPPORT"), ("belay-actor", "ann")]),
        );
        let of_dev = |headers: &HeaderMap| authenticate(&Authentication::Dev, headers).unwrap();
        assert_eq!(
            of_dev(&nobody),
            Caller::everywhere(Actor::new(Operator, "dev"))
        );
        assert_eq!(of_dev(&ann), Caller::everywhere(Actor::new(Support, "ann")));
        assert_eq!(
            of_dev(&headers(&[("belay-role", "seller")])),
            Caller::everywhere(Actor::new(Seller, ""))
        );
        let of_proxy = |headers: &HeaderMap| authenticate(&Authentication::TrustedHeaders, headers);
        assert!(matches!(
            of_proxy(&nobody),
            Err(Failure::RoleNotAllowed { .. })
        ));
        assert_eq!(of_proxy(&ann).unwrap(), of_dev(&ann));
    }

    #[test]
    fn what_has_no_row_is_closed() {
        let may = |path, role| {
            let method = method(path).ok_or(Failure::MethodUnknown);
            method.and_then(|method| {
                authorize(method.roles, Caller::everywhere(Actor::new(role, "")))
            })
        };
        assert!(may("/belay.v1.OrderService/GetOrder", Auditor).is_ok());
        let create_order = may("/belay.v1.OrderService/CreateOrder", Auditor);
        assert!(matches!(create_order, Err(Failure::RoleNotAllowed { .. })));
        assert!(matches!(
            may("/belay.v1.OrderService/DropAll", Operator),
            Err(Failure::MethodUnknown)
        ));
    }
}
