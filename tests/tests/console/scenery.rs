//! Orders of all kinds, for pages to show.

use belay_client::calls::{FirstPolicy, NewBuyer, NewLine, OnBehalfOf};
use belay_client::model::{
    CancellationPath, Destination, ExternalReference, NoteVisibility, RefundResult,
};
use belay_client::{Role, Units, reason};
use belay_tests::shop::eur;
use belay_tests::{TestServer, documents};

/// When the clock stands still.
pub(super) const MONDAY: &str = "2026-03-02T10:00:00Z";
/// What a browser must never take for anything but text.
pub(super) const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// In the store `shop`: A-1 is paid, A-2 is cancelled and its refund is due, A-3 waits for its
/// carrier, A-4 was refused to support, A-5 has an incident, and B-1 is somebody else's. In the
/// store `hostile` H-1 has texts that mean harm, and waits for its seller.
pub(super) async fn build(t: &TestServer) {
    for order_id in ["A-1", "A-2"] {
        t.place_paid(order_id).await;
    }
    failed_refund(t).await;
    t.cancel("A-2").await;
    intercepted(t).await;
    t.place_shipped("A-4").await;
    let refused = t.support().request_cancellation("A-4", Units::all());
    let refused = refused
        .reason(reason::NO_LONGER_WANTED)
        .on_behalf_of(OnBehalfOf::email("ann@example.org"))
        .await;
    assert!(refused.is_err(), "it has gone");
    let placed = t.storefront().create_order(
        "B-1",
        NewBuyer::new("bob"),
        "bolt",
        Destination::new("DE").city("Berlin"),
        [NewLine::new("CUP", 1, eur(700))],
    );
    placed.await.expect("an order");
    hostile(t).await;
}

/// A-3 is on its way, and its carrier is asked to bring it back.
async fn intercepted(t: &TestServer) {
    t.place_interceptable("A-3").await;
    t.pay("A-3").await;
    t.ship("A-3:s1").await;
    let request = t
        .support()
        .request_cancellation("A-3", Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .on_behalf_of(OnBehalfOf::email("ann@example.org"))
        .paths([CancellationPath::Intercept]);
    request.await.expect("it can be asked back");
}

/// A-5 is cancelled, and its refund fails.
async fn failed_refund(t: &TestServer) {
    t.place_paid("A-5").await;
    t.cancel("A-5").await;
    let refund = t.claim("worker-1").await.expect("it is due");
    t.payments()
        .record_refund_result(refund.refund_id, RefundResult::Failed)
        .failure_code("card_expired")
        .await
        .expect("it can be told");
}

/// The store `hostile`, whose every text means harm.
async fn hostile(t: &TestServer) {
    let document = documents::consent("REFUSE", "REFUSE_PART").replace(
        "  - id: ask-seller",
        &format!("  # {HOSTILE}\n  - id: ask-seller"),
    );
    t.create_shop("hostile", FirstPolicy::document(document))
        .await;
    let renamed = t
        .store_as("hostile", Role::Operator, "ops")
        .update_store()
        .display_name(HOSTILE)
        .await;
    renamed.expect("a name is any text");
    let web = t.store_as("hostile", Role::Storefront, "web");
    let placed = web.create_order(
        "H-1",
        NewBuyer::new("eve"),
        "acme",
        Destination::new("DE").region(HOSTILE).city(HOSTILE),
        [NewLine::new("<svg/onload=alert(1)>", 1, eur(1_000)).title(HOSTILE)],
    );
    placed.await.expect("an order");
    let kept = web
        .update_order_metadata("H-1")
        .set("channel", HOSTILE)
        .set_external_reference(
            ExternalReference::new("sap", "<b>4711</b>").url("https://example.org/<b>"),
        );
    kept.await.expect("any text is kept");
    t.store_as("hostile", Role::Support, "sam")
        .add_note("H-1", HOSTILE, NoteVisibility::Private)
        .await
        .expect("a note");
    web.with_role(Role::Payments, "psp")
        .expect("a role")
        .record_payment(
            "H-1",
            "<b>pay</b>",
            "<b>event</b>",
            belay_client::model::PaymentFact::Captured,
        )
        .amount(eur(1_000))
        .method("CARD")
        .await
        .expect("a payment");
    let request = web
        .request_cancellation("H-1", Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .note(HOSTILE)
        .evidence([format!("https://example.org/{}", "<img>")]);
    request.await.expect("it can be asked");
}

/// The address that stands behind these words.
pub(super) fn link(page: &str, words: &str) -> String {
    let (before, _) = page
        .split_once(&format!(">{words}<"))
        .unwrap_or_else(|| panic!("no {words}: {page}"));
    let (_, href) = before.rsplit_once("href=\"").expect("a link");
    let (href, _) = href.split_once('"').expect("its end");
    href.replace("&amp;", "&")
}
