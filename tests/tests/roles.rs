//! Who may do what, and how much each role sees of what it is answered with.

use belay_client::calls::{FirstPolicy, NewShipment, RecordPayment, Stopped};
use belay_client::model::{
    CancellationState, Event, EventType, GateKind, Order, PaymentFact, TrackingFact,
};
use belay_client::{Belay, Kind, RequestId, Role, Scope, Store, Units, reason};
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{SHOP, TestServer, documents, pages, refused, run};
use futures_util::TryStreamExt;

fn within(t: &TestServer, role: Role, scope: Scope) -> Belay {
    t.role(role, "somebody").with_scope(scope).expect("a scope")
}

fn pay(store: &Store, order_id: &str, fact: PaymentFact) -> RecordPayment {
    let event = format!("{fact}");
    store
        .record_payment(order_id, "pay", event, fact)
        .method("CREDIT_CARD")
        .amount(eur(TOTAL))
}

#[test]
fn who_sells_does_not_say_what_was_paid_unless_the_store_lets_it() {
    run(async |t| {
        t.place("A-1").await;
        let web = t.storefront();
        let rows = t.database.snapshot().await;
        for fact in [
            PaymentFact::Captured,
            PaymentFact::Authorized,
            PaymentFact::RefundedOutside,
            PaymentFact::Chargeback,
        ] {
            for order_id in ["A-1", "B-1"] {
                let denied = refused(
                    pay(&web, order_id, fact).await,
                    Kind::PermissionDenied,
                    "ROLE_NOT_ALLOWED",
                );
                assert_eq!(denied.metadata()["role"], "STOREFRONT");
            }
        }
        assert_eq!(t.database.snapshot().await, rows);

        let store = t.operator().get_store().await.unwrap();
        assert!(!store.storefront_records_payments);
        let lets = t
            .operator()
            .update_store()
            .storefront_records_payments(true);
        assert!(lets.await.unwrap().storefront_records_payments);
        pay(&web, "A-1", PaymentFact::Captured).await.unwrap();
        // What is not said stays, and what is said may be taken back.
        let renamed = t.operator().update_store().display_name("Shop").await;
        assert!(renamed.unwrap().storefront_records_payments);
        let no = t
            .operator()
            .update_store()
            .storefront_records_payments(false);
        assert!(!no.await.unwrap().storefront_records_payments);
        refused(
            pay(&web, "A-1", PaymentFact::Chargeback).await,
            Kind::PermissionDenied,
            "ROLE_NOT_ALLOWED",
        );
        pay(&t.payments(), "A-1", PaymentFact::Chargeback)
            .await
            .unwrap();

        let policy = || FirstPolicy::preset("independent-site");
        let operator = t.role(Role::Operator, "ops");
        let own_till = operator
            .create_store("kiosk", policy())
            .storefront_records_payments();
        assert!(own_till.await.unwrap().storefront_records_payments);
        let kiosk = t.store_as("kiosk", Role::Storefront, "web");
        new_order(&kiosk, "K-1").await.unwrap();
        pay(&kiosk, "K-1", PaymentFact::Captured).await.unwrap();
        // The same store without it is another one.
        refused(
            operator.create_store("kiosk", policy()).await,
            Kind::AlreadyExists,
            "STORE_ALREADY_EXISTS",
        );
    });
}

#[test]
fn who_sees_some_orders_of_a_store_decides_nothing_about_all_of_them() {
    run(async |t| {
        let rows = t.database.snapshot().await;
        for scope in [
            Scope::default().sellers(["acme"]),
            Scope::default().warehouses(["main", "east"]),
            Scope::default()
                .carriers(["standard", "express"])
                .stores([SHOP]),
        ] {
            let belay = within(t, Role::Operator, scope);
            let store = belay.store(SHOP);
            let outcomes = [
                store
                    .update_store()
                    .display_name("Mine")
                    .await
                    .map(drop)
                    .map_err(Into::into),
                store
                    .put_carrier("standard", "Mine")
                    .in_transit_cancel()
                    .await
                    .map(drop)
                    .map_err(Into::into),
                store
                    .put_warehouse("main", "Mine")
                    .await
                    .map(drop)
                    .map_err(Into::into),
                store
                    .create_policy(documents::independent_site())
                    .await
                    .map(drop)
                    .map_err(Into::into),
                store.activate_policy(1).await.map(drop).map_err(Into::into),
            ];
            for outcome in outcomes {
                let outcome: Result<(), belay_client::Error> = outcome;
                refused(outcome, Kind::PermissionDenied, "OUT_OF_SCOPE");
            }
            let preset = FirstPolicy::preset("independent-site");
            let created = belay.create_store("mine", preset).await;
            refused(created, Kind::PermissionDenied, "OUT_OF_SCOPE");
        }
        assert_eq!(t.database.snapshot().await, rows);
        // Who sees every order of its stores does.
        let own = within(t, Role::Operator, Scope::default().stores([SHOP])).store(SHOP);
        own.put_carrier("standard", "Ours").await.unwrap();
    });
}

/// A store whose buyers must ask the warehouse, and whose warehouses may say that there is none
/// left.
const STOPS: &str = "name: stops
unpaid: {expire_after: 90d}
reasons:
  - {code: NO_LONGER_WANTED, actors: [BUYER], fault: BUYER}
  - {code: OUT_OF_STOCK, actors: [WAREHOUSE], fault: SELLER}
  - {code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}
rules:
  - id: stop
    when: {actor: BUYER, stage: [PLANNED, PREPARING, READY], path: CANCEL}
    allow: {gates: [{kind: WAREHOUSE_STOP, respond_within: 24h, on_timeout: REFUSE, on_dispatch: BAR}], refund: FULL}
  - {id: none-left, when: {actor: WAREHOUSE, stage: [PLANNED, PREPARING, READY], path: CANCEL}, allow: {refund: FULL}}
  - {id: unpaid, when: {stage: UNRELEASED, path: CANCEL}, allow: {refund: FULL}}
refunds: {due: IMMEDIATE, shipping: NEVER}
";

const STORE: &str = "stops";

fn party(t: &TestServer, role: Role, actor: &str) -> Store {
    t.store_as(STORE, role, actor)
}

/// An order in two shipments, paid: two mugs from `main` with `standard`, a mug and the pen from
/// `east` with `express`.
async fn place(t: &TestServer) {
    t.create_shop(STORE, FirstPolicy::document(STOPS)).await;
    let shipments = [
        NewShipment::new([(1, 2)]),
        NewShipment::new([(1, 1), (2, 1)])
            .warehouse_id("east")
            .carrier_id("express"),
    ];
    let web = party(t, Role::Storefront, "web");
    let placed = new_order(&web, "A-1").shipments(shipments).await;
    placed.expect("an order");
    belay_tests::shop::pay(&web, "A-1").await;
}

/// The same, with a wish of its buyer for each parcel.
async fn place_asked(t: &TestServer) -> Order {
    place(t).await;
    let web = party(t, Role::Storefront, "web");
    for (shipment, note) in [("A-1:s1", "for main"), ("A-1:s2", "for east")] {
        let request = web
            .request_cancellation("A-1", Units::shipment(shipment))
            .reason(reason::NO_LONGER_WANTED);
        let asked = request.note(note).evidence(["photo-1"]).await;
        asked.expect("a request");
    }
    web.get_order("A-1").await.expect("the order")
}

/// Nothing of the money, the buyer or other parties.
fn has_nothing_of_others(order: &Order) {
    assert!(
        order.payments.is_empty() && order.refunds.is_empty(),
        "{order:?}"
    );
    assert!(!order.totals.total.is_seen() && !order.shipping.amount.is_seen());
    assert_eq!(order.buyer_id.as_str(), "");
    assert_eq!((order.paid_time, order.pay_by), (None, None));
    for line in &order.lines {
        assert!(!line.goods.is_seen() && !line.tax.is_seen() && !line.discount.is_seen());
        assert_eq!(line.quantity, 0);
    }
    for cancellation in &order.cancellations {
        assert_eq!(
            (&cancellation.note, cancellation.evidence.len()),
            (&None, 0)
        );
        assert!(!cancellation.expected_refund.total.is_seen());
        assert!(cancellation.refund_ids.is_empty());
        assert_eq!(cancellation.requester.role, Role::Buyer);
        assert_eq!(
            (&cancellation.requester.id, &cancellation.submitted_by.id),
            (&None, &None)
        );
    }
}

#[test]
fn a_warehouse_and_a_carrier_see_of_an_order_what_their_parcels_need() {
    run(async |t| {
        let whole = place_asked(t).await;
        assert_eq!((whole.shipments.len(), whole.cancellations.len()), (2, 2));
        assert!(whole.totals.total.is_seen() && whole.cancellations[0].note.is_some());

        let east = party(t, Role::Warehouse, "east");
        let express = party(t, Role::Carrier, "express");
        for party in [&east, &express] {
            let order = party.get_order("A-1").await.unwrap();
            has_nothing_of_others(&order);
            let shipments: Vec<&str> = order
                .shipments
                .iter()
                .map(|shipment| shipment.shipment_id.as_str())
                .collect();
            assert_eq!(shipments, ["A-1:s2"]);
            // Both lines are in it, and what the labels need is there.
            assert_eq!(order.lines.len(), 2);
            assert_eq!(
                (&*order.lines[0].sku, &*order.destination.country_code),
                ("MUG", "DE")
            );
            assert_eq!(order.shipments[0].contents, whole.shipments[1].contents);
            assert_eq!(order.shipments[0].fence, whole.shipments[1].fence);
            assert_eq!(order.etag, whole.etag);
            assert_eq!(order.cancellations.len(), 1);
            assert_eq!(order.cancellations[0].cancellation_id.as_str(), "A-1:c2");
            assert_eq!(order.cancellations[0].reason, whole.cancellations[1].reason);

            // The same in every other answer.
            let found = party.get_cancellation("A-1:c2").await.unwrap();
            assert_eq!(found.cancellation, order.cancellations[0]);
            let listed = party.list_cancellations().await.unwrap();
            assert_eq!(listed.items, order.cancellations);
            assert_eq!(listed.next_page_token, None);
            let shipment = party.get_shipment("A-1:s2").await.unwrap();
            assert_eq!(shipment, order.shipments[0]);
            refused(
                party.get_cancellation("A-1:c1").await,
                Kind::NotFound,
                "CANCELLATION_NOT_FOUND",
            );
        }
        let main = self::party(t, Role::Warehouse, "main")
            .get_order("A-1")
            .await
            .unwrap();
        has_nothing_of_others(&main);
        assert_eq!(main.lines.len(), 1, "the pen is in the other parcel");
        // Who is none of both sees it whole.
        for role in [Role::Seller, Role::Payments, Role::Support, Role::Auditor] {
            let actor = if role == Role::Seller {
                "acme"
            } else {
                "somebody"
            };
            assert_eq!(
                self::party(t, role, actor).get_order("A-1").await.unwrap(),
                whole
            );
        }
    });
}

#[test]
fn what_a_party_wrote_itself_it_sees_again() {
    run(async |t| {
        place_asked(t).await;
        let main = party(t, Role::Warehouse, "main");
        let answer = main
            .answer_stop("A-1:s1", Stopped::all())
            .note("on the shelf")
            .await
            .unwrap();
        assert_eq!(answer.shipment_id.as_str(), "A-1:s1");
        let gate_of = async |store: &Store| {
            let order = store.get_order("A-1").await.unwrap();
            let parts = order
                .cancellations
                .into_iter()
                .flat_map(|cancellation| cancellation.parts);
            let mut gates = parts.flat_map(|part| part.gates);
            gates
                .find(|gate| gate.kind == GateKind::WarehouseStop)
                .unwrap()
        };
        let own = gate_of(&main).await.answer.unwrap();
        assert_eq!(own.note.as_deref(), Some("on the shelf"));
        assert_eq!(own.by.id.as_deref(), Some("main"));
        // Its carrier learns that the gate was passed, and not what was written.
        let carrier = gate_of(&party(t, Role::Carrier, "standard")).await;
        assert!(carrier.close_time.is_some());
        assert_eq!(carrier.answer, None);
    });
}

#[test]
fn the_history_and_the_feed_show_a_party_what_is_about_its_parcels() {
    run(async |t| {
        place_asked(t).await;
        let web = party(t, Role::Storefront, "web");
        let all: Vec<Event> = web
            .list_order_history("A-1")
            .stream()
            .try_collect()
            .await
            .unwrap();
        let is_own = |event: &Event| {
            event
                .warehouse_id
                .as_ref()
                .is_some_and(|id| id.as_str() == "east")
        };
        let mine: Vec<&Event> = all.iter().filter(|event| is_own(event)).collect();
        assert!(mine.len() > 1 && mine.len() < all.len());
        for role in [Role::Warehouse, Role::Carrier] {
            let actor = if role == Role::Warehouse {
                "east"
            } else {
                "express"
            };
            let party = self::party(t, role, actor);
            // Pages are full of what is seen.
            let paged = pages(async |token| {
                party
                    .list_order_history("A-1")
                    .page_size(2)
                    .page_token(token)
                    .await
            });
            let paged = paged.await;
            assert!(
                paged.iter().rev().skip(1).all(|page| page.len() == 2),
                "{paged:?}"
            );
            let history: Vec<Event> = paged.into_iter().flatten().collect();
            let positions = |events: &[&Event]| {
                events
                    .iter()
                    .map(|event| event.position)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                positions(&history.iter().collect::<Vec<_>>()),
                positions(&mine)
            );
            let listed = t.role(role, actor).list_events().store_id(STORE);
            let listed: Vec<Event> = listed.stream().try_collect().await.unwrap();
            assert_eq!(listed, history);
            let mut watch = t
                .role(role, actor)
                .watch_events()
                .store_id(STORE)
                .from_oldest()
                .await
                .unwrap();
            let mut watched: Vec<Event> = Vec::new();
            while watched.len() < history.len() {
                watched.extend(watch.try_next().await.unwrap().expect("it goes on").events);
            }
            assert_eq!(watched, history);
            for event in &listed {
                assert_eq!(
                    event
                        .on_behalf_of
                        .as_ref()
                        .and_then(|actor| actor.id.as_ref()),
                    None
                );
                let is_own_act = event.actor.role == role;
                assert_eq!(event.actor.id.is_some(), is_own_act, "{event:?}");
            }
            assert!(
                history
                    .iter()
                    .any(|event| event.event_type == EventType::GateOpened)
            );
        }
    });
}

#[test]
fn the_answer_to_a_write_is_cut_as_a_read_is_also_when_it_is_repeated() {
    run(async |t| {
        place(t).await;
        let east = party(t, Role::Warehouse, "east");
        let request_id = RequestId::mint();
        let ask = || {
            let request = east
                .request_cancellation("A-1", Units::shipment("A-1:s2"))
                .reason("OUT_OF_STOCK");
            request.note("none left").request_id(request_id)
        };
        let first = ask().await.unwrap();
        assert_eq!(first.cancellation.state, CancellationState::Completed);
        // It asked for it, so the words are its own; the money is not.
        assert_eq!(first.cancellation.note.as_deref(), Some("none left"));
        assert!(!first.cancellation.expected_refund.total.is_seen());
        assert!(first.cancellation.refund_ids.is_empty());
        assert_eq!(ask().await.unwrap(), first);
        let whole = party(t, Role::Storefront, "web")
            .get_order("A-1")
            .await
            .unwrap();
        assert!(whole.cancellations[0].expected_refund.total.is_seen());
        assert_eq!(whole.refunds.len(), 1);
        // What its preview says, and the quote in it, tell no more.
        let main = party(t, Role::Warehouse, "main");
        let preview = main
            .preview_cancellation("A-1", Units::shipment("A-1:s1"))
            .reason("OUT_OF_STOCK")
            .await
            .unwrap();
        assert!(preview.allowed && preview.expected_refund.is_none());
        assert!(preview.options.iter().all(|option| option.credit.is_none()));
        let quote = preview.quote.unwrap();
        let bytes = quote.token.as_bytes();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"refund"));
    });
}

#[test]
fn a_warehouse_sees_incidents_about_its_parcels_only() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        for shipment in ["A-1:s1", "A-1:s2"] {
            t.cancel_units("A-1", Units::shipment(shipment)).await;
            // Cancelled, and yet it goes.
            t.scan(shipment, TrackingFact::PickedUp).await;
        }
        assert_eq!(t.support().list_incidents().await.unwrap().items.len(), 2);
        let east = t.store_as(SHOP, Role::Warehouse, "east");
        let seen = east.list_incidents().await.unwrap().items;
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].subject_id, "A-1:s2");
        assert_eq!(east.get_order("A-1").await.unwrap().incidents, seen);
        let express = t.store_as(SHOP, Role::Carrier, "express");
        assert_eq!(express.get_order("A-1").await.unwrap().incidents, []);
    });
}

/// What a page token holds, if it could be read.
fn holds(token: &str, id: &str) -> bool {
    let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    token.contains(&hex)
}

#[test]
fn lists_of_reference_data_tell_nothing_of_what_is_not_seen() {
    run(async |t| {
        for number in 0..3 {
            let id = format!("hidden-{number}");
            t.operator().put_carrier(&*id, "Other").await.unwrap();
            t.operator().put_warehouse(&*id, "Other").await.unwrap();
            t.create_shop(&id, FirstPolicy::preset("independent-site"))
                .await;
        }
        let scope = Scope::default()
            .stores([SHOP])
            .warehouses(["main"])
            .carriers(["standard"]);
        let auditor = within(t, Role::Auditor, scope);
        let stores = auditor.list_stores().page_size(1).await.unwrap();
        assert_eq!((stores.items.len(), stores.next_page_token), (1, None));
        let store = auditor.store(SHOP);
        let carriers = store.list_carriers().page_size(1).await.unwrap();
        assert_eq!((carriers.items.len(), carriers.next_page_token), (1, None));
        let warehouses = store.list_warehouses().page_size(1).await.unwrap();
        assert_eq!(
            (warehouses.items.len(), warehouses.next_page_token),
            (1, None)
        );

        // What is seen fills pages, and where a page ends is not to be read.
        let two = Scope::default().carriers(["hidden-0", "hidden-2"]);
        let store = within(t, Role::Auditor, two).store(SHOP);
        let first = store.list_carriers().page_size(1).await.unwrap();
        assert_eq!(first.items[0].carrier_id.as_str(), "hidden-0");
        let token = first.next_page_token.unwrap();
        assert!(!holds(&token, "hidden"), "{token}");
        let second = store
            .list_carriers()
            .page_size(1)
            .page_token(token)
            .await
            .unwrap();
        assert_eq!(second.items[0].carrier_id.as_str(), "hidden-2");
        assert_eq!(second.next_page_token, None);
    });
}

#[test]
fn a_party_with_several_warehouses_sees_those_of_an_order() {
    run(async |t| {
        place_asked(t).await;
        let both = within(
            t,
            Role::Warehouse,
            Scope::default().warehouses(["main", "east"]),
        );
        let store = both.store(STORE);
        assert_eq!(store.get_order("A-1").await.unwrap().shipments.len(), 2);
        let listed = store.list_cancellations().page_size(1).await.unwrap();
        assert_eq!(listed.items[0].cancellation_id.as_str(), "A-1:c2");
        let token = listed.next_page_token.unwrap();
        let rest = store
            .list_cancellations()
            .page_size(1)
            .page_token(token)
            .await
            .unwrap();
        assert_eq!(rest.items[0].cancellation_id.as_str(), "A-1:c1");
        assert_eq!(rest.next_page_token, None);
    });
}
