//! ListReasons: what a buyer, a seller or support chooses from, for this order now.

use belay_client::calls::FirstPolicy;
use belay_client::model::{CancellationReasons, EventDetail, EventType, TrackingFact};
use belay_client::{ErrorReason, Kind, Role, Store, Units, reason};
use belay_tests::{TestServer, pages, run, run_at};

const MONDAY: &str = "2026-03-02T10:00:00Z";

fn labels(listed: &CancellationReasons) -> Vec<(&str, &str, Option<&str>)> {
    let reasons = listed.reasons.iter();
    reasons
        .map(|of| (of.code.as_str(), of.label.as_str(), of.language.as_deref()))
        .collect()
}

async fn listed(store: &Store, languages: &[&str]) -> CancellationReasons {
    let list = store.list_reasons("A-1", Units::all());
    list.languages(languages.iter().copied()).await.unwrap()
}

#[test]
fn a_storefront_shows_the_reasons_of_its_buyers_in_their_language() {
    run(async |t| {
        t.place_paid("A-1").await;
        let storefront = t.storefront();
        let in_german = listed(&storefront, &["de-AT", "en"]).await;
        assert!(in_german.reason_required);
        assert_eq!(
            labels(&in_german),
            [
                ("NO_LONGER_WANTED", "Nicht mehr gewünscht", Some("de")),
                ("WRONG_PURCHASE", "Falsch bestellt", Some("de")),
                ("FOUND_BETTER", "Passenderes gefunden", Some("de")),
                ("OTHER", "Anderer Grund", Some("de")),
            ]
        );
        // Nobody wrote Italian, so they get English.
        for languages in [&[][..], &["it"]] {
            let first = &listed(&storefront, languages).await.reasons[0];
            assert_eq!(
                (first.label.as_str(), first.language.as_deref()),
                ("No longer wanted", Some("en"))
            );
        }
        // A seller has others to give, and need not.
        let sellers = listed(&t.seller(), &[]).await;
        assert!(!sellers.reason_required);
        let counted = sellers.reasons.iter().filter(|of| of.counted);
        let counted: Vec<&str> = counted.map(|of| of.code.as_str()).collect();
        assert_eq!(counted, ["OUT_OF_STOCK"]);
    });
}

#[test]
fn each_reason_says_what_it_requires_and_what_the_request_then_does() {
    run_at(MONDAY, async |t| {
        let order = t.place_paid("A-1").await;
        let rows = t.database.snapshot().await;
        let listed = listed(&t.storefront(), &[]).await;
        assert_eq!(t.database.snapshot().await, rows, "nothing changes");
        assert_eq!(listed.order_etag, order.etag);
        assert_eq!(
            (listed.policy_version, listed.decide_time),
            (1, t.now().await)
        );
        let notes: Vec<(&str, bool)> = listed
            .reasons
            .iter()
            .map(|of| (of.code.as_str(), of.note_required))
            .collect();
        assert_eq!(notes.iter().filter(|(_, note)| *note).count(), 1);
        assert!(notes.contains(&("OTHER", true)));
        for of in &listed.reasons {
            assert!(of.allowed && of.rejection.is_none() && !of.waits, "{of:?}");
        }
        let wanted = &listed.reasons[0];
        let request = t.storefront().request_cancellation("A-1", Units::all());
        let done = request
            .reason(wanted.code.as_str())
            .etag(&listed.order_etag)
            .await;
        let done = done.unwrap().cancellation;
        assert_eq!(wanted.expected_refund, Some(done.expected_refund));
        assert_eq!(wanted.effects, done.effects);
    });
}

#[test]
fn a_reason_that_would_be_rejected_says_with_what() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        t.ship("A-1:s1").await;
        t.scan("A-1:s1", TrackingFact::PickedUp).await;
        for of in listed(&t.storefront(), &[]).await.reasons {
            let rejection = of.rejection.as_ref().unwrap();
            assert_eq!(rejection.reason, ErrorReason::Shipped);
            assert!(rejection.denial().is_some(), "what may be done instead");
            assert!(!of.allowed && of.expected_refund.is_none() && !of.waits);
        }
        let absent = t
            .storefront()
            .list_reasons("A-1", Units::shipment("A-1:s9"));
        let absent = absent.await.unwrap_err();
        assert!(absent.has_reason(&ErrorReason::ShipmentNotFound));
        let nowhere = t.storefront().list_reasons("A-9", Units::all()).await;
        assert_eq!(nowhere.unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn a_label_that_nobody_wrote_is_made_from_the_code() {
    run_at(MONDAY, async |t| {
        let document = "\
name: terse
unpaid: {expire_after: 90d}
reasons:
  - {code: NO_LONGER_WANTED, actors: [BUYER], fault: BUYER}
  - {code: OTHER, labels: {fr: Une autre raison}, actors: [BUYER], fault: BUYER}
  - {code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}
rules:
  - {id: any, when: {path: CANCEL, reason: OTHER}, allow: {refund: FULL}}
refunds: {due: IMMEDIATE, shipping: NEVER}
";
        let market = t.open_market(FirstPolicy::document(document)).await;
        market.place_paid("A-1", "standard").await;
        let storefront = t.store_as(belay_tests::market::MARKET, Role::Storefront, "web");
        let listed = listed(&storefront, &["de"]).await;
        assert_eq!(
            labels(&listed),
            [
                ("NO_LONGER_WANTED", "No longer wanted", None),
                ("OTHER", "Une autre raison", Some("fr")),
            ]
        );
        // The reason makes the difference.
        let allowed: Vec<bool> = listed.reasons.iter().map(|of| of.allowed).collect();
        assert_eq!(allowed, [false, true]);
        let rejection = listed.reasons[0].rejection.as_ref().unwrap();
        assert_eq!(rejection.reason, ErrorReason::NotAllowed);
    });
}

/// The history of the order with what was asked in vain, in pages of this size: types, and reasons.
async fn history(store: &Store, page_size: i32) -> Vec<String> {
    let list = store.list_order_history("A-1").include_rejected_requests();
    let list = list.page_size(page_size);
    let found = pages(|token| list.clone().page_token(token).send()).await;
    for page in &found {
        assert!(page.len() <= usize::try_from(page_size).unwrap());
    }
    let told = found.iter().flatten().map(|event| match &event.detail {
        Some(EventDetail::RequestRejected { reason, .. }) => {
            assert_eq!((event.position, event.order_version), (0, 0));
            assert_eq!(event.actor.role, Role::Storefront);
            format!("{} {}", event.event_type, reason.as_ref().unwrap())
        }
        _ => event.event_type.to_string(),
    });
    told.collect()
}

#[test]
fn what_was_asked_in_vain_stands_in_the_history_where_it_is_asked_for() {
    run_at(MONDAY, async |t: &TestServer| {
        t.place_paid("A-1").await;
        t.ship("A-1:s1").await;
        let ask = async || {
            let asked = t.storefront().request_cancellation("A-1", Units::all());
            let refused = asked.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
            assert!(refused.has_reason(&ErrorReason::Shipped));
        };
        // Several at one instant, and the events of that instant before them.
        ask().await;
        ask().await;
        t.advance(jiff::SignedDuration::from_hours(1)).await;
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        t.advance(jiff::SignedDuration::from_hours(1)).await;

        let plain = t.support().list_order_history("A-1").await.unwrap().items;
        let is_rejected =
            |event: &&belay_client::model::Event| event.event_type == EventType::RequestRejected;
        assert_eq!(plain.iter().filter(is_rejected).count(), 0);

        let whole = history(&t.support(), 1_000).await;
        assert_eq!(whole.len(), plain.len() + 2);
        let rejected = |text: &String| text == "REQUEST_REJECTED SHIPPED";
        let first = whole.iter().position(rejected).unwrap();
        assert_eq!(whole.iter().filter(|text| rejected(text)).count(), 2);
        assert!(rejected(&whole[first + 1]));
        assert!(whole[..first].contains(&"SHIPMENT_STAGE_CHANGED".to_owned()));
        assert!(whole[first + 2..].contains(&"TRACKING_RECORDED".to_owned()));
        for page_size in 1..=5 {
            assert_eq!(history(&t.support(), page_size).await, whole, "{page_size}");
        }
        assert_eq!(history(&t.storefront(), 3).await, whole);

        let theirs = t.warehouse().list_order_history("A-1");
        let theirs = theirs.include_rejected_requests().await.unwrap().items;
        assert_eq!(theirs.iter().filter(is_rejected).count(), 0);
    });
}
