//! What is kept with orders and cancellations, and notes: set, read, told, forgotten.

use std::collections::BTreeMap;

use belay_client::calls::BulkOrders;
use belay_client::model::{
    Event, EventDetail, EventType, ExternalReference, Note, NoteVisibility, Order, OrderState,
};
use belay_client::{Kind, RequestId, Role, Store, Units, reason};
use belay_tests::shop::{new_order, pay};
use belay_tests::{SHOP, TestServer, pages, refused, run, run_at};
use jiff::SignedDuration;
use tokio::join;

use crate::bulk::{finished, results};

use NoteVisibility::{Private, Public};

const MONDAY: &str = "2026-03-02T10:00:00Z";
const NOTES_MAX: usize = 100;
const METADATA_MAX: usize = 16;
const REFERENCES_MAX: usize = 10;

fn entries<const N: usize>(of: [(&str, &str); N]) -> BTreeMap<String, String> {
    let owned = of.map(|(key, value)| (key.to_owned(), value.to_owned()));
    owned.into()
}

fn sap(id: &str) -> ExternalReference {
    ExternalReference::new("sap", id)
}

/// The events of this type, with their details.
async fn details(t: &TestServer, order: &str, of: EventType) -> Vec<EventDetail> {
    let history = t.history(order).await;
    let found = history.into_iter().filter(|event| event.event_type == of);
    found.filter_map(|event| event.detail).collect()
}

fn texts(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.text.as_str()).collect()
}

#[test]
fn an_order_begins_with_what_it_is_given_and_everybody_in_the_sale_reads_it() {
    run_at(MONDAY, async |t| {
        let url = "https://erp.example.org/so/4711";
        let placed = new_order(&t.storefront(), "A-1")
            .metadata([("channel", "web"), ("campaign", "spring")])
            .external_references([sap("4711").url(url), ExternalReference::new("crm", "c-9")]);
        let again = placed.clone();
        let order = placed.await.unwrap();
        let kept = entries([("channel", "web"), ("campaign", "spring")]);
        assert_eq!(order.metadata, kept);
        // By system.
        let references = [ExternalReference::new("crm", "c-9"), sap("4711").url(url)];
        assert_eq!(order.external_references, references);
        assert_eq!(again.await.unwrap().etag, order.etag, "the same again");
        let other = new_order(&t.storefront(), "A-1").metadata([("channel", "app")]);
        refused(other.await, Kind::AlreadyExists, "ORDER_ALREADY_EXISTS");

        for store in [t.storefront(), t.seller(), t.support(), t.payments()] {
            let order = store.get_order("A-1").await.unwrap();
            assert_eq!(order.metadata, kept);
            assert_eq!(order.external_references, references);
        }
        let page = t.seller().list_orders().await.unwrap();
        assert_eq!(page.items[0].metadata, kept);
        for store in [t.warehouse(), t.carrier()] {
            let order = store.get_order("A-1").await.unwrap();
            assert!(order.metadata.is_empty() && order.external_references.is_empty());
        }
    });
}

#[test]
fn a_change_merges_and_is_told_by_its_keys() {
    run_at(MONDAY, async |t| {
        let order = t.place_paid("A-1").await;
        let store = t.support();
        let first = store
            .update_order_metadata("A-1")
            .etag(&order.etag)
            .set("channel", "web")
            .set("campaign", "spring")
            .set_external_reference(sap("4711"))
            .await
            .unwrap();
        assert_ne!(first.order_etag, order.etag);
        let stale = store.update_order_metadata("A-1").etag(&order.etag);
        let stale = stale.set("channel", "app").await;
        refused(stale, Kind::Aborted, "ETAG_MISMATCH");
        let second = store
            .update_order_metadata("A-1")
            .set("channel", "app")
            .delete("campaign")
            .delete("never-there")
            .set_external_reference(sap("4712"))
            .await
            .unwrap();
        assert_eq!(second.metadata, entries([("channel", "app")]));
        assert_eq!(second.external_references, [sap("4712")]);
        let order = t.order("A-1").await;
        assert_eq!(order.metadata, second.metadata);
        assert_eq!(order.etag, second.order_etag);

        // What is no change is none.
        let same = store.update_order_metadata("A-1").set("channel", "app");
        assert_eq!(same.await.unwrap().order_etag, order.etag);
        let told = details(t, "A-1", EventType::MetadataChanged).await;
        assert_eq!(told.len(), 2);
        let EventDetail::MetadataChanged {
            cancellation_id,
            set_keys,
            deleted_keys,
            set_systems,
            deleted_systems,
            ..
        } = &told[1]
        else {
            panic!("{told:?}")
        };
        assert_eq!(*cancellation_id, None);
        assert_eq!(
            (&**set_keys, &**deleted_keys),
            (&["channel".to_owned()][..], &["campaign".to_owned()][..])
        );
        assert_eq!(
            (&**set_systems, &**deleted_systems),
            (&["sap".to_owned()][..], &[][..])
        );

        // And all of it goes again.
        let none = store
            .update_order_metadata("A-1")
            .delete("channel")
            .delete_external_reference("sap")
            .await
            .unwrap();
        assert!(none.metadata.is_empty() && none.external_references.is_empty());
    });
}

#[test]
fn a_cancellation_keeps_things_of_its_own() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        let requested = t
            .storefront()
            .request_cancellation("A-1", Units::line("A-1:l1", 1))
            .reason(reason::NO_LONGER_WANTED)
            .metadata([("case", "9")])
            .external_references([sap("cn-1")])
            .await
            .unwrap();
        let cancellation = &requested.cancellation;
        assert_eq!(cancellation.metadata, entries([("case", "9")]));
        assert_eq!(cancellation.external_references, [sap("cn-1")]);
        // An order may be known there by another id, and is not known by this one.
        assert!(t.order("A-1").await.external_references.is_empty());

        let updated = t
            .seller()
            .update_cancellation_metadata("A-1:c1")
            .etag(&requested.order_etag)
            .set("agent", "ann")
            .delete("case")
            .await
            .unwrap();
        assert_eq!(updated.cancellation.metadata, entries([("agent", "ann")]));
        let found = t.support().get_cancellation("A-1:c1").await.unwrap();
        assert_eq!(found.cancellation, updated.cancellation);
        assert_eq!(found.order_etag, updated.order_etag);
        let page = t.support().list_cancellations().await.unwrap();
        assert_eq!(page.items, [updated.cancellation]);
        let told = details(t, "A-1", EventType::MetadataChanged).await;
        let [
            EventDetail::MetadataChanged {
                cancellation_id, ..
            },
        ] = &*told
        else {
            panic!("{told:?}")
        };
        assert_eq!(cancellation_id.as_ref().unwrap().as_str(), "A-1:c1");
        let absent = t.seller().update_cancellation_metadata("A-1:c9");
        let absent = absent.set("k", "v").await;
        refused(absent, Kind::NotFound, "CANCELLATION_NOT_FOUND");
        for store in [t.warehouse(), t.carrier()] {
            let seen = store.get_cancellation("A-1:c1").await.unwrap().cancellation;
            assert!(seen.metadata.is_empty() && seen.external_references.is_empty());
        }
    });
}

#[test]
fn a_bulk_cancellation_gives_each_of_its_cancellations_the_same() {
    run(async |t| {
        for order in ["A-1", "A-2"] {
            t.place_paid(order).await;
        }
        let orders = BulkOrders::named(["A-1", "A-2"]);
        let start = t.support().start_bulk_cancellation(orders);
        let bulk = start
            .reason(reason::NO_LONGER_WANTED)
            .metadata([("incident", "flood")])
            .external_references([sap("batch-1")])
            .await
            .unwrap();
        let bulk = finished(&t.support(), &bulk).await;
        assert_eq!(
            results(&t.support(), &bulk.bulk_cancellation_id)
                .await
                .len(),
            2
        );
        for order in ["A-1", "A-2"] {
            let order = t.order(order).await;
            let [cancellation] = &*order.cancellations else {
                panic!("{order:?}")
            };
            assert_eq!(cancellation.metadata, entries([("incident", "flood")]));
            assert_eq!(cancellation.external_references, [sap("batch-1")]);
        }
    });
}

/// What each role reads of a private and of a public note.
#[test]
fn private_notes_are_for_staff_and_public_ones_for_the_buyer_too() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        let private = t
            .support()
            .add_note("A-1", "Called twice already.", Private);
        let private = private.await.unwrap();
        let public = t.seller().add_note("A-1", "We put a pen in.", Public);
        let public = public.shipment_id("A-1:s1").await.unwrap();
        assert_eq!(private.note.note_id.as_str(), "A-1:n1");
        assert_eq!(private.note.author.role, Role::Support);
        assert_eq!(private.note.create_time, t.now().await);
        let about = public.note.shipment_id.as_ref();
        assert_eq!(about.map(|id| id.as_str()), Some("A-1:s1"));
        assert_eq!(public.order_etag, t.order("A-1").await.etag);

        let both = ["Called twice already.", "We put a pen in."];
        let auditor = t.store_as(SHOP, Role::Auditor, "eve");
        for store in [t.seller(), t.support(), t.operator(), auditor] {
            let order = store.get_order("A-1").await.unwrap();
            assert_eq!(texts(&order.notes), both);
            let page = store.list_orders().await.unwrap();
            assert_eq!(texts(&page.items[0].notes), both);
        }
        let page = t.storefront().list_orders().await.unwrap();
        assert_eq!(texts(&page.items[0].notes), both[1..]);
        for store in [t.storefront(), t.payments()] {
            let order = store.get_order("A-1").await.unwrap();
            assert_eq!(texts(&order.notes), both[1..]);
        }
        for store in [t.warehouse(), t.carrier()] {
            let order = store.get_order("A-1").await.unwrap();
            assert!(order.notes.is_empty());
        }
        // Nor is one told with the answer to a write, now or again.
        let again = new_order(&t.storefront(), "A-1").await.unwrap();
        assert_eq!(texts(&again.notes), both[1..]);
        assert_eq!(texts(&pay(&t.payments(), "A-1").await.notes), both[1..]);
        // Who could not read it does not write it.
        let hidden = t.storefront().add_note("A-1", "Psst.", Private).await;
        refused(hidden, Kind::PermissionDenied, "ROLE_NOT_ALLOWED");
        let shown = t.storefront().add_note("A-1", "Ring twice.", Public);
        shown.await.unwrap();
    });
}

/// Events say that there is a note, and to nobody what it says.
#[test]
fn no_event_tells_what_a_note_or_an_entry_says() {
    run(async |t| {
        t.place_paid("A-1").await;
        let note = t.support().add_note("A-1", "a secret of notes", Private);
        note.await.unwrap();
        let update = t.support().update_order_metadata("A-1");
        update.set("key", "a secret of entries").await.unwrap();
        let told = details(t, "A-1", EventType::NoteAdded).await;
        let [
            EventDetail::NoteAdded {
                note_id,
                visibility,
                ..
            },
        ] = &*told
        else {
            panic!("{told:?}")
        };
        assert_eq!((note_id.as_str(), *visibility), ("A-1:n1", Private));
        let new = |event: &Event| {
            matches!(
                event.event_type,
                EventType::NoteAdded | EventType::MetadataChanged
            )
        };
        for (store, seen) in [
            (t.support(), 2),
            (t.storefront(), 2),
            (t.warehouse(), 0),
            (t.carrier(), 0),
        ] {
            let history = store.list_order_history("A-1").await.unwrap().items;
            assert_eq!(history.iter().filter(|event| new(event)).count(), seen);
        }
        for table in ["events", "order_history"] {
            let with_secrets: Vec<(u64,)> = t
                .database
                .rows(
                    &format!("SELECT COUNT(*) FROM {table} WHERE LOCATE('a secret', payload) > 0"),
                    (),
                )
                .await;
            assert_eq!(with_secrets, [(0,)], "{table}");
        }
    });
}

async fn annotate(store: &Store, order: &Order) {
    let note = store.add_note(&order.order_id, "Sorry.", Public);
    note.await.unwrap();
    let update = store.update_order_metadata(&order.order_id);
    update.set("after", "all").await.unwrap();
    for cancellation in &order.cancellations {
        let update = store.update_cancellation_metadata(&cancellation.cancellation_id);
        update.set("after", "all").await.unwrap();
    }
}

#[test]
fn orders_that_have_ended_are_annotated_and_stay_as_they_ended() {
    run_at(MONDAY, async |t| {
        t.place("A-1").await;
        t.place_paid("A-2").await;
        let cancel = t.storefront().request_cancellation("A-2", Units::all());
        cancel.reason(reason::NO_LONGER_WANTED).await.unwrap();
        t.advance(SignedDuration::from_hours(24 * 30)).await;
        for (order, state) in [
            ("A-1", OrderState::ClosedUnpaid),
            ("A-2", OrderState::Cancelled),
        ] {
            // Whoever reads it first settles nothing: a command does.
            let found = t.order(order).await;
            annotate(&t.support(), &found).await;
            let after = t.order(order).await;
            assert_eq!(after.state, state);
            assert_eq!(after.notes.len(), 1);
            assert_eq!(after.metadata, entries([("after", "all")]));
        }
    });
}

#[test]
fn a_request_id_has_one_effect_and_another_content_is_told() {
    run(async |t| {
        t.place_paid("A-1").await;
        let id = RequestId::from_u128(7);
        let note = || t.support().add_note("A-1", "Once.", Private).request_id(id);
        let first = note().await.unwrap();
        assert_eq!(note().await.unwrap(), first);
        let other = t.support().add_note("A-1", "Twice.", Private);
        refused(
            other.request_id(id).await,
            Kind::AlreadyExists,
            "REQUEST_ID_REUSED",
        );
        let id = RequestId::from_u128(8);
        let update = || {
            let update = t.support().update_order_metadata("A-1");
            update.set("k", "v").request_id(id)
        };
        let first = update().await.unwrap();
        t.support()
            .update_order_metadata("A-1")
            .set("k", "w")
            .await
            .unwrap();
        assert_eq!(update().await.unwrap(), first, "the answer of then");
        assert_eq!(t.order("A-1").await.metadata, entries([("k", "w")]));
    });
}

#[test]
fn changes_of_different_keys_at_the_same_time_are_all_kept() {
    run(async |t| {
        t.place_paid("A-1").await;
        let store = t.support();
        let set = async |key: &str| {
            let update = store.update_order_metadata("A-1").set(key, "v");
            update.await.map(|_| ())
        };
        let note = async |text: &str| store.add_note("A-1", text, Private).await.map(|_| ());
        let done = join!(set("a"), set("b"), set("c"), note("x"), note("y"));
        assert!(
            done.0.is_ok() && done.1.is_ok() && done.2.is_ok() && done.3.is_ok() && done.4.is_ok()
        );
        let order = store.get_order("A-1").await.unwrap();
        assert_eq!(
            order.metadata,
            entries([("a", "v"), ("b", "v"), ("c", "v")])
        );
        assert_eq!(order.notes.len(), 2);
    });
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    run(async |t| {
        t.place_paid("A-1").await;
        let store = t.support();
        let keys: Vec<String> = (0..METADATA_MAX)
            .map(|number| format!("k{number}"))
            .collect();
        let full = keys
            .iter()
            .fold(store.update_order_metadata("A-1"), |update, key| {
                update.set(key, "v")
            });
        full.await.unwrap();
        let more = store.update_order_metadata("A-1").set("more", "v").await;
        let error = refused(more, Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(error.metadata()["limit"], "entries of metadata");
        assert_eq!(error.metadata()["limit_max"], METADATA_MAX.to_string());
        // One for another has room.
        let swap = store
            .update_order_metadata("A-1")
            .set("more", "v")
            .delete("k0");
        swap.await.unwrap();

        let systems: Vec<String> = (0..REFERENCES_MAX)
            .map(|number| format!("s{number}"))
            .collect();
        let full = systems
            .iter()
            .fold(store.update_order_metadata("A-1"), |update, system| {
                update.set_external_reference(ExternalReference::new(system, "1"))
            });
        full.await.unwrap();
        let more = store
            .update_order_metadata("A-1")
            .set_external_reference(sap("1"));
        let error = refused(more.await, Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(error.metadata()["limit"], "external references");

        for _ in 0..NOTES_MAX {
            store.add_note("A-1", "x", Private).await.unwrap();
        }
        let more = store.add_note("A-1", "x", Private).await;
        let error = refused(more, Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(error.metadata()["limit"], "notes");
        let order = store.get_order("A-1").await.unwrap();
        assert_eq!(order.notes.len(), NOTES_MAX);
    });
}

#[test]
fn what_a_caller_does_not_see_it_does_not_annotate() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        let cancel = t.storefront().request_cancellation("A-1", Units::all());
        cancel.reason(reason::NO_LONGER_WANTED).await.unwrap();
        let other = t.store_as(SHOP, Role::Seller, "zenith");
        let note = other.add_note("A-1", "Hello.", Private).await;
        refused(note, Kind::NotFound, "ORDER_NOT_FOUND");
        let update = other.update_cancellation_metadata("A-1:c1").set("k", "v");
        refused(update.await, Kind::NotFound, "ORDER_NOT_FOUND");
        for store in [t.warehouse(), t.carrier(), t.payments()] {
            let note = store.add_note("A-1", "Hello.", Public).await;
            refused(note, Kind::PermissionDenied, "ROLE_NOT_ALLOWED");
            let update = store.update_order_metadata("A-1").set("k", "v").await;
            refused(update, Kind::PermissionDenied, "ROLE_NOT_ALLOWED");
        }
        let absent = t
            .support()
            .add_note("A-1", "Hello.", Private)
            .shipment_id("A-1:s9");
        refused(absent.await, Kind::NotFound, "SHIPMENT_NOT_FOUND");
    });
}

/// Most orders keep nothing, and nothing is written for them.
#[test]
fn an_order_that_keeps_nothing_has_no_value_in_its_row() {
    run(async |t| {
        for order in ["A-1", "A-2"] {
            t.place_paid(order).await;
            let cancel = t.storefront().request_cancellation(order, Units::all());
            cancel.reason(reason::NO_LONGER_WANTED).await.unwrap();
        }
        let note = t.support().add_note("A-2", "Called.", Private);
        note.await.unwrap();
        let kept: Vec<(String, Option<String>, u32)> = t
            .database
            .rows(
                "SELECT order_id, annotations, note_count FROM orders ORDER BY order_id",
                (),
            )
            .await;
        assert_eq!(kept[0], ("A-1".to_owned(), None, 0));
        assert!(
            kept[1]
                .1
                .as_ref()
                .is_some_and(|text| text.contains("Called."))
        );
        assert_eq!(kept[1].2, 1);
    });
}

/// A page holds no more than it may, however much is written about its orders.
#[test]
fn pages_of_orders_with_long_notes_come_to_an_end() {
    run(async |t| {
        let text = "𝕋".repeat(2_000);
        let orders = ["A-1", "A-2", "A-3"];
        for order in orders {
            t.place_paid(order).await;
            for _ in 0..60 {
                t.support().add_note(order, &text, Private).await.unwrap();
            }
        }
        let store = t.support();
        let of_page = async |token| store.list_orders().page_size(50).page_token(token).await;
        let found = pages(of_page).await;
        assert!(found.len() >= 2, "{} pages", found.len());
        let found: Vec<Order> = found.into_iter().flatten().collect();
        assert_eq!(found.len(), orders.len());
        assert!(found.iter().all(|order| order.notes.len() == 60));
    });
}

#[test]
fn notes_count_among_the_texts_of_an_order() {
    run(async |t| {
        t.place("A-1").await;
        let support = t.support();
        let text = "𝕋".repeat(2_000);
        let mut written = 0;
        let error = loop {
            match support.add_note("A-1", &text, Private).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        let error = refused::<(), _>(Err(error), Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(error.metadata()["limit"], "bytes of texts");
        assert!((60..70).contains(&written), "{written}");
        support.add_note("A-1", "Short.", Private).await.unwrap();
    });
}
