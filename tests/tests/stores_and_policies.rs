//! StoreService and PolicyService: who sells under which rules, and from when.

use belay_client::calls::{FirstPolicy, NewShipment};
use belay_client::model::{CancellationPath, CancellationState, OrderState, PolicyState};
use belay_client::{Kind, Role, Store, Units, reason};
use belay_domain::store::ACTIVATION_LEAD;
use belay_tests::instance::{Service, literal, session};
use belay_tests::shop::{new_order, pay};
use belay_tests::{HANG, SHOP, TestServer, documents, refused, run, run_at, until};
use jiff::{SignedDuration, Timestamp};
use mysql_async::prelude::Queryable as _;
use tokio::join;

const MONDAY: &str = "2026-03-02T10:00:00Z";

#[test]
fn a_store_is_created_with_its_policy_warehouse_and_carrier() {
    run_at(MONDAY, async |t| {
        let operator = t.role(Role::Operator, "ops");
        let call = operator
            .create_store("berlin", FirstPolicy::preset("independent-site"))
            .display_name("Berlin");
        let call = call
            .time_zone("Europe/Berlin")
            .default_warehouse_id("b-1")
            .default_carrier_id("bike");
        let store = call.clone().await.unwrap();
        assert_eq!(
            (
                store.store_id.as_str(),
                &*store.display_name,
                &*store.time_zone
            ),
            ("berlin", "Berlin", "Europe/Berlin")
        );
        assert_eq!(
            (
                store.default_warehouse_id.as_str(),
                store.default_carrier_id.as_str()
            ),
            ("b-1", "bike")
        );
        assert_eq!(
            (store.active_policy_version, store.create_time),
            (1, t.now().await)
        );
        assert_eq!(operator.store("berlin").get_store().await.unwrap(), store);

        // It takes orders at once.
        let placed = new_order(&operator.store("berlin"), "A-1").await.unwrap();
        assert_eq!(
            (
                placed.shipments[0].warehouse_id.as_str(),
                placed.shipments[0].carrier_id.as_str()
            ),
            ("b-1", "bike")
        );

        let rows = t.database.snapshot().await;
        assert_eq!(call.clone().await.unwrap(), store);
        let error = refused(
            call.display_name("Bonn").await,
            Kind::AlreadyExists,
            "STORE_ALREADY_EXISTS",
        );
        assert_eq!(error.metadata()["store_id"], "berlin");
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn a_store_that_cannot_be_made_leaves_nothing_behind() {
    run(async |t| {
        let rows = t.database.snapshot().await;
        let operator = t.role(Role::Operator, "ops");
        let error = refused(
            operator
                .create_store("s-2", FirstPolicy::preset("moon-base"))
                .await,
            Kind::NotFound,
            "PRESET_NOT_FOUND",
        );
        assert_eq!(error.metadata()["preset"], "moon-base");
        let faulty = operator
            .create_store("s-2", FirstPolicy::document("name: ["))
            .await;
        let error = refused(faulty, Kind::InvalidArgument, "POLICY_INVALID");
        assert_eq!(error.field_violations()[0].field, "document");
        let nowhere = operator
            .create_store("s-2", FirstPolicy::preset("independent-site"))
            .time_zone("Moon/Base")
            .await;
        let error = refused(nowhere, Kind::InvalidArgument, "INVALID_FIELD");
        assert_eq!(error.field_violations()[0].field, "time_zone");
        let error = refused(
            operator.store("s-2").get_store().await,
            Kind::NotFound,
            "STORE_NOT_FOUND",
        );
        assert_eq!(error.metadata()["store_id"], "s-2");
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn a_carrier_is_put_replaced_and_guarded_by_its_etag() {
    run(async |t| {
        let put = |name: &str| t.operator().put_carrier("post", name);
        let first = put("Post").in_transit_cancel().await.unwrap();
        assert_eq!(
            (
                &*first.display_name,
                first.in_transit_cancel,
                first.partner_delivery
            ),
            ("Post", true, false)
        );
        let rows = t.database.snapshot().await;
        assert_eq!(put("Post").in_transit_cancel().await.unwrap(), first);
        // What stands already is no write, whatever the etag.
        assert_eq!(
            put("Post")
                .in_transit_cancel()
                .etag("\"99\"")
                .await
                .unwrap(),
            first
        );
        assert_eq!(t.database.snapshot().await, rows);

        let second = put("Post AG")
            .etag(&first.etag)
            .partner_delivery()
            .await
            .unwrap();
        assert_ne!(second.etag, first.etag);
        let error = refused(
            put("Post SE").etag(&first.etag).await,
            Kind::Aborted,
            "ETAG_MISMATCH",
        );
        assert_eq!(error.metadata()["etag"], second.etag.as_str());
        refused(
            t.operator()
                .put_carrier("new", "New")
                .etag(&first.etag)
                .await,
            Kind::Aborted,
            "ETAG_MISMATCH",
        );
    });
}

#[test]
fn a_warehouse_is_put_replaced_and_guarded_by_its_etag() {
    run(async |t| {
        let put = |name: &str| t.operator().put_warehouse("west", name);
        let first = put("West").await.unwrap();
        // The store's own zone, where none is given.
        assert_eq!((&*first.display_name, &*first.time_zone), ("West", "UTC"));
        assert_eq!(put("West").await.unwrap(), first);
        let second = put("West")
            .time_zone("Asia/Shanghai")
            .etag(&first.etag)
            .await
            .unwrap();
        assert_eq!(second.time_zone, "Asia/Shanghai");
        let error = refused(
            put("West II").etag(&first.etag).await,
            Kind::Aborted,
            "ETAG_MISMATCH",
        );
        assert_eq!(error.metadata()["etag"], second.etag.as_str());
        let error = refused(
            put("West").time_zone("Mars/Olympus").await,
            Kind::InvalidArgument,
            "INVALID_FIELD",
        );
        assert_eq!(error.field_violations()[0].field, "warehouse.time_zone");
    });
}

#[test]
fn an_order_goes_only_by_warehouses_and_carriers_that_the_store_has() {
    run(async |t| {
        let shipment = || NewShipment::new([(1, 3), (2, 1)]);
        let place = |shipment: NewShipment| new_order(&t.storefront(), "A-1").shipments([shipment]);
        let error = refused(
            place(shipment().warehouse_id("west")).await,
            Kind::InvalidArgument,
            "UNKNOWN_WAREHOUSE",
        );
        assert_eq!(error.metadata()["warehouse_id"], "west");
        let error = refused(
            place(shipment().carrier_id("post")).await,
            Kind::InvalidArgument,
            "UNKNOWN_CARRIER",
        );
        assert_eq!(error.metadata()["carrier_id"], "post");
        t.operator().put_warehouse("west", "West").await.unwrap();
        t.operator().put_carrier("post", "Post").await.unwrap();
        place(shipment().warehouse_id("west").carrier_id("post"))
            .await
            .unwrap();
    });
}

#[test]
fn nothing_of_a_store_is_seen_through_another_one() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        t.create_shop("other", FirstPolicy::preset("independent-site"))
            .await;
        let other = t.store_as("other", Role::Operator, "ops");
        refused(
            other.get_order("A-1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            other.list_order_history("A-1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            other.get_cancellation("A-1:c1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            other.get_shipment("A-1:s1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            other.get_refund("A-1:r1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        let request = other
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        refused(request.await, Kind::NotFound, "ORDER_NOT_FOUND");
        assert_eq!(other.list_orders().await.unwrap().items, []);
        assert_eq!(other.list_cancellations().await.unwrap().items, []);
        assert_eq!(other.list_shipments().await.unwrap().items, []);
        assert_eq!(other.list_refunds().await.unwrap().items, []);
        assert_eq!(other.claim_refunds("worker-1").await.unwrap(), []);
        // The same order id is free there, and is another order.
        new_order(&other, "A-1").await.unwrap();
        assert_eq!(
            other.get_order("A-1").await.unwrap().state,
            OrderState::AwaitingPayment
        );
        assert_eq!(t.order("A-1").await.state, OrderState::Cancelled);
        // What is no store has nothing.
        let nowhere = t.store_as("nowhere", Role::Operator, "ops");
        let error = refused(
            nowhere.get_order("A-1").await,
            Kind::NotFound,
            "STORE_NOT_FOUND",
        );
        assert_eq!(error.metadata()["store_id"], "nowhere");
    });
}

#[test]
fn presets_are_documents_that_can_be_taken_as_they_are() {
    run(async |t| {
        let presets = t.role(Role::Operator, "ops").list_presets().await.unwrap();
        let names: Vec<&str> = presets.iter().map(|preset| &*preset.preset).collect();
        let five = [
            "cross-border-declaration",
            "independent-site",
            "seller-center",
            "seller-warehouse",
            "supplier-agreement",
        ];
        assert_eq!(names, five);
        for preset in presets {
            assert!(!preset.description.is_empty(), "{}", preset.preset);
            let policy = t
                .operator()
                .create_policy(&*preset.document)
                .validate_only()
                .await
                .unwrap();
            assert_eq!((policy.version, policy.name), (0, preset.preset));
        }
    });
}

#[test]
fn a_faulty_document_is_refused_with_every_fault_and_its_path() {
    run(async |t| {
        let rows = t.database.snapshot().await;
        let document = documents::consent("PASS", "BAR")
            .replace("expire_after: 24h", "expire_after: soon")
            .replace("fault: CARRIER", "fault: MOON")
            .replace("kind: SELLER_CONSENT", "kind: PARCEL_RECEIPT");
        let document = format!("{document}\nsurprise: 1\n");
        for call in [
            t.operator().create_policy(&*document),
            t.operator().create_policy(&*document).validate_only(),
        ] {
            let error = refused(call.await, Kind::InvalidArgument, "POLICY_INVALID");
            let mut paths: Vec<&str> = error
                .field_violations()
                .iter()
                .map(|violation| &*violation.field)
                .collect();
            paths.sort_unstable();
            assert_eq!(
                paths,
                [
                    "document.reasons[1].fault",
                    "document.rules[0].allow.gates[0].on_timeout",
                    "document.surprise",
                    "document.unpaid.expire_after",
                ]
            );
        }
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn a_version_is_created_once_for_its_content_and_decides_nothing_by_itself() {
    run(async |t| {
        let document = documents::consent("REFUSE", "BAR");
        let rows = t.database.snapshot().await;
        let validated = t
            .operator()
            .create_policy(&*document)
            .validate_only()
            .await
            .unwrap();
        assert_eq!(
            (validated.version, validated.state, validated.create_time),
            (0, None, None)
        );
        assert_eq!(t.database.snapshot().await, rows);

        let created = t.operator().create_policy(&*document).await.unwrap();
        assert_eq!(
            (created.version, created.state, &*created.name),
            (2, Some(PolicyState::Draft), "consent")
        );
        assert_eq!(
            (&created.document, created.effective_time),
            (&document, None)
        );
        assert_eq!(
            t.operator().create_policy(&*document).await.unwrap(),
            created
        );
        assert_eq!(t.operator().get_policy().version(2).await.unwrap(), created);
        let active = t.operator().get_policy().await.unwrap();
        assert_eq!(
            (active.version, active.state),
            (1, Some(PolicyState::Active))
        );
        assert_eq!(active.document, documents::independent_site());
        let error = refused(
            t.operator().get_policy().version(3).await,
            Kind::NotFound,
            "POLICY_NOT_FOUND",
        );
        assert_eq!(error.metadata()["version"], "3");
        let error = refused(
            t.operator().activate_policy(3).await,
            Kind::NotFound,
            "POLICY_NOT_FOUND",
        );
        assert_eq!(error.metadata()["version"], "3");

        t.place_paid("A-1").await;
        assert_eq!(t.cancel("A-1").await.cancellation.policy_version, 1);
    });
}

/// A buyer's request in the shop: its policy version, and whether somebody has to agree first.
async fn buyers_request(t: &TestServer, order_id: &str) -> (i32, CancellationState) {
    let cancellation = t.cancel(order_id).await.cancellation;
    (cancellation.policy_version, cancellation.state)
}

#[test]
fn a_policy_takes_two_persons_where_the_server_asks_for_them() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.two_person_activation = true;
        })
        .await;
        let operator = |id: &str| {
            let belay = service.belay().with_role(Role::Operator, id);
            belay.expect("a role to call in").store(SHOP)
        };
        let (ada, ben) = (operator("ada"), operator("ben"));
        let created = ada.create_policy(documents::consent("REFUSE", "BAR"));
        let created = created.await.unwrap();
        assert_eq!(
            (created.version, created.author_id.as_deref()),
            (2, Some("ada"))
        );
        // Who brings it once more is not its author.
        let again = ben.create_policy(documents::consent("REFUSE", "BAR"));
        assert_eq!(again.await.unwrap().author_id.as_deref(), Some("ada"));

        let rows = t.database.snapshot().await;
        let alone = ada.activate_policy(2).await;
        let error = refused(alone, Kind::PermissionDenied, "SECOND_PERSON_NEEDED");
        assert_eq!(error.metadata()["version"], "2");
        assert_eq!(t.database.snapshot().await, rows);
        let activated = ben.activate_policy(2).await.unwrap();
        assert_eq!(activated.state, Some(PolicyState::Scheduled));
        // What was activated once goes back by one hand, and forth again.
        ada.activate_policy(1).await.unwrap();
        ada.activate_policy(2).await.unwrap();

        // A version whose author nobody knows is nobody's to activate.
        let nameless = documents::consent("REFUSE", "BAR").replace("name:", "# mine\nname:");
        ada.create_policy(nameless).await.unwrap();
        t.database
            .execute("UPDATE policies SET author_id = NULL WHERE version = 3", ())
            .await;
        for person in [&ada, &ben] {
            let unknown = person.activate_policy(3).await;
            refused(unknown, Kind::PermissionDenied, "SECOND_PERSON_NEEDED");
        }
        // Where the server does not ask, one is enough.
        t.operator().activate_policy(3).await.unwrap();
        service.stop().await;
    });
}

#[test]
fn a_version_decides_from_its_effective_time_on() {
    run_at(MONDAY, async |t| {
        for order_id in ["BEFORE", "AT"] {
            t.place_paid(order_id).await;
        }
        let effective: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        t.operator()
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .unwrap();
        let scheduled = t
            .operator()
            .activate_policy(2)
            .effective_time(effective)
            .await
            .unwrap();
        assert_eq!(
            (scheduled.state, scheduled.effective_time),
            (Some(PolicyState::Scheduled), Some(effective))
        );
        let again = t
            .operator()
            .activate_policy(2)
            .effective_time(effective)
            .await
            .unwrap();
        assert_eq!(again, scheduled);

        t.set_clock(effective - SignedDuration::from_micros(1))
            .await;
        assert_eq!(
            buyers_request(t, "BEFORE").await,
            (1, CancellationState::Completed)
        );
        assert_eq!(t.order("AT").await.display_state, "Paid, to be shipped");
        t.set_clock(effective).await;
        assert_eq!(
            buyers_request(t, "AT").await,
            (2, CancellationState::Pending)
        );
        // The new document has no labels: the state's own name is shown.
        assert_eq!(t.order("AT").await.display_state, "TO_SHIP");
        assert_eq!(
            t.operator()
                .get_store()
                .await
                .unwrap()
                .active_policy_version,
            2
        );
        assert_eq!(
            t.operator().get_policy().version(1).await.unwrap().state,
            Some(PolicyState::Superseded)
        );
        assert_eq!(
            t.operator().get_policy().await.unwrap().state,
            Some(PolicyState::Active)
        );
        // What was decided before stays as it was decided.
        assert_eq!(t.order("BEFORE").await.cancellations[0].policy_version, 1);
        assert_eq!(t.order("BEFORE").await.policy_version, 1);
    });
}

#[test]
fn a_cancellation_under_way_goes_on_under_the_version_it_was_asked_under() {
    run_at(MONDAY, async |t| {
        t.place_interceptable("A-1").await;
        t.pay("A-1").await;
        t.ship("A-1:s1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let waiting = request
            .paths([CancellationPath::Intercept])
            .await
            .unwrap()
            .cancellation;
        let effective = t.now().await + SignedDuration::from_hours(1);
        t.operator()
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .unwrap();
        t.operator()
            .activate_policy(2)
            .effective_time(effective)
            .await
            .unwrap();
        t.set_clock(effective).await;
        let found = t
            .support()
            .get_cancellation("A-1:c1")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(found, waiting);
        t.set_clock(waiting.parts[0].gates[0].respond_by.unwrap())
            .await;
        // Asking again settles the first; the new version has no rule for what is under way.
        let again = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        refused(
            again.paths([CancellationPath::Intercept]).await,
            Kind::Rejected,
            "NOT_ALLOWED",
        );
        let ended = t
            .support()
            .get_cancellation("A-1:c1")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (ended.policy_version, ended.close_reason.as_deref()),
            (1, Some("GATE_TIMED_OUT"))
        );
    });
}

#[test]
fn an_activation_lies_far_enough_ahead_for_every_server_to_know_of_it() {
    run_at(MONDAY, async |t| {
        t.operator()
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .unwrap();
        let now = t.now().await;
        let too_early = t.operator().activate_policy(2).effective_time(now).await;
        let error = refused(too_early, Kind::InvalidArgument, "INVALID_FIELD");
        assert_eq!(error.field_violations()[0].field, "effective_time");
        let earliest = t.operator().activate_policy(2).await.unwrap();
        assert_eq!(earliest.state, Some(PolicyState::Scheduled));
        let effective = earliest.effective_time.unwrap();
        assert!(
            effective > now && effective <= now + SignedDuration::from_secs(60),
            "{effective}"
        );
        // A millisecond earlier would have been too early.
        let earlier = t
            .operator()
            .activate_policy(1)
            .effective_time(effective - SignedDuration::from_millis(1))
            .await;
        refused(earlier, Kind::InvalidArgument, "INVALID_FIELD");
    });
}

#[test]
fn an_activation_that_waits_to_be_written_still_lies_far_enough_ahead() {
    let waited = SignedDuration::from_secs(10);
    run_at(MONDAY, async |t| {
        let document = documents::consent("REFUSE", "BAR");
        t.operator().create_policy(document).await.unwrap();
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.manual_clock = true;
            (settings.lock_wait_max, settings.database_wait_max) = (HANG, HANG);
        })
        .await;
        let operator = literal(service.address()).with_role(Role::Operator, "ops");
        let operator = operator.unwrap().store(SHOP);
        let mut somebody = session(&t.database.url()).await;
        // Once as early as can be, and once at an instant that is passed meanwhile.
        for is_named in [true, false] {
            let lock = "SELECT version FROM policy_activations WHERE store_id = ? FOR UPDATE";
            somebody.query_drop("BEGIN").await.unwrap();
            somebody.exec_drop(lock, (SHOP,)).await.unwrap();
            let mut activate = operator.activate_policy(2);
            if is_named {
                activate = activate.effective_time(t.now().await + waited);
            }
            let release = async {
                until("it waits for a lock", async || {
                    let waiting = "SELECT COUNT(*) FROM performance_schema.data_locks \
                        WHERE object_schema = DATABASE() AND object_name = 'policy_activations' \
                        AND lock_status = 'WAITING'";
                    let (waiting,): (u32,) = t.database.row(waiting, ()).await;
                    (waiting > 0).then_some(())
                })
                .await;
                t.advance(waited).await;
                somebody.query_drop("ROLLBACK").await.unwrap();
            };
            let (activated, ()) = join!(activate.send(), release);
            let activations = "SELECT COUNT(*) FROM policy_activations WHERE version = 2";
            let (written,): (u32,) = t.database.row(activations, ()).await;
            if is_named {
                refused(activated, Kind::InvalidArgument, "INVALID_FIELD");
                assert_eq!(written, 0);
            } else {
                let effective = activated.unwrap().effective_time.unwrap();
                let lead = SignedDuration::try_from(ACTIVATION_LEAD).unwrap();
                assert!(effective >= t.now().await + lead, "{effective}");
                assert_eq!(written, 1);
            }
        }
        service.stop().await;
    });
}

#[test]
fn an_activation_to_come_is_replaced_and_an_older_version_may_come_back() {
    run_at(MONDAY, async |t| {
        let now = t.now().await;
        let in_hours = |hours| now + SignedDuration::from_hours(hours);
        t.operator()
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .unwrap();
        t.operator()
            .create_policy(documents::consent("PASS", "BAR"))
            .await
            .unwrap();
        t.operator()
            .activate_policy(2)
            .effective_time(in_hours(1))
            .await
            .unwrap();
        t.operator()
            .activate_policy(3)
            .effective_time(in_hours(2))
            .await
            .unwrap();
        t.set_clock(in_hours(1)).await;
        // The activation of version 2 was replaced.
        assert_eq!(t.operator().get_policy().await.unwrap().version, 1);
        t.set_clock(in_hours(2)).await;
        assert_eq!(t.operator().get_policy().await.unwrap().version, 3);

        t.operator()
            .activate_policy(1)
            .effective_time(in_hours(3))
            .await
            .unwrap();
        t.set_clock(in_hours(3)).await;
        t.place_paid("A-1").await;
        assert_eq!(
            buyers_request(t, "A-1").await,
            (1, CancellationState::Completed)
        );
        assert_eq!(
            t.operator().get_policy().version(3).await.unwrap().state,
            Some(PolicyState::Superseded)
        );
    });
}

#[test]
fn a_new_order_is_due_by_the_policy_of_its_day() {
    run_at(MONDAY, async |t| {
        let document =
            documents::independent_site().replace("expire_after: 24h", "expire_after: 2h");
        let store: Store = t
            .create_shop("quick", FirstPolicy::document(document))
            .await;
        let placed = new_order(&store, "A-1").await.unwrap();
        assert_eq!(
            placed.pay_by,
            Some(t.now().await + SignedDuration::from_hours(2))
        );
        t.advance(SignedDuration::from_hours(2)).await;
        assert_eq!(pay(&store, "A-1").await.state, OrderState::ClosedUnpaid);
        assert_eq!(
            t.store_as(SHOP, Role::Operator, "ops")
                .get_store()
                .await
                .unwrap()
                .active_policy_version,
            1
        );
    });
}
