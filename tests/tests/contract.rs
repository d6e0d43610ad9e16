//! The contract as a whole, counted by machine: every RPC, role, error reason and enum.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::{
    actor, annotations, bulk, calendar, cancellation, decision, error_reason, event, incident,
    order, payment, policy, refund, shipment, simulation, stock, terms,
};
use belay_tests::descriptors::{self, Rpc};
use belay_tests::run;
use prost_types::method_options::IdempotencyLevel;
use tonic::Code;

use crate::tidy::{read_to_string, rust_files};

#[test]
fn every_rpc_says_whether_it_may_be_repeated() {
    for Rpc {
        service,
        name,
        idempotency,
        ..
    } in descriptors::rpcs()
    {
        let is_read = [
            "Find",
            "Get",
            "List",
            "Preview",
            "Simulate",
            "Summarize",
            "Watch",
        ]
        .iter()
        .any(|verb| name.starts_with(verb));
        let expected = match (is_read, &*name) {
            (true, _) => IdempotencyLevel::NoSideEffects,
            // Each call claims other refunds.
            (false, "ClaimRefunds") => IdempotencyLevel::IdempotencyUnknown,
            (false, _) => IdempotencyLevel::Idempotent,
        };
        assert_eq!(idempotency, Some(expected), "{service}/{name}");
    }
}

#[test]
fn every_rpc_and_every_value_has_a_comment() {
    for rpc in descriptors::rpcs() {
        assert!(rpc.comment.len() > 20, "{}: {:?}", rpc.path(), rpc.comment);
    }
    for found in descriptors::enums() {
        for (value, _, comment) in &found.values {
            assert!(comment.ends_with(['.', ')']), "{value}: {comment:?}");
        }
    }
}

#[test]
fn every_reason_that_an_rpc_names_exists() {
    let words = |comment: &str| -> BTreeSet<String> {
        let words = comment.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words
            .filter(|word| word.contains('_') && word.len() > 5)
            .map(str::to_owned)
            .collect()
    };
    let enums = descriptors::enums();
    let values: BTreeSet<&str> = enums.iter().flat_map(|found| found.short_names()).collect();
    for rpc in descriptors::rpcs() {
        for word in words(&rpc.comment) {
            assert!(
                values.contains(&*word),
                "{} speaks of {word}, which is nothing",
                rpc.path()
            );
        }
    }
}

/// What an RPC says of its rejections, up to its end: that comes last, or next to last.
fn rejections_of(rpc: &Rpc) -> &str {
    match rpc.comment.find("Fails") {
        Some(at) => &rpc.comment[at..],
        None => panic!("{} does not say what it fails with", rpc.path()),
    }
}

fn reasons_in(comment: &str) -> BTreeSet<&str> {
    let words = comment.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    words
        .filter(|word| descriptors::reasons().contains_key(*word))
        .collect()
}

#[test]
fn every_rpc_names_the_reasons_it_fails_with() {
    let rpcs = descriptors::rpcs();
    for rpc in &rpcs {
        let said = rejections_of(rpc);
        if said.starts_with("Fails with nothing beyond what is said of every RPC.") {
            continue;
        }
        let like = said
            .strip_prefix("Fails as ")
            .and_then(|rest| rest.split_whitespace().next());
        let said = match like {
            Some(name) => match rpcs
                .iter()
                .find(|other| other.service == rpc.service && other.name == name)
            {
                Some(other) => rejections_of(other),
                None => panic!("{} fails as {name}, which is nothing", rpc.path()),
            },
            None => said,
        };
        assert!(!reasons_in(said).is_empty(), "{}: {said}", rpc.path());
    }
}

#[test]
fn every_error_reason_is_named_where_it_can_come_from() {
    let rpcs = descriptors::rpcs();
    let shared = descriptors::shared_comments();
    let comments = rpcs.iter().map(|rpc| &rpc.comment).chain(&shared);
    let named: BTreeSet<&str> = comments.flat_map(|comment| reasons_in(comment)).collect();
    for (name, reason) in descriptors::reasons() {
        // Some are never the reason of an error, but of the end of a part.
        let ends_a_part = ["Ends a part", "ends a part"]
            .iter()
            .any(|text| reason.comment.contains(text));
        assert!(
            ends_a_part || named.contains(&**name),
            "{name} is named by no RPC and no service"
        );
    }
}

#[test]
fn every_rpc_is_called_by_a_test_through_the_client() {
    let tests: String = rust_files("tests/tests")
        .iter()
        .map(|file| read_to_string(file))
        .collect();
    let helpers: String = rust_files("tests/src")
        .iter()
        .map(|file| read_to_string(file))
        .collect();
    for rpc in descriptors::rpcs() {
        let mut method = String::new();
        for letter in rpc.name.chars() {
            if letter.is_ascii_uppercase() && !method.is_empty() {
                method.push('_');
            }
            method.push(letter.to_ascii_lowercase());
        }
        let call = format!(".{method}(");
        assert!(
            tests.contains(&call) || helpers.contains(&call),
            "nothing calls {}",
            rpc.path()
        );
    }
}

/// Who may call what. The operator may call everything, so only the others are named.
const ROLES: &[(&str, &str)] = &[
    ("OrderService/CreateOrder", "storefront"),
    (
        "OrderService/GetOrder",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "OrderService/ListOrders",
        "storefront seller support auditor",
    ),
    (
        "OrderService/FindOrders",
        "storefront seller support auditor",
    ),
    (
        "OrderService/SummarizeOrders",
        "storefront seller support auditor",
    ),
    ("OrderService/RecordPayment", "storefront payments"),
    (
        "OrderService/ListOrderHistory",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "OrderService/UpdateOrderMetadata",
        "storefront seller support",
    ),
    ("OrderService/AddNote", "storefront seller support"),
    (
        "CancellationService/PreviewCancellation",
        "storefront seller warehouse carrier support",
    ),
    (
        "CancellationService/ListReasons",
        "storefront seller warehouse carrier support",
    ),
    (
        "CancellationService/RequestCancellation",
        "storefront seller warehouse carrier support",
    ),
    (
        "CancellationService/GetCancellation",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "CancellationService/ListCancellations",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "CancellationService/SummarizeActions",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("CancellationService/ApproveCancellation", "seller support"),
    ("CancellationService/RejectCancellation", "seller support"),
    (
        "CancellationService/WithdrawCancellation",
        "storefront seller warehouse carrier support",
    ),
    (
        "CancellationService/ListIncidents",
        "warehouse payments support auditor",
    ),
    ("CancellationService/ResolveIncident", "support"),
    (
        "CancellationService/UpdateCancellationMetadata",
        "storefront seller support",
    ),
    (
        "FulfillmentService/GetShipment",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "FulfillmentService/ListShipments",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("FulfillmentService/StartPreparation", "seller warehouse"),
    ("FulfillmentService/MarkReady", "seller warehouse"),
    ("FulfillmentService/DispatchShipment", "seller warehouse"),
    (
        "FulfillmentService/RecordTracking",
        "seller warehouse carrier",
    ),
    ("FulfillmentService/HoldShipment", "seller support"),
    ("FulfillmentService/ReleaseHold", "seller support"),
    ("FulfillmentService/SplitShipment", "seller warehouse"),
    ("FulfillmentService/AnswerStop", "seller warehouse"),
    ("FulfillmentService/AnswerIntercept", "warehouse carrier"),
    ("FulfillmentService/ReceiveParcel", "seller warehouse"),
    (
        "RefundService/GetRefund",
        "storefront seller payments support auditor",
    ),
    (
        "RefundService/ListRefunds",
        "storefront seller payments support auditor",
    ),
    ("RefundService/ClaimRefunds", "payments"),
    ("RefundService/RecordRefundResult", "payments"),
    ("StoreService/CreateStore", ""),
    (
        "StoreService/GetStore",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("StoreService/ListStores", "auditor"),
    ("StoreService/UpdateStore", ""),
    ("StoreService/PutCarrier", ""),
    (
        "StoreService/ListCarriers",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("StoreService/PutWarehouse", ""),
    (
        "StoreService/ListWarehouses",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("InventoryService/SetStock", "seller warehouse"),
    ("InventoryService/ArchiveSku", "seller warehouse"),
    (
        "InventoryService/GetStock",
        "storefront seller warehouse support auditor",
    ),
    (
        "InventoryService/ListStock",
        "storefront seller warehouse support auditor",
    ),
    (
        "InventoryService/ListStockEntries",
        "seller warehouse support auditor",
    ),
    (
        "InventoryService/ListStockHolders",
        "seller warehouse support auditor",
    ),
    ("SellerService/GetSellerQuality", "seller support auditor"),
    (
        "SellerService/ListCountedCancellations",
        "seller support auditor",
    ),
    (
        "SellerService/ListThresholdCrossings",
        "seller support auditor",
    ),
    ("PolicyService/ListPresets", "auditor"),
    ("PolicyService/CreatePolicy", ""),
    ("PolicyService/GetPolicy", "support auditor"),
    ("PolicyService/ListPolicies", "support auditor"),
    ("PolicyService/ActivatePolicy", ""),
    ("PolicyService/ListDecisions", "support auditor"),
    ("PolicyService/SimulatePolicy", ""),
    (
        "EventService/WatchEvents",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "EventService/ListEvents",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "EventService/CommitPosition",
        "storefront seller warehouse carrier payments support",
    ),
    (
        "EventService/DeleteConsumer",
        "storefront seller warehouse carrier payments support",
    ),
    (
        "EventService/GetConsumer",
        "storefront seller warehouse carrier payments support auditor",
    ),
    (
        "EventService/ListConsumers",
        "storefront seller warehouse carrier payments support auditor",
    ),
    ("BulkService/StartBulkCancellation", "seller support"),
    ("BulkService/GetBulkCancellation", "seller support auditor"),
    (
        "BulkService/ListBulkCancellations",
        "seller support auditor",
    ),
    (
        "BulkService/WatchBulkCancellation",
        "seller support auditor",
    ),
    ("BulkService/ListBulkResults", "seller support auditor"),
    ("BulkService/StopBulkCancellation", "seller support"),
];

#[test]
fn every_rpc_is_open_to_its_roles_and_to_no_other() {
    let rpcs: BTreeSet<String> = descriptors::rpcs().iter().map(Rpc::path).collect();
    let streams = descriptors::rpcs().into_iter().filter(|rpc| rpc.streams);
    let streams: BTreeSet<String> = streams.map(|rpc| rpc.path()).collect();
    let table: BTreeMap<&str, &str> = ROLES.iter().copied().collect();
    assert_eq!(rpcs, table.keys().map(|path| (*path).to_owned()).collect());
    run(async |t| {
        let raw = t.raw();
        for (path, roles) in table {
            for role in [
                "storefront",
                "seller",
                "warehouse",
                "carrier",
                "payments",
                "support",
                "operator",
                "auditor",
                "buyer",
                "system",
            ] {
                // An empty message is refused for its fields by whoever may call, and for the role
                // before that.
                let answer = if streams.contains(path) {
                    raw.open(role, path, ()).await
                } else {
                    raw.send::<(), ()>(role, path, ()).await
                };
                let is_open = !answer.is_err_and(|status| status.code() == Code::PermissionDenied);
                let expected =
                    role == "operator" || roles.split(' ').any(|allowed| allowed == role);
                assert_eq!(is_open, expected, "{path} for {role}");
            }
        }
        let unknown = raw
            .send::<(), ()>("operator", "OrderService/DropAll", ())
            .await
            .unwrap_err();
        assert_ne!(unknown.code(), Code::Ok);
    });
}

#[test]
fn every_error_reason_names_its_code_and_they_stand_in_order() {
    let found = descriptors::enums()
        .into_iter()
        .find(|found| found.name == "ErrorReason")
        .unwrap();
    let numbers: Vec<i32> = found.values.iter().map(|(_, number, _)| *number).collect();
    assert!(
        numbers.is_sorted(),
        "the precedence is the order of the numbers"
    );
    for (name, reason) in descriptors::reasons() {
        assert!(
            reason.code.is_some(),
            "{name}: {:?} does not begin with a code",
            reason.comment
        );
    }
}

/// Every reason with its number, its code and what it says first. A change of it shows as a change
/// of this file.
#[test]
fn the_catalogue_of_error_reasons_is_as_committed() {
    let mut catalogue = String::new();
    let mut reasons: Vec<_> = descriptors::reasons().iter().collect();
    reasons.sort_by_key(|(_, reason)| reason.number);
    for (name, reason) in reasons {
        let comment = reason
            .comment
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let first = comment.split_inclusive(". ").take(2).collect::<String>();
        catalogue.push_str(&format!("{} {name}: {}\n", reason.number, first.trim()));
    }
    let file = "tests/tests/contract/error_reasons.txt";
    if read_to_string(file) != catalogue {
        // What it should be is easier taken over than typed.
        let found = std::env::temp_dir().join("belay_error_reasons.txt");
        std::fs::write(&found, &catalogue).expect("a temporary file can be written");
        panic!(
            "{file} is no longer what the protos say; that is in {}",
            found.display()
        );
    }
}

/// A caller is told OUTCOME_UNKNOWN only where a COMMIT is lost and the caller's time ends before
/// the database is back: the server's own tests hold it.
const NOT_MET: &[&str] = &["OUTCOME_UNKNOWN"];

#[test]
fn every_error_reason_is_met_by_a_test() {
    let files = rust_files("tests/tests")
        .into_iter()
        .filter(|file| file != "tests/tests/contract.rs");
    let tests: String = files.map(|file| read_to_string(&file)).collect();
    let denials: BTreeSet<&str> = terms::DenyCode::ALL
        .iter()
        .map(|code| code.name())
        .collect();
    for name in descriptors::reasons().keys() {
        // The denials are met one and all by a test that goes over them.
        let is_met = tests.contains(&format!("\"{name}\"")) || denials.contains(&**name);
        assert_ne!(
            is_met,
            NOT_MET.contains(&&**name),
            "{name}: is it met by a test ({is_met}), and listed as not met?"
        );
    }
}

#[test]
fn every_enum_of_the_domain_has_the_values_of_its_twin() {
    macro_rules! names {
        ($($domain:path = $twin:literal,)+) => {
            [$(($twin, <$domain>::ALL.iter().map(|value| value.name()).collect::<BTreeSet<&str>>()),)+]
        };
    }
    let domain = names![
        error_reason::ErrorReason = "ErrorReason",
        actor::Role = "Role",
        cancellation::CancellationState = "CancellationState",
        terms::Fault = "CancellationFault",
        terms::GateKind = "GateKind",
        cancellation::GateState = "GateState",
        cancellation::LabelState = "LabelState",
        cancellation::CancellationOutcome = "CancellationOutcome",
        cancellation::PartState = "PartState",
        terms::Path = "CancellationPath",
        event::EventType = "EventType",
        incident::IncidentKind = "IncidentKind",
        incident::IncidentState = "IncidentState",
        incident::Resolution = "IncidentResolution",
        order::OrderState = "OrderState",
        payment::PaymentFact = "PaymentFact",
        payment::PaymentState = "PaymentState",
        terms::Effect = "CancellationEffect",
        terms::GoodsCondition = "GoodsCondition",
        terms::NextAction = "NextAction",
        terms::OnDispatch = "OnDispatch",
        terms::OnLost = "OnLost",
        terms::OnTimeout = "OnTimeout",
        calendar::Weekday = "Weekday",
        refund::RefundKind = "RefundKind",
        refund::RefundState = "RefundState",
        shipment::InterceptState = "InterceptState",
        shipment::Stage = "ShipmentStage",
        shipment::TrackingFact = "TrackingFact",
        stock::EntryKind = "StockEntryKind",
        bulk::JobState = "BulkState",
        bulk::BulkOutcome = "BulkOutcome",
        decision::Occasion = "PolicyOccasion",
        simulation::NotReplayed = "NotReplayedReason",
        policy::ConditionKey = "PolicyCondition",
        annotations::NoteVisibility = "NoteVisibility",
    ];
    let enums = descriptors::enums();
    let values = |name: &str| -> BTreeSet<&str> {
        enums
            .iter()
            .find(|found| found.name == name)
            .unwrap()
            .short_names()
            .into_iter()
            .collect()
    };
    for (twin, names) in &domain {
        let mut values = values(twin);
        if *twin == "EventType" {
            // The history of an order alone tells of it.
            assert!(values.remove("REQUEST_REJECTED"));
        }
        assert_eq!(*names, values, "{twin}");
    }

    // What has no twin of that name is counted, so that a new enum is looked at here.
    let with_twin: BTreeSet<&str> = domain.iter().map(|(twin, _)| *twin).collect();
    let others: BTreeSet<&str> = enums
        .iter()
        .map(|found| &*found.name)
        .filter(|name| !with_twin.contains(name))
        .collect();
    let known = [
        "BulkUnits",
        "FeedStart",
        "OnIneligibleUnits",
        "Party",
        "PolicyState",
        "RefundResult",
        "ReturnState",
    ];
    assert_eq!(others, known.into());
}
