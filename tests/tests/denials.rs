//! What a policy says no to, with which reason, and when the answer changes.

use std::fmt::Write as _;

use belay_client::calls::{FirstPolicy, RequestCancellation};
use belay_client::model::{
    CancellationPath, CancellationState, NextAction, PaymentFact, TrackingFact,
};
use belay_client::{Kind, Role, Store, Units, reason};
use belay_domain::terms::DenyCode;
use belay_tests::shop::{TOTAL, eur, new_order, pay};
use belay_tests::{TestServer, refused, run, run_at};
use jiff::{SignedDuration, Timestamp};

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// A store with these rules, whose buyers give no reason unless it is one of `ASK_…`.
async fn store_with_rules(t: &TestServer, settings: &str, rules: &str) -> Store {
    let mut reasons = String::new();
    for code in DenyCode::ALL {
        writeln!(
            reasons,
            "  - {{code: ASK_{code}, actors: [BUYER], fault: BUYER}}"
        )
        .unwrap();
    }
    let document = format!(
        "name: strict\nunpaid: {{expire_after: 90d}}\n{settings}\nreasons:\n{reasons}\
         \x20 - {{code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}}\nrules:\n{rules}\n\
         refunds: {{due: IMMEDIATE, shipping: NEVER}}\n"
    );
    t.create_shop("strict", FirstPolicy::document(document))
        .await;
    t.store_as("strict", Role::Storefront, "web")
}

async fn place_paid(store: &Store, order_id: &str) {
    new_order(store, order_id).await.unwrap();
    pay(store, order_id).await;
}

fn cancel(store: &Store, order_id: &str) -> RequestCancellation {
    store.request_cancellation(order_id, Units::all())
}

#[test]
fn every_code_of_a_denial_reaches_the_caller_with_its_rule_and_actions() {
    run(async |t| {
        let mut rules = String::new();
        for code in DenyCode::ALL {
            let id = format!("say-{}", code.name().to_lowercase().replace('_', "-"));
            let when = format!("{{reason: ASK_{code}, path: CANCEL}}");
            writeln!(
                rules,
                "  - {{id: {id}, when: {when}, deny: {{code: {code}, next_actions: [WAIT, PAY]}}}}"
            )
            .unwrap();
        }
        let store = store_with_rules(t, "", &rules).await;
        place_paid(&store, "A-1").await;
        for code in DenyCode::ALL {
            let outcome = cancel(&store, "A-1").reason(format!("ASK_{code}")).await;
            let error = refused(outcome, Kind::Rejected, code.name());
            assert_eq!(
                error.metadata()["rule"],
                format!("say-{}", code.name().to_lowercase().replace('_', "-"))
            );
            assert_eq!(error.metadata()["next_actions"], "WAIT,PAY");
            assert_eq!(error.rejections()[0].reason.as_str(), code.name());
        }
        // No rule speaks of it.
        let error = refused(cancel(&store, "A-1").await, Kind::Rejected, "NOT_ALLOWED");
        assert_eq!(
            (
                &*error.metadata()["rule"],
                &*error.metadata()["next_actions"]
            ),
            ("", "")
        );
    });
}

#[test]
fn what_is_delivered_is_returned_and_not_cancelled() {
    run(async |t| {
        t.place_shipped("A-1").await;
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::WRONG_PURCHASE);
        let error = refused(request.clone().await, Kind::Rejected, "DELIVERED");
        assert_eq!(
            error.metadata()["next_actions"],
            "RETURN_UNOPENED,CONTACT_SUPPORT"
        );
        let returned = request
            .paths([CancellationPath::Cancel, CancellationPath::ReturnUnopened])
            .await;
        // The same request id for another content: asked anew.
        refused(returned, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::WRONG_PURCHASE);
        let waiting = request
            .paths([CancellationPath::Cancel, CancellationPath::ReturnUnopened])
            .await
            .unwrap();
        assert_eq!(waiting.cancellation.state, CancellationState::Pending);
        assert_eq!(
            waiting.cancellation.parts[0].path,
            CancellationPath::ReturnUnopened
        );
    });
}

#[test]
fn what_the_carrier_cannot_bring_back_is_not_intercepted() {
    run(async |t| {
        t.place_shipped("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::WRONG_PURCHASE);
        let error = refused(
            request.paths([CancellationPath::Intercept]).await,
            Kind::Rejected,
            "NOT_INTERCEPTABLE",
        );
        assert_eq!(
            (&*error.metadata()["path"], &*error.metadata()["rule"]),
            ("INTERCEPT", "not-interceptable")
        );
    });
}

#[test]
fn a_payment_is_verified_before_the_buyer_cancels_and_nobody_else_waits_for_it() {
    run_at(MONDAY, async |t| {
        let settings = "verification: {methods: [CREDIT_CARD], wait: 24h}";
        let rules = "  - {id: any, when: {path: CANCEL}, allow: {refund: FULL}}";
        let store = store_with_rules(t, settings, rules).await;
        for order_id in ["BUYER", "SUPPORT"] {
            place_paid(&store, order_id).await;
        }
        new_order(&store, "OTHER").await.unwrap();
        let transfer = t
            .store_as("strict", Role::Payments, "psp")
            .record_payment("OTHER", "pay", "evt", PaymentFact::Captured)
            .amount(eur(TOTAL));
        transfer.method("BANK_TRANSFER").await.unwrap();

        let open = t.now().await + SignedDuration::from_hours(24);
        let error = refused(
            cancel(&store, "BUYER").await,
            Kind::Rejected,
            "PAYMENT_VERIFYING",
        );
        assert_eq!(
            error.metadata()["available_from"]
                .parse::<Timestamp>()
                .unwrap(),
            open
        );
        let preview = store.preview_cancellation("BUYER", Units::all());
        let option = preview.clone().await.unwrap().options.remove(0);
        assert_eq!(
            (option.available_from, option.next_actions[0]),
            (Some(open), NextAction::Wait)
        );
        assert!(preview.at_time(open).await.unwrap().allowed);

        cancel(&t.store_as("strict", Role::Support, "sam"), "SUPPORT")
            .await
            .expect("support does not wait");
        cancel(&store, "OTHER")
            .await
            .expect("other methods are not verified");
        t.set_clock(open - SignedDuration::from_micros(1)).await;
        refused(
            cancel(&store, "BUYER").await,
            Kind::Rejected,
            "PAYMENT_VERIFYING",
        );
        t.set_clock(open).await;
        cancel(&store, "BUYER").await.unwrap();
    });
}

#[test]
fn a_window_holds_its_first_instant_and_not_its_last() {
    run_at(MONDAY, async |t| {
        let rules =
            "  - {id: first-two-hours, when: {path: CANCEL, age: {clock: PAID, less_than: 2h}}, allow: {refund: FULL}}
  - {id: too-late, when: {path: CANCEL, age: {clock: PAID, at_least: 2h}}, deny: {code: NOT_ALLOWED}}";
        let store = store_with_rules(t, "", rules).await;
        for order_id in ["FIRST", "LAST", "AFTER"] {
            place_paid(&store, order_id).await;
        }
        let paid = t.now().await;
        cancel(&store, "FIRST").await.unwrap();
        t.set_clock(paid + SignedDuration::from_hours(2) - SignedDuration::from_micros(1))
            .await;
        cancel(&store, "LAST").await.unwrap();
        t.set_clock(paid + SignedDuration::from_hours(2)).await;
        let error = refused(cancel(&store, "AFTER").await, Kind::Rejected, "NOT_ALLOWED");
        assert_eq!(error.metadata()["rule"], "too-late");
    });
}
