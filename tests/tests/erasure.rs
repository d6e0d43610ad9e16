//! `belay erase`: nothing of a buyer is left in any table, the books are what they were, and what
//! was changed is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use belay_client::model::{ExternalReference, NoteVisibility, Order, RefundResult};
use belay_client::{Units, reason};
use belay_domain::erasure::{ERASED, ERASED_TEXT};
use belay_server::db::{pool, settings};
use belay_server::grants::GrantSet;
use belay_server::identity_keys::IdentityKeys;
use belay_server::verify::{Anchor, Report, verify};
use belay_tests::deliver::{Deliverer, NAME, SECRETS, SecretFile, ids};
use belay_tests::instance::session;
use belay_tests::process::built;
use belay_tests::receiver::{Answer, Receiver};
use belay_tests::shop::{new_order_of, pay};
use belay_tests::{SHOP, TestServer, run, run_at, until};
use jiff::SignedDuration;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use secrecy::ExposeSecret;

const BUYER: &str = "ann-the-buyer";
/// Her id, her e-mail address and her user name begin alike.
const TEXTS: &[&str] = &[
    BUYER,
    "for my sister",
    "chat:4711",
    "cannot tell the pens",
    "ring at Anna's",
    "anna@example.org",
    "sorry, Ann",
];

async fn place(t: &TestServer, order_id: &str) {
    let order = new_order_of(&t.storefront(), order_id, BUYER).await;
    order.expect("an order");
    pay(&t.payments(), order_id).await;
}

/// A hold with a word of support's, then all of it is cancelled with a note and a proof, and paid
/// back.
async fn cancel(t: &TestServer, order_id: &str) {
    let shipment = format!("{order_id}:s1");
    let hold = t
        .support()
        .hold_shipment(&shipment, t.now().await + SignedDuration::from_hours(1));
    hold.note("ann-the-buyer cannot tell the pens apart")
        .await
        .expect("a hold");
    annotate(t, order_id).await;
    let request = t.storefront().request_cancellation(order_id, Units::all());
    request
        .metadata([("contact", "anna@example.org")])
        .external_references([ExternalReference::new("crm", "c-9")])
        .reason(reason::NO_LONGER_WANTED)
        .note("the mug was for my sister")
        .evidence(["chat:4711"])
        .await
        .expect("a cancellation");
    let refund = t.claim("worker-1").await.expect("a refund");
    t.payments()
        .record_refund_result(&refund.refund_id, RefundResult::Settled)
        .await
        .expect("it is settled");
}

/// A note and an entry that say who she is.
async fn annotate(t: &TestServer, order_id: &str) {
    let note = t
        .support()
        .add_note(order_id, "sorry, Ann", NoteVisibility::Public);
    note.await.expect("a note");
    let update = t.support().update_order_metadata(order_id);
    update
        .set("doorbell", "ring at Anna's")
        .set_external_reference(ExternalReference::new("sap", "4711"))
        .await
        .expect("an entry");
}

/// `belay erase`, by an account that may do just that. Whether it did all.
async fn erase(t: &TestServer, whose: &[&str]) -> (bool, String) {
    let url = t.database.url_of(&[GrantSet::Erase]).await;
    let output = tokio::process::Command::new(built("belay"))
        .args(["erase", "--store", SHOP])
        .args(whose)
        .env_clear()
        .env("BELAY_DATABASE_URL", url.expose_secret())
        .output()
        .await
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// Where these words are in the database, table by table and column by column.
async fn found(t: &TestServer, words: &[&str]) -> Vec<String> {
    let tables: Vec<(String,)> = t
        .database
        .rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
            (),
        )
        .await;
    let mut found = Vec::new();
    for (table,) in tables {
        let rows: Vec<Row> = t
            .database
            .rows(&format!("SELECT * FROM `{table}`"), ())
            .await;
        for row in rows {
            for (at, value) in row.unwrap_raw().into_iter().enumerate() {
                let Some(Value::Bytes(bytes)) = value else {
                    continue;
                };
                for word in words {
                    let is_there = bytes
                        .windows(word.len())
                        .any(|part| part == word.as_bytes());
                    if is_there {
                        found.push(format!("{word} in column {at} of {table}"));
                    }
                }
            }
        }
    }
    found
}

async fn chains(t: &TestServer) -> Report {
    let mut conn = pool::connect(&t.database.url())
        .await
        .expect("MySQL answers");
    let stored = settings::read(&mut conn).await.expect("settings").identity;
    let keys = IdentityKeys::of_database(stored.key.expect("a key")).chain_keys();
    verify(&mut conn, &keys, &Anchor::default())
        .await
        .expect("it can be followed")
}

/// An order without whom it was for.
fn books(mut order: Order) -> String {
    for hold in order.shipments.iter_mut().filter_map(|of| of.hold.as_mut()) {
        hold.note = None;
    }
    for cancellation in &mut order.cancellations {
        cancellation.note = None;
        cancellation.evidence.clear();
        blank(&mut cancellation.metadata);
    }
    blank(&mut order.metadata);
    for note in &mut order.notes {
        ERASED_TEXT.clone_into(&mut note.text);
    }
    format!("{order:?}").replace(BUYER, ERASED)
}

/// The keys stay.
fn blank(metadata: &mut BTreeMap<String, String>) {
    for value in metadata.values_mut() {
        ERASED_TEXT.clone_into(value);
    }
}

#[test]
fn nothing_of_a_buyer_is_left_and_the_books_stay() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        place(t, "A-1").await;
        place(t, "A-2").await;
        cancel(t, "A-1").await;
        for word in TEXTS.iter().copied() {
            assert!(
                !found(t, &[word]).await.is_empty(),
                "{word} is searched for in vain"
            );
        }
        let before = t.order("A-1").await;
        let history = t.history("A-1").await.len();

        // The other order is in the warehouse.
        let (is_done, said) = erase(t, &["--buyer", BUYER]).await;
        assert!(
            !is_done && said.contains("1 orders are not at rest"),
            "{said}"
        );
        assert!(said.contains("a parcel is in the warehouse"), "{said}");
        assert_eq!(t.order("A-2").await.buyer_id.as_str(), BUYER);
        let after = t.order("A-1").await;
        assert_eq!(after.buyer_id.as_str(), ERASED);
        assert_eq!(after.metadata["doorbell"], ERASED_TEXT);
        assert_eq!(after.notes[0].text, ERASED_TEXT);
        assert_eq!(after.cancellations[0].metadata["contact"], ERASED_TEXT);
        assert_eq!(after.external_references, before.external_references);
        assert_eq!(books(after), books(before.clone()));

        cancel(t, "A-2").await;
        let (is_done, said) = erase(t, &["--buyer", BUYER]).await;
        assert!(is_done, "{said}");
        assert_eq!(found(t, TEXTS).await, [""; 0]);
        let kept: Vec<(String,)> = t
            .database
            .rows("SELECT order_id FROM erasures ORDER BY order_id", ())
            .await;
        assert_eq!(kept, [("A-1".to_owned(),), ("A-2".to_owned(),)]);

        // A server that runs meanwhile answers on.
        let page = t.storefront().list_orders().await.expect("a page");
        assert_eq!(page.items.len(), 2);
        assert_eq!(t.history("A-1").await.len(), history);
        let none = t.storefront().list_orders().buyer_id(BUYER).await;
        assert!(none.expect("a page").items.is_empty());
        let report = chains(t).await;
        assert!(report.is_whole() && report.erased > 0, "{report:?}");

        // Twice is harmless, and an order by its id as well.
        assert!(erase(t, &["--buyer", BUYER]).await.0);
        assert!(erase(t, &["--order", "A-1"]).await.0);
        assert_eq!(chains(t).await, report);
        assert!(!erase(t, &["--order", "A-9"]).await.0);
        assert!(!erase(t, &["--buyer", ERASED]).await.0);
    });
}

#[test]
fn who_erases_without_the_key_is_found() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        place(t, "A-1").await;
        cancel(t, "A-1").await;
        t.database
            .execute("CREATE TABLE saved AS SELECT * FROM events", ())
            .await;
        let forged = "UPDATE events SET erased_digest = REPEAT('x', 32), erased_seal = REPEAT('y', 32), \
            payload = REPLACE(payload, 'ann-the-buyer', 'bob-the-buyer')";
        t.database.execute(forged, ()).await;
        assert_eq!(chains(t).await.broken.len(), 1);
        t.database.execute("DELETE FROM events", ()).await;
        t.database
            .execute("INSERT INTO events SELECT * FROM saved", ())
            .await;
        t.database.execute("DROP TABLE saved", ()).await;
        assert!(chains(t).await.is_whole());
    });
}

#[test]
fn an_order_that_has_just_changed_is_left() {
    run(async |t| {
        place(t, "A-1").await;
        cancel(t, "A-1").await;
        let (is_done, said) = erase(t, &["--order", "A-1"]).await;
        assert!(!is_done && said.contains("within the last hour"), "{said}");
        assert_eq!(t.order("A-1").await.buyer_id.as_str(), BUYER);
    });
}

/// A deliverer that has read all events of an order and sent the first, which its receiver refuses
/// with all others once it is let go.
async fn deliver(t: &TestServer) -> (Receiver, SecretFile, Deliverer) {
    let receiver = Receiver::start(&SECRETS).await;
    receiver.answer(|_| Answer::Delayed(410));
    let secrets = SecretFile::new(&SECRETS[..1]);
    let url = t.database.url_of(&[GrantSet::Deliver]).await;
    let patient = ["--lease", "180s", "--timeout", "60s"];
    let deliverer = Deliverer::start(&url, &receiver, &secrets, &patient).await;
    until("an event is on its way", async || {
        (!receiver.received().is_empty()).then_some(())
    })
    .await;
    (receiver, secrets, deliverer)
}

/// All that the deliverer has read is a dead letter, and none tells of the buyer.
async fn nothing_is_held_of_the_buyer(t: &TestServer, deliverer: Deliverer) {
    let all = ids(&t.database).await.len();
    until("all of it is held", async || {
        let (held,): (usize,) = t.database.row("SELECT COUNT(*) FROM held_events", ()).await;
        (held == all).then_some(())
    })
    .await;
    assert_eq!(found(t, TEXTS).await, [""; 0]);
    deliverer.stop().await;
}

#[test]
fn what_a_deliverer_has_read_before_is_held_without_the_buyer() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        place(t, "A-1").await;
        cancel(t, "A-1").await;
        let (receiver, _secrets, deliverer) = deliver(t).await;
        let (is_done, said) = erase(t, &["--order", "A-1"]).await;
        assert!(is_done, "{said}");
        receiver.let_go();
        nothing_is_held_of_the_buyer(t, deliverer).await;
    });
}

#[test]
fn what_a_deliverer_is_about_to_hold_is_waited_for_and_erased() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        place(t, "A-1").await;
        cancel(t, "A-1").await;
        let (receiver, _secrets, deliverer) = deliver(t).await;
        // The place of the first event is taken, so that its row waits to be written.
        let mut somebody = session(&t.database.url()).await;
        let (partition, position) = (receiver.received()[0].id.split_once(':'))
            .map(|(partition, position)| (partition.to_owned(), position.to_owned()))
            .expect("an id is partition and position");
        let taken = format!(
            "BEGIN; INSERT INTO held_events VALUES ('{NAME}', {partition}, {position}, REPEAT('x', 16), \
             'DEAD', 1, SYSDATE(6), '', '')"
        );
        somebody.query_drop(taken).await.unwrap();
        receiver.let_go();
        until("the deliverer is about to hold it", async || {
            let waits = t.database.asks(&["INSERT INTO `held_events`"]);
            waits.await.then_some(())
        })
        .await;
        let is_over = AtomicBool::new(false);
        let erased = async {
            let erased = erase(t, &["--order", "A-1"]).await;
            is_over.store(true, Ordering::Relaxed);
            erased
        };
        let let_go = async {
            until("the erasure waits for it", async || {
                let waits = t.database.asks(&["partition_tails", "FOR UPDATE"]).await;
                (waits || is_over.load(Ordering::Relaxed)).then_some(())
            })
            .await;
            somebody.query_drop("ROLLBACK").await.unwrap();
        };
        let ((is_done, said), ()) = tokio::join!(erased, let_go);
        assert!(is_done, "{said}");
        nothing_is_held_of_the_buyer(t, deliverer).await;
    });
}
