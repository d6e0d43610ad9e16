//! Who calls, and which roles may call what.

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::WorkerId;
use belay_domain::rejection::FieldViolation;
use http::{HeaderMap, HeaderValue};

use super::status::Failure;

const ROLE_HEADER: &str = "belay-role";
const ACTOR_HEADER: &str = "belay-actor";

/// How callers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The role is believed; who names none is the operator. For a machine of one's own.
    Dev,
    /// The role is believed, because a proxy sets it, and must be there.
    RoleHeaderRequired,
}

/// Who the headers say it is.
pub(super) fn authenticate(authentication: Authentication, headers: &HeaderMap) -> Result<Actor, Failure> {
    let Some(role) = headers.get(ROLE_HEADER) else {
        return match authentication {
            Authentication::Dev => Ok(Actor::new(Role::Operator, "dev")),
            Authentication::RoleHeaderRequired => Err(Failure::RoleNotAllowed { role: String::new() }),
        };
    };
    let named = role.to_str().unwrap_or_default();
    let role = match Role::parse(&named.to_ascii_uppercase()) {
        // Nobody calls as these: they are only ever recorded.
        None | Some(Role::Buyer | Role::System) => {
            // Of what is no role only the beginning is echoed.
            return Err(Failure::RoleNotAllowed { role: named.chars().take(32).collect() });
        }
        Some(role) => role,
    };
    match headers.get(ACTOR_HEADER).map(HeaderValue::to_str) {
        None => Ok(Actor::new(role, "")),
        // The same characters as all ids.
        Some(id) => match WorkerId::parse(id.unwrap_or("\0")) {
            Ok(id) => Ok(Actor::new(role, id.as_str())),
            Err(error) => Err(Failure::InvalidFields(vec![FieldViolation {
                field: ACTOR_HEADER.to_owned(),
                description: error.to_string(),
            }])),
        },
    }
}

/// Whether this caller's role may call the method of this path; a method without a row is closed to all.
pub(super) fn authorize(path: &str, caller: Actor) -> Result<Actor, Failure> {
    let row = ROLES.iter().find(|(method, _)| *method == path);
    match row {
        Some((_, roles)) if roles.contains(&caller.role) => Ok(caller),
        Some(_) | None => Err(Failure::RoleNotAllowed { role: caller.role.to_string() }),
    }
}

/// Whether this role may speak for a buyer.
pub(super) fn may_speak_for_buyers(role: Role) -> bool {
    matches!(role, Role::Support | Role::Operator)
}

use Role::{Auditor, Carrier, Operator, Payments, Seller, Storefront, Support, Warehouse};

/// Everyone who has to do with orders.
const READERS: &[Role] = &[Storefront, Seller, Warehouse, Carrier, Payments, Support, Operator, Auditor];
/// Those whose wishes a policy can be about.
const WISHERS: &[Role] = &[Storefront, Seller, Warehouse, Carrier, Support, Operator];

/// Who may call what, by the path of the call.
const ROLES: &[(&str, &[Role])] = &[
    ("/belay.v1.OrderService/CreateOrder", &[Storefront, Operator]),
    ("/belay.v1.OrderService/GetOrder", READERS),
    ("/belay.v1.OrderService/ListOrders", &[Storefront, Seller, Support, Operator, Auditor]),
    ("/belay.v1.OrderService/RecordPayment", &[Storefront, Payments, Operator]),
    ("/belay.v1.OrderService/ListOrderHistory", READERS),
    ("/belay.v1.CancellationService/PreviewCancellation", WISHERS),
    ("/belay.v1.CancellationService/RequestCancellation", WISHERS),
    ("/belay.v1.CancellationService/GetCancellation", READERS),
    ("/belay.v1.CancellationService/ListCancellations", READERS),
    ("/belay.v1.CancellationService/ApproveCancellation", &[Seller, Support, Operator]),
    ("/belay.v1.CancellationService/RejectCancellation", &[Seller, Support, Operator]),
    ("/belay.v1.CancellationService/WithdrawCancellation", WISHERS),
    ("/belay.v1.CancellationService/ListIncidents", &[Warehouse, Payments, Support, Operator, Auditor]),
    ("/belay.v1.CancellationService/ResolveIncident", &[Support, Operator]),
    ("/belay.v1.FulfillmentService/GetShipment", READERS),
    ("/belay.v1.FulfillmentService/ListShipments", READERS),
    ("/belay.v1.FulfillmentService/StartPreparation", &[Seller, Warehouse, Operator]),
    ("/belay.v1.FulfillmentService/MarkReady", &[Seller, Warehouse, Operator]),
    ("/belay.v1.FulfillmentService/DispatchShipment", &[Seller, Warehouse, Operator]),
    ("/belay.v1.FulfillmentService/RecordTracking", &[Seller, Warehouse, Carrier, Operator]),
    ("/belay.v1.FulfillmentService/HoldShipment", &[Seller, Support, Operator]),
    ("/belay.v1.FulfillmentService/ReleaseHold", &[Seller, Support, Operator]),
    ("/belay.v1.FulfillmentService/SplitShipment", &[Seller, Warehouse, Operator]),
    ("/belay.v1.FulfillmentService/AnswerStop", &[Seller, Warehouse, Operator]),
    ("/belay.v1.FulfillmentService/AnswerIntercept", &[Warehouse, Carrier, Operator]),
    ("/belay.v1.FulfillmentService/ReceiveParcel", &[Seller, Warehouse, Operator]),
    ("/belay.v1.RefundService/GetRefund", &[Storefront, Seller, Payments, Support, Operator, Auditor]),
    ("/belay.v1.RefundService/ListRefunds", &[Storefront, Seller, Payments, Support, Operator, Auditor]),
    ("/belay.v1.RefundService/ClaimRefunds", &[Payments, Operator]),
    ("/belay.v1.RefundService/RecordRefundResult", &[Payments, Operator]),
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
    ("/belay.v1.PolicyService/GetPolicy", &[Support, Operator, Auditor]),
    ("/belay.v1.PolicyService/ListPolicies", &[Support, Operator, Auditor]),
    ("/belay.v1.PolicyService/ActivatePolicy", &[Operator]),
    ("/belay.testing.v1.ClockService/GetTime", &[Operator]),
    ("/belay.testing.v1.ClockService/AdvanceTime", &[Operator]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;

    use super::*;

    #[test]
    fn every_rpc_has_a_row_and_every_row_an_rpc() {
        let mut rpcs = BTreeSet::new();
        for set in [belay_proto::FILE_DESCRIPTOR_SET, belay_proto::testing::FILE_DESCRIPTOR_SET] {
            for file in prost_types::FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                    rpcs.extend(service.method.iter().map(|method| path(method.name())));
                }
            }
        }
        let rows: BTreeSet<String> = ROLES.iter().map(|(method, _)| (*method).to_owned()).collect();
        assert!(!rpcs.is_empty());
        assert_eq!(rpcs, rows);
        assert_eq!(ROLES.len(), rows.len(), "a row is there twice");
    }

    #[test]
    fn an_auditor_changes_nothing() {
        for (method, roles) in ROLES {
            let rpc = method.rsplit('/').next().unwrap();
            assert!(!roles.contains(&Auditor) || rpc.starts_with("Get") || rpc.starts_with("List"), "{method}");
        }
    }

    fn headers(role: Option<&str>, actor: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: Option<&str>| {
            value.map(|value| headers.insert(name, HeaderValue::from_str(value).unwrap()))
        };
        put(ROLE_HEADER, role);
        put(ACTOR_HEADER, actor);
        headers
    }

    #[test]
    fn a_caller_is_whom_the_headers_name() {
        let dev = |role, actor| authenticate(Authentication::Dev, &headers(role, actor));
        assert_eq!(dev(None, None).unwrap(), Actor::new(Operator, "dev"));
        assert_eq!(dev(Some("SUPPORT"), Some("ann")).unwrap(), Actor::new(Support, "ann"));
        assert_eq!(dev(Some("seller"), None).unwrap(), Actor::new(Seller, ""));
        for role in ["BUYER", "SYSTEM", "ROOT", ""] {
            assert!(matches!(dev(Some(role), None), Err(Failure::RoleNotAllowed { .. })), "{role}");
        }
        assert!(matches!(dev(Some("SUPPORT"), Some("a/b")), Err(Failure::InvalidFields(_))));
        let strict = authenticate(Authentication::RoleHeaderRequired, &headers(None, None));
        assert!(matches!(strict, Err(Failure::RoleNotAllowed { .. })));
    }

    #[test]
    fn what_has_no_row_is_closed() {
        assert!(authorize("/belay.v1.OrderService/GetOrder", Actor::new(Auditor, "")).is_ok());
        assert!(authorize("/belay.v1.OrderService/CreateOrder", Actor::new(Auditor, "")).is_err());
        assert!(authorize("/belay.v1.OrderService/DropAll", Actor::new(Operator, "")).is_err());
    }
}
