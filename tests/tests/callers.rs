//! Who sees what: every RPC, tried by callers of every kind on what is not theirs. It must look as
//! if it were not there.

use std::sync::Arc;

use belay_client::calls::{
    BulkOrders, DraftPolicy, FirstPolicy, InterceptAnswer, NewBuyer, NewLine, NewShipment,
    OrderSearch, Parcel, Stopped,
};
use belay_client::model::{
    BoundedCount, Destination, GoodsCondition, IncidentResolution, NoteVisibility, PaymentFact,
    RefundResult, TrackingFact,
};
use belay_client::{Belay, Error, Kind, RequestId, Role, Scope, Store, Units, reason};
use belay_proto::v1 as pb;
use belay_server::auth::Authentication;
use belay_server::auth::key_file::{KeyFile, hash_secret};
use belay_tests::credentials::{ACME, KeyFileOnDisk, NEXT, WEB, callers};
use belay_tests::descriptors::{self, Rpc};
use belay_tests::feed::{self, Watcher};
use belay_tests::instance::{Service, literal};
use belay_tests::shop::{eur, new_order};
use belay_tests::{SHOP, TestServer, documents, pages, refused, run, until};
use jiff::{SignedDuration, Timestamp};

/// The thing that an RPC is about, and so what a caller meets who does not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// What ships with Belay: no store's business.
    Everybody,
    /// The settings of a store.
    Store,
    NewStore,
    /// The stores that there are.
    Stores,
    /// A list of what belongs to orders.
    List,
    Order,
    NewOrder,
}

const RPCS: &[(&str, About)] = &[
    ("OrderService/CreateOrder", About::NewOrder),
    ("OrderService/GetOrder", About::Order),
    ("OrderService/ListOrders", About::List),
    ("OrderService/FindOrders", About::List),
    ("OrderService/RecordPayment", About::Order),
    ("OrderService/ListOrderHistory", About::Order),
    ("OrderService/UpdateOrderMetadata", About::Order),
    ("OrderService/AddNote", About::Order),
    ("CancellationService/PreviewCancellation", About::Order),
    ("CancellationService/ListReasons", About::Order),
    ("CancellationService/RequestCancellation", About::Order),
    ("CancellationService/GetCancellation", About::Order),
    ("CancellationService/ListCancellations", About::List),
    ("CancellationService/ApproveCancellation", About::Order),
    ("CancellationService/RejectCancellation", About::Order),
    ("CancellationService/WithdrawCancellation", About::Order),
    ("CancellationService/SummarizeActions", About::List),
    ("CancellationService/ListIncidents", About::List),
    ("CancellationService/ResolveIncident", About::Order),
    (
        "CancellationService/UpdateCancellationMetadata",
        About::Order,
    ),
    ("OrderService/SummarizeOrders", About::List),
    ("FulfillmentService/GetShipment", About::Order),
    ("FulfillmentService/ListShipments", About::List),
    ("FulfillmentService/StartPreparation", About::Order),
    ("FulfillmentService/MarkReady", About::Order),
    ("FulfillmentService/DispatchShipment", About::Order),
    ("FulfillmentService/RecordTracking", About::Order),
    ("FulfillmentService/HoldShipment", About::Order),
    ("FulfillmentService/ReleaseHold", About::Order),
    ("FulfillmentService/SplitShipment", About::Order),
    ("FulfillmentService/AnswerStop", About::Order),
    ("FulfillmentService/AnswerIntercept", About::Order),
    ("FulfillmentService/ReceiveParcel", About::Order),
    ("RefundService/GetRefund", About::Order),
    ("RefundService/ListRefunds", About::List),
    ("RefundService/ClaimRefunds", About::List),
    ("RefundService/RecordRefundResult", About::Order),
    ("StoreService/CreateStore", About::NewStore),
    ("StoreService/GetStore", About::Store),
    ("StoreService/ListStores", About::Stores),
    ("StoreService/UpdateStore", About::Store),
    ("StoreService/ListCarriers", About::Store),
    ("StoreService/ListWarehouses", About::Store),
    ("StoreService/PutCarrier", About::Store),
    ("StoreService/PutWarehouse", About::Store),
    ("InventoryService/SetStock", About::Store),
    ("InventoryService/ArchiveSku", About::Store),
    ("InventoryService/GetStock", About::Store),
    ("InventoryService/ListStock", About::Store),
    ("InventoryService/ListStockEntries", About::Store),
    ("InventoryService/ListStockHolders", About::Store),
    ("SellerService/GetSellerQuality", About::Store),
    ("SellerService/ListCountedCancellations", About::Store),
    ("SellerService/ListThresholdCrossings", About::Store),
    ("PolicyService/ListPresets", About::Everybody),
    ("PolicyService/CreatePolicy", About::Store),
    ("PolicyService/GetPolicy", About::Store),
    ("PolicyService/ListPolicies", About::Store),
    ("PolicyService/ActivatePolicy", About::Store),
    ("PolicyService/ListDecisions", About::List),
    ("PolicyService/SimulatePolicy", About::Store),
    ("EventService/WatchEvents", About::List),
    ("EventService/ListEvents", About::List),
    ("EventService/CommitPosition", About::Store),
    ("EventService/GetConsumer", About::Store),
    ("EventService/ListConsumers", About::Store),
    ("EventService/DeleteConsumer", About::Store),
    ("BulkService/StartBulkCancellation", About::Store),
    ("BulkService/GetBulkCancellation", About::Store),
    ("BulkService/ListBulkCancellations", About::Store),
    ("BulkService/WatchBulkCancellation", About::Store),
    ("BulkService/ListBulkResults", About::Store),
    ("BulkService/StopBulkCancellation", About::Store),
];

/// The bulk cancellation that StartBulkCancellation starts.
const JOB: &str = "123e4567-e89b-42d3-a456-426614174000";

/// Sends an RPC about this store, and this order where it is about one. Says how much came back.
pub(crate) async fn send(
    path: &str,
    belay: &Belay,
    store_id: &str,
    order_id: &str,
) -> Result<usize, Error> {
    let store = belay.store(store_id);
    let child = |letter: char| format!("{order_id}:{letter}1");
    match path {
        "OrderService/CreateOrder" => new_order(&store, order_id)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "OrderService/GetOrder" => store
            .get_order(order_id)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "OrderService/ListOrders" => store
            .list_orders()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "OrderService/FindOrders" => store
            .find_orders(OrderSearch::order_id_prefix("A"))
            .await
            .map_err(Error::from)
            .map(|found| found.orders.len()),
        "OrderService/RecordPayment" => {
            let paid = store
                .record_payment(order_id, "pay-2", "evt-2", PaymentFact::Captured)
                .amount(eur(1));
            paid.method("CREDIT_CARD")
                .await
                .map_err(Error::from)
                .map(|_| 1)
        }
        "OrderService/ListOrderHistory" => store
            .list_order_history(order_id)
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "OrderService/UpdateOrderMetadata" => store
            .update_order_metadata(order_id)
            .set("channel", "web")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "OrderService/AddNote" => store
            .add_note(order_id, "Called back.", NoteVisibility::Public)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/UpdateCancellationMetadata" => store
            .update_cancellation_metadata(child('c'))
            .set("case", "9")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/PreviewCancellation" => store
            .preview_cancellation(order_id, Units::all())
            .reason(reason::NO_LONGER_WANTED)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/ListReasons" => store
            .list_reasons(order_id, Units::all())
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/RequestCancellation" => store
            .request_cancellation(order_id, Units::all())
            .reason(reason::NO_LONGER_WANTED)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/GetCancellation" => store
            .get_cancellation(child('c'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/ListCancellations" => store
            .list_cancellations()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "FulfillmentService/GetShipment" => store
            .get_shipment(child('s'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/ListShipments" => store
            .list_shipments()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "FulfillmentService/StartPreparation" => store
            .start_preparation(child('s'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/MarkReady" => store
            .mark_ready(child('s'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/DispatchShipment" => store
            .dispatch_shipment(child('s'), 2)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/RecordTracking" => store
            .record_tracking(child('s'), "scan", TrackingFact::PickedUp)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/ApproveCancellation" => store
            .approve_cancellation(child('c'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/RejectCancellation" => store
            .reject_cancellation(child('c'), "NO")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/WithdrawCancellation" => store
            .withdraw_cancellation(child('c'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "CancellationService/SummarizeActions" => store
            .summarize_actions()
            .await
            .map_err(Error::from)
            .map(|badge| size(badge.total)),
        "CancellationService/ListIncidents" => store
            .list_incidents()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "CancellationService/ResolveIncident" => store
            .resolve_incident(child('i'), IncidentResolution::Accept)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "OrderService/SummarizeOrders" => store
            .summarize_orders()
            .await
            .map_err(Error::from)
            .map(|tabs| size(tabs.total)),
        "FulfillmentService/HoldShipment" => {
            let until = "2100-01-01T00:00:00Z"
                .parse::<Timestamp>()
                .expect("an instant");
            store
                .hold_shipment(child('s'), until)
                .await
                .map_err(Error::from)
                .map(|_| 1)
        }
        "FulfillmentService/ReleaseHold" => store
            .release_hold(child('s'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/SplitShipment" => {
            let half = || Parcel::of(child('l'), 1);
            store
                .split_shipment(child('s'), [half(), half()])
                .await
                .map_err(Error::from)
                .map(|_| 1)
        }
        "FulfillmentService/AnswerStop" => store
            .answer_stop(child('s'), Stopped::all())
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/AnswerIntercept" => store
            .answer_intercept(child('s'), InterceptAnswer::Confirmed)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "FulfillmentService/ReceiveParcel" => store
            .receive_parcel(child('s'), GoodsCondition::Unopened)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "StoreService/ListStores" => belay
            .list_stores()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "StoreService/UpdateStore" => store
            .update_store()
            .display_name("Shop")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "StoreService/ListCarriers" => store
            .list_carriers()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "StoreService/ListWarehouses" => store
            .list_warehouses()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "PolicyService/ListPolicies" => store
            .list_policies()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "RefundService/GetRefund" => store
            .get_refund(child('r'))
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "RefundService/ListRefunds" => store
            .list_refunds()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "RefundService/ClaimRefunds" => store
            .claim_refunds("w-1")
            .await
            .map_err(Error::from)
            .map(|refunds| refunds.len()),
        "RefundService/RecordRefundResult" => store
            .record_refund_result(child('r'), RefundResult::Unknown)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "StoreService/CreateStore" => belay
            .create_store(store_id, preset())
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "StoreService/GetStore" => store.get_store().await.map_err(Error::from).map(|_| 1),
        "StoreService/PutCarrier" => store
            .put_carrier("standard", "Standard")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "StoreService/PutWarehouse" => store
            .put_warehouse("main", "Main")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "InventoryService/SetStock" => store
            .set_stock("main", "MUG", 9)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "InventoryService/ArchiveSku" => store
            .archive_sku("main", "MUG")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "InventoryService/GetStock" => store
            .get_stock("main", "MUG")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "InventoryService/ListStock" => store
            .list_stock()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "InventoryService/ListStockEntries" => store
            .list_stock_entries("main", "MUG")
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "InventoryService/ListStockHolders" => store
            .list_stock_holders("main", "MUG")
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "SellerService/GetSellerQuality" => store
            .get_seller_quality("acme")
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "SellerService/ListCountedCancellations" => store
            .list_counted_cancellations("acme")
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "SellerService/ListThresholdCrossings" => store
            .list_threshold_crossings("acme")
            .await
            .map_err(Error::from)
            .map(|page| page.items.len().max(1)),
        "PolicyService/ListPresets" => belay
            .list_presets()
            .await
            .map_err(Error::from)
            .map(|presets| presets.len()),
        "PolicyService/CreatePolicy" => store
            .create_policy(documents::independent_site())
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "PolicyService/GetPolicy" => store.get_policy().await.map_err(Error::from).map(|_| 1),
        "PolicyService/ActivatePolicy" => store
            .activate_policy(1)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "PolicyService/ListDecisions" => store
            .list_decisions()
            .await
            .map_err(Error::from)
            .map(|page| page.items.len()),
        "PolicyService/SimulatePolicy" => {
            let all = Timestamp::UNIX_EPOCH..Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
            let simulation = store.simulate_policy(DraftPolicy::version(1), all).await?;
            simulation.finish().await.map(|_| 1)
        }
        "EventService/WatchEvents" => {
            let watch = belay.watch_events().store_id(store_id).from_oldest();
            // What is wrong with it is told before it is read.
            let _stream = watch.clone().await?;
            let mut watcher = Watcher::new(watch);
            watcher.read_to(&feed::ends(belay).await, |_| false).await;
            Ok(watcher.came())
        }
        "EventService/ListEvents" => {
            let mut events = belay.list_events().store_id(store_id).stream();
            let mut count = 0;
            while events.try_next().await?.is_some() {
                count += 1;
            }
            Ok(count)
        }
        "EventService/CommitPosition" => {
            let bookmark = belay.watch_events().await?.try_next().await?;
            let token = bookmark.expect("it begins with a bookmark").resume_token;
            let committed = belay.commit_position("index", token).store_id(store_id);
            committed.await.map_err(Error::from).map(|_| 1)
        }
        "EventService/GetConsumer" => {
            let consumer = belay.get_consumer("index").store_id(store_id);
            consumer.await.map_err(Error::from).map(|_| 1)
        }
        "EventService/ListConsumers" => {
            let consumers = belay.list_consumers().store_id(store_id);
            consumers
                .await
                .map_err(Error::from)
                .map(|page| page.items.len())
        }
        "EventService/DeleteConsumer" => {
            let deleted = belay.delete_consumer("index").store_id(store_id);
            deleted.await.map_err(Error::from).map(|()| 1)
        }
        "BulkService/StartBulkCancellation" => {
            let named = BulkOrders::named([order_id]);
            let job = RequestId::parse(JOB).expect("a UUID");
            let start = store.start_bulk_cancellation(named).request_id(job);
            start.dry_run().await.map_err(Error::from).map(|_| 1)
        }
        "BulkService/GetBulkCancellation" => store
            .get_bulk_cancellation(JOB)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        "BulkService/ListBulkCancellations" => {
            let jobs = store.list_bulk_cancellations();
            jobs.await.map_err(Error::from).map(|page| page.items.len())
        }
        "BulkService/WatchBulkCancellation" => store.watch_bulk_cancellation(JOB).await.map(|_| 1),
        "BulkService/ListBulkResults" => {
            let results = store.list_bulk_results(JOB);
            results
                .await
                .map_err(Error::from)
                .map(|page| page.items.len())
        }
        "BulkService/StopBulkCancellation" => store
            .stop_bulk_cancellation(JOB)
            .await
            .map_err(Error::from)
            .map(|_| 1),
        other => panic!("{other} has no call"),
    }
}

fn size(count: BoundedCount) -> usize {
    usize::try_from(count.value).expect("a small number")
}

fn preset() -> FirstPolicy {
    FirstPolicy::preset("independent-site")
}

/// All that an error tells, as if it were about another order or store.
fn told(error: &Error, from: &str, to: &str) -> String {
    let told = format!(
        "{:?} {:?} {} {:?} {:?} {:?} {:?}",
        error.kind(),
        error.reason(),
        error.message(),
        error.metadata(),
        error.field_violations(),
        error.rejections(),
        error.retry_after()
    );
    told.replace(from, to)
}

fn reason_of(error: &Error) -> &str {
    error.reason().map_or("none", |reason| reason.as_str())
}

/// What decides about every order of a store, and so is not for who sees some of them.
const WHOLE_STORE: &[&str] = &[
    "StoreService/CreateStore",
    "StoreService/UpdateStore",
    "StoreService/PutCarrier",
    "StoreService/PutWarehouse",
    "PolicyService/CreatePolicy",
    "PolicyService/ActivatePolicy",
];

/// What an order in this state refuses, and only to who sees it.
const STANDS_OTHERWISE: &[&str] = &[
    "REFUND_NOT_CLAIMED",
    "FENCE_STALE",
    "GATE_NOT_OPEN",
    "TOO_LATE_TO_WITHDRAW",
    "INVALID_FIELD",
    "STAGE_MISMATCH",
];

fn within(t: &TestServer, role: Role, scope: Scope) -> Belay {
    t.role(role, "somebody").with_scope(scope).expect("a scope")
}

/// acme's order A-1 goes from `main` with `standard`; its pen is cancelled, so that it has a refund
/// too.
async fn place_one_with_a_refund(t: &TestServer) {
    place_with_a_refund(t, "A-1").await;
}

/// The refund of the pen could not be paid, which is an incident; the one of a mug is due.
async fn place_with_a_refund(t: &TestServer, order_id: &str) {
    t.place_paid(order_id).await;
    t.cancel_units(order_id, Units::line(format!("{order_id}:l2"), 1))
        .await;
    // Whatever else is due is leased with it.
    t.payments()
        .claim_refunds("w-0")
        .max_refunds(100)
        .await
        .expect("a refund is due");
    let pen = format!("{order_id}:r1");
    let failed = t
        .payments()
        .record_refund_result(pen, RefundResult::Failed)
        .failure_code("CLOSED");
    failed.await.expect("the provider's word is taken");
    t.cancel_units(order_id, Units::line(format!("{order_id}:l1"), 1))
        .await;
}

#[test]
fn every_rpc_has_a_row() {
    let mut rpcs: Vec<String> = descriptors::rpcs().iter().map(Rpc::path).collect();
    let mut rows: Vec<String> = RPCS.iter().map(|(path, _)| (*path).to_owned()).collect();
    rpcs.sort();
    rows.sort();
    assert_eq!(rows, rpcs);
}

#[test]
fn an_order_of_others_looks_like_one_that_is_not_there() {
    run(async |t| {
        place_one_with_a_refund(t).await;
        let before = t.database.snapshot().await;
        let everywhere = t.role(Role::Operator, "ops");
        let strangers = [
            within(t, Role::Operator, Scope::default().sellers(["zenith"])),
            within(
                t,
                Role::Operator,
                Scope::default().warehouses(["east", "west"]),
            ),
            within(t, Role::Operator, Scope::default().carriers(["express"])),
            // Each is right, but not on one shipment.
            within(
                t,
                Role::Operator,
                Scope::default().warehouses(["main"]).carriers(["express"]),
            ),
            // These see what is theirs by their name.
            t.role(Role::Seller, "zenith"),
            t.role(Role::Warehouse, "east"),
            t.role(Role::Carrier, "express"),
        ];
        for (path, about) in RPCS {
            for stranger in &strangers {
                let found = send(path, stranger, SHOP, "A-1").await;
                if found
                    .as_ref()
                    .is_err_and(|error| reason_of(error) == "ROLE_NOT_ALLOWED")
                {
                    continue;
                }
                match about {
                    About::Order => {
                        let foreign = found.expect_err(path);
                        assert_eq!(
                            (foreign.kind(), reason_of(&foreign)),
                            (Kind::NotFound, "ORDER_NOT_FOUND"),
                            "{path}"
                        );
                        for asker in [stranger, &everywhere] {
                            let absent = send(path, asker, SHOP, "B-1").await.expect_err(path);
                            assert_eq!(
                                told(&foreign, "A-1", "B-1"),
                                told(&absent, "", ""),
                                "{path}"
                            );
                        }
                    }
                    About::List => assert_eq!(found.expect(path), 0, "{path} for {stranger:?}"),
                    About::NewOrder => {
                        // Whether the id is taken makes no difference.
                        let taken = refused(found, Kind::PermissionDenied, "OUT_OF_SCOPE");
                        let free = refused(
                            send(path, stranger, SHOP, "B-1").await,
                            Kind::PermissionDenied,
                            "OUT_OF_SCOPE",
                        );
                        assert_eq!(told(&taken, "A-1", "B-1"), told(&free, "", ""));
                    }
                    About::Everybody | About::Stores | About::Store | About::NewStore => {}
                }
            }
        }
        assert_eq!(
            t.database
                .snapshot()
                .await
                .without_settings()
                .without_jobs(),
            before.without_settings().without_jobs()
        );
        for (path, _) in RPCS.iter().filter(|(_, about)| *about == About::List) {
            assert!(
                send(path, &everywhere, SHOP, "A-1").await.unwrap() > 0,
                "{path}: there is something to be seen"
            );
        }
    });
}

#[test]
fn what_is_not_seen_is_refused_byte_by_byte_like_what_is_not_there() {
    run(async |t| {
        // From `east` alone; who asks is the warehouse `main`.
        let shipment = NewShipment::new([(1, 3), (2, 1)]).warehouse_id("east");
        new_order(&t.storefront(), "A-1")
            .shipments([shipment])
            .await
            .unwrap();
        let raw = t.raw();
        let ask = async |order_id: &str| {
            let request = pb::GetOrderRequest {
                store_id: SHOP.to_owned(),
                order_id: order_id.to_owned(),
            };
            raw.refused("warehouse", "OrderService/GetOrder", request)
                .await
        };
        let (foreign, absent) = (ask("A-1").await, ask("B-1").await);
        let mut details = foreign.details;
        // Both ids are as long, so nothing else of the message differs.
        while let Some(at) = details.windows(3).position(|bytes| bytes == b"A-1") {
            details[at..at + 3].copy_from_slice(b"B-1");
        }
        assert_eq!((foreign.code, details), (absent.code, absent.details));
    });
}

#[test]
fn a_store_of_others_looks_like_one_that_is_not_there() {
    run(async |t| {
        place_one_with_a_refund(t).await;
        let before = t.database.snapshot().await;
        let stranger = within(t, Role::Operator, Scope::default().stores(["elsewhere"]));
        let everywhere = t.role(Role::Operator, "ops");
        for (path, about) in RPCS {
            let found = send(path, &stranger, SHOP, "A-1").await;
            match about {
                About::Everybody => assert!(found.unwrap() > 0),
                About::Stores => assert_eq!(found.unwrap(), 0),
                About::NewStore => {
                    refused(found, Kind::NotFound, "STORE_NOT_FOUND");
                }
                About::Store | About::List | About::Order | About::NewOrder => {
                    let foreign = refused(found, Kind::NotFound, "STORE_NOT_FOUND");
                    let absent = send(path, &everywhere, "gone", "A-1")
                        .await
                        .expect_err(path);
                    assert_eq!(
                        told(&foreign, SHOP, "gone"),
                        told(&absent, "", ""),
                        "{path}"
                    );
                }
            }
        }
        assert_eq!(t.database.snapshot().await, before);
    });
}

#[test]
fn who_sees_an_order_is_answered_like_everybody() {
    run(async |t| {
        let scope = Scope::default()
            .stores([SHOP])
            .sellers(["acme", "zenith"])
            .warehouses(["main"])
            .carriers(["standard"]);
        let own = within(t, Role::Operator, scope);
        for (number, (path, about)) in RPCS.iter().enumerate() {
            let order_id = format!("A-{number}");
            if *about != About::NewOrder {
                place_with_a_refund(t, &order_id).await;
            }
            match send(path, &own, SHOP, &order_id).await {
                Ok(found) => assert!(found > 0 && !WHOLE_STORE.contains(path), "{path}"),
                // How the order stands is known to who sees it only.
                Err(error) if STANDS_OTHERWISE.contains(&reason_of(&error)) => {}
                Err(error) => assert_eq!(
                    (WHOLE_STORE.contains(path), reason_of(&error)),
                    (true, "OUT_OF_SCOPE"),
                    "{path}"
                ),
            }
        }
    });
}

#[test]
fn a_warehouse_sees_its_own_shipments_of_an_order_and_no_others() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_split_paid(order_id).await;
        }
        t.place_paid("A-4").await;
        let east = t.store_as(SHOP, Role::Warehouse, "east");
        let paged =
            pages(async |token| east.list_shipments().page_size(2).page_token(token).await).await;
        let paged: Vec<Vec<&str>> = paged
            .iter()
            .map(|page| {
                page.iter()
                    .map(|shipment| shipment.shipment_id.as_str())
                    .collect()
            })
            .collect();
        assert_eq!(
            paged,
            [vec!["A-3:s2", "A-2:s2"], vec!["A-1:s2"]],
            "pages are full of what is seen"
        );
        assert_eq!(east.get_order("A-1").await.unwrap().shipments.len(), 1);
        refused(
            east.get_order("A-4").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );

        let foreign = refused(
            east.get_shipment("A-1:s1").await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        let absent = refused(
            east.get_shipment("A-1:s9").await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        assert_eq!(told(&foreign, "A-1:s1", "A-1:s9"), told(&absent, "", ""));
        let foreign = refused(
            east.dispatch_shipment("A-1:s1", 1).await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        let absent = refused(
            east.dispatch_shipment("A-1:s9", 1).await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        assert_eq!(told(&foreign, "A-1:s1", "A-1:s9"), told(&absent, "", ""));
        east.dispatch_shipment("A-1:s2", 1).await.unwrap();

        // Units wherever they are would be another warehouse's too.
        let support = within(t, Role::Support, Scope::default().warehouses(["east"])).store(SHOP);
        for units in [Units::all(), Units::line("A-2:l1", 1)] {
            refused(
                support.preview_cancellation("A-2", units.clone()).await,
                Kind::PermissionDenied,
                "OUT_OF_SCOPE",
            );
            refused(
                support.request_cancellation("A-2", units).await,
                Kind::PermissionDenied,
                "OUT_OF_SCOPE",
            );
        }
        let foreign = support
            .request_cancellation("A-2", Units::shipment("A-2:s1"))
            .await;
        refused(foreign, Kind::NotFound, "SHIPMENT_NOT_FOUND");
        let own = support
            .request_cancellation("A-2", Units::shipment("A-2:s2"))
            .reason(reason::NO_LONGER_WANTED);
        own.await.unwrap();
    });
}

#[test]
fn an_answer_is_not_repeated_to_who_does_not_see_the_order() {
    run(async |t| {
        t.place_paid("A-1").await;
        let somebody = t.role(Role::Support, "somebody");
        let cancel_request = |belay: &Belay, request_id| {
            let cancel_request = belay
                .store(SHOP)
                .request_cancellation("A-1", Units::all())
                .reason(reason::NO_LONGER_WANTED);
            cancel_request.request_id(request_id)
        };
        let request_id = RequestId::mint();
        let answer = cancel_request(&somebody, request_id).await.unwrap();
        let narrowed = somebody
            .with_scope(Scope::default().sellers(["zenith"]))
            .unwrap();
        refused(
            cancel_request(&narrowed, request_id).await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        assert_eq!(cancel_request(&somebody, request_id).await.unwrap(), answer);
    });
}

#[test]
fn nobody_takes_the_id_or_the_route_of_others() {
    run(async |t| {
        t.place("A-1").await;
        let zenith = within(t, Role::Storefront, Scope::default().sellers(["zenith"])).store(SHOP);
        let place = |store: &Store, order_id: &str, seller: &str| {
            let line = NewLine::new("MUG", 1, eur(1_000));
            store.create_order(
                order_id,
                NewBuyer::new("ann"),
                seller,
                Destination::new("DE"),
                [line],
            )
        };
        // A seller of their own, but the id is taken by an order that they do not see.
        let taken = refused(
            place(&zenith, "A-1", "zenith").await,
            Kind::PermissionDenied,
            "OUT_OF_SCOPE",
        );
        let foreign = refused(
            place(&zenith, "B-1", "acme").await,
            Kind::PermissionDenied,
            "OUT_OF_SCOPE",
        );
        assert_eq!(told(&taken, "A-1", "B-1"), told(&foreign, "", ""));
        place(&zenith, "B-1", "zenith").await.unwrap();
        // Their own may be told apart.
        let other = place(&zenith, "B-1", "zenith").shipping(eur(100));
        refused(other.await, Kind::AlreadyExists, "ORDER_ALREADY_EXISTS");

        let east = within(t, Role::Storefront, Scope::default().warehouses(["east"])).store(SHOP);
        refused(
            place(&east, "C-1", "acme").await,
            Kind::PermissionDenied,
            "OUT_OF_SCOPE",
        );
        let by_east = NewShipment::new([(1, 1)]).warehouse_id("east");
        place(&east, "C-1", "acme")
            .shipments([by_east])
            .await
            .unwrap();
    });
}

#[test]
fn a_worker_claims_refunds_of_its_own_sellers_only() {
    run(async |t| {
        // The older ones are not theirs and must not fill the page.
        for order_id in ["A-1", "A-2"] {
            t.place_paid(order_id).await;
            t.cancel(order_id).await;
        }
        let line = NewLine::new("MUG", 1, eur(1_000));
        let store = t.storefront();
        store
            .create_order(
                "Z-1",
                NewBuyer::new("bob"),
                "zenith",
                Destination::new("DE"),
                [line],
            )
            .await
            .unwrap();
        let paid = t
            .payments()
            .record_payment("Z-1", "pay-z", "evt-z", PaymentFact::Captured)
            .amount(eur(1_000));
        paid.method("CREDIT_CARD").await.unwrap();
        t.cancel("Z-1").await;

        let worker = within(t, Role::Payments, Scope::default().sellers(["zenith"])).store(SHOP);
        let claimed = worker.claim_refunds("w-1").max_refunds(1).await.unwrap();
        assert_eq!(
            claimed
                .iter()
                .map(|refund| refund.order_id.as_str())
                .collect::<Vec<_>>(),
            ["Z-1"]
        );
        assert!(worker.claim_refunds("w-1").await.unwrap().is_empty());
        refused(
            worker
                .record_refund_result("A-1:r1", RefundResult::Unknown)
                .await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        assert_eq!(t.payments().claim_refunds("w-2").await.unwrap().len(), 2);
    });
}

#[test]
fn a_caller_is_known_by_its_token_and_by_nothing_else() {
    run(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let known = Arc::new(KeyFile::open(&file.0).unwrap());
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.authentication = Authentication::key_file(known);
        });
        let service = service.await;
        let nobody = literal(service.address());
        let holder = |token: &str| nobody.with_token(token).unwrap();
        let believed = nobody.with_role(Role::Operator, "ops").unwrap();
        for (path, _) in RPCS {
            for stranger in [
                &nobody,
                &believed,
                &holder(NEXT),
                &holder(&hash_secret(WEB).unwrap()),
            ] {
                refused(
                    send(path, stranger, SHOP, "A-1").await,
                    Kind::Unauthenticated,
                    "CALLER_UNKNOWN",
                );
            }
        }

        let (web, acme) = (holder(WEB).store(SHOP), holder(ACME).store(SHOP));
        new_order(&web, "A-1").await.unwrap();
        let line = NewLine::new("MUG", 1, eur(1_000));
        web.create_order(
            "Z-1",
            NewBuyer::new("bob"),
            "zenith",
            Destination::new("DE"),
            [line],
        )
        .await
        .unwrap();
        refused(
            holder(WEB).store("other").get_store().await,
            Kind::NotFound,
            "STORE_NOT_FOUND",
        );
        assert_eq!(web.list_orders().await.unwrap().items.len(), 2);
        assert_eq!(acme.list_orders().await.unwrap().items.len(), 1);
        refused(
            acme.get_order("Z-1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            new_order(&acme, "A-2").await,
            Kind::PermissionDenied,
            "ROLE_NOT_ALLOWED",
        );

        // Both are known while the new secret is handed out; then the old one is gone.
        file.write(&callers("[shop]", &[WEB, NEXT]));
        until("the next secret is known", async || {
            holder(NEXT).store(SHOP).get_order("Z-1").await.ok()
        })
        .await;
        web.get_order("Z-1").await.unwrap();
        file.write(&callers("[shop]", &[NEXT]));
        until("the old secret is gone", async || {
            web.get_order("Z-1")
                .await
                .err()
                .filter(|error| reason_of(error) == "CALLER_UNKNOWN")
        })
        .await;
        service.stop().await;
    });
}
