//! The acceptance cases of the policy `independent-site`: the help page "How to cancel an order" of
//! an independent web shop.

mod shipped;

use belay_client::calls::{FirstPolicy, OnBehalfOf};
use belay_client::model::{
    CancellationEffect, CancellationFault, CancellationOutcome, CancellationPath,
    CancellationState, EventType, NextAction, OrderState, PartState, RefundKind, RefundResult,
    RefundState, ShipmentStage,
};
use belay_client::{Kind, RequestId, Role, Units, reason};
use belay_proto::v1 as pb;
use belay_tests::shop::{TOTAL, eur, new_order, new_order_of, pay};
use belay_tests::{SHOP, TestServer, documents, raw, refused, run, run_at};
use jiff::{SignedDuration, Timestamp};
use tonic::Code;

#[test]
fn s000_01_a_buyers_orders_show_their_state_and_whether_they_can_be_cancelled() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        for (at, order_id) in [
            (1, "SHIPPED"),
            (2, "PROCESSING"),
            (3, "TO-SHIP"),
            (4, "CANCELLED"),
            (5, "UNPAID"),
        ] {
            t.set_clock(minute(at)).await;
            t.place(order_id).await;
            if order_id != "UNPAID" {
                t.pay(order_id).await;
            }
        }
        new_order_of(&t.storefront(), "OTHER", "bob").await.unwrap();
        t.ship("SHIPPED:s1").await;
        t.prepare("PROCESSING:s1").await;
        t.cancel("CANCELLED").await;

        let page = t.storefront().list_orders().buyer_id("ann").await.unwrap();
        let shown: Vec<_> = page
            .items
            .iter()
            .map(|order| {
                let explanation = order
                    .cancellable_explanation
                    .as_ref()
                    .map_or("", |reason| reason.as_str());
                (
                    order.order_id.as_str(),
                    &*order.display_state,
                    order.cancellable_now,
                    explanation,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("UNPAID", "Awaiting payment", true, ""),
                ("CANCELLED", "Cancelled", false, "ORDER_CLOSED"),
                ("TO-SHIP", "Paid, to be shipped", true, ""),
                ("PROCESSING", "Processing", true, ""),
                ("SHIPPED", "Shipped", false, "SHIPPED"),
            ]
        );
        assert_eq!(page.next_page_token, None);
    });
}

fn minute(minute: i64) -> Timestamp {
    "2026-03-02T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

#[test]
fn s000_02_paid_and_not_shipped_is_cancelled_directly() {
    run(async |t| {
        // At every stage before dispatch.
        for (order_id, stage) in [
            ("A-1", ShipmentStage::Planned),
            ("A-2", ShipmentStage::Preparing),
            ("A-3", ShipmentStage::Ready),
        ] {
            t.place_paid(order_id).await;
            let shipment_id = format!("{order_id}:s1");
            if stage == ShipmentStage::Preparing {
                t.prepare(&shipment_id).await;
            } else if stage == ShipmentStage::Ready {
                t.mark_ready(&shipment_id).await;
            }
            let order = t.order(order_id).await;
            assert_eq!(
                (order.shipments[0].stage, order.cancellable_now),
                (stage, true)
            );

            // Direct cancellation is offered: nobody has to agree.
            let preview = t
                .storefront()
                .preview_cancellation(order_id, Units::all())
                .reason(reason::WRONG_PURCHASE);
            let preview = preview.await.unwrap();
            assert!(
                preview.allowed && preview.rejections.is_empty(),
                "{preview:?}"
            );
            let offered = &preview.options[0];
            assert_eq!(
                (offered.path, offered.chosen),
                (CancellationPath::Cancel, true)
            );
            assert!(offered.gates.is_empty());
            assert_eq!(offered.rule.as_deref(), Some("before-dispatch"));
            assert_eq!(preview.expected_refund.unwrap().total, eur(TOTAL));

            // And what is offered is done.
            let requested = t.cancel(order_id).await;
            assert_eq!(requested.cancellation.state, CancellationState::Completed);
            assert_eq!(
                requested.cancellation.outcome,
                Some(CancellationOutcome::Full)
            );
            assert_eq!(requested.order_state, OrderState::Cancelled);
            let order = t.order(order_id).await;
            assert_eq!(order.shipments[0].stage, ShipmentStage::Cancelled);
            assert!(
                order
                    .lines
                    .iter()
                    .all(|line| line.cancelled_quantity == line.quantity)
            );
        }
    });
}

#[test]
fn s000_03_shipped_is_refused_and_the_answer_names_what_to_do_instead() {
    run(async |t| {
        t.place_interceptable("ABLE").await;
        t.pay("ABLE").await;
        t.ship("ABLE:s1").await;
        t.place_shipped("UNABLE").await;
        for (order_id, rule, actions) in [
            (
                "ABLE",
                "shipped-interceptable",
                [NextAction::Intercept, NextAction::ContactSupport],
            ),
            (
                "UNABLE",
                "shipped",
                [NextAction::ReturnUnopened, NextAction::ContactSupport],
            ),
        ] {
            let cancel_request = t
                .storefront()
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            let error = refused(cancel_request.await, Kind::Rejected, "SHIPPED");
            assert_eq!(
                error.metadata()["next_actions"],
                actions.map(|action| action.to_string()).join(",")
            );
            assert_eq!(error.metadata()["rule"], rule);
            assert_eq!(error.metadata()["path"], "CANCEL");
            assert_eq!(error.metadata()["shipment_id"], format!("{order_id}:s1"));
            assert_eq!(error.rejections()[0].subject, format!("{order_id}:s1"));

            let preview = t
                .storefront()
                .preview_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            let preview = preview.await.unwrap();
            assert!(!preview.allowed);
            assert_eq!(preview.rejections[0].reason.as_str(), "SHIPPED");
            let direct = preview
                .options
                .iter()
                .find(|option| option.path == CancellationPath::Cancel)
                .unwrap();
            assert_eq!(direct.next_actions, actions);

            let order = t.order(order_id).await;
            assert_eq!(
                (order.state, order.cancellations.len()),
                (OrderState::Shipped, 0)
            );
        }
    });
}

#[test]
fn s000_04_a_buyer_without_a_reason_is_refused_and_nothing_is_recorded() {
    run(async |t| {
        let before = t.place_paid("A-1").await;
        let rows = t.database.snapshot().await.without_answers();
        let error = refused(
            t.storefront()
                .request_cancellation("A-1", Units::all())
                .await,
            Kind::InvalidArgument,
            "REASON_REQUIRED",
        );
        assert_eq!(
            error.metadata()["reasons"],
            "NO_LONGER_WANTED,WRONG_PURCHASE,FOUND_BETTER,OTHER"
        );
        assert_eq!(error.field_violations()[0].field, "reason");
        assert_eq!(t.database.snapshot().await.without_answers(), rows);
        assert_eq!(t.order("A-1").await, before);
    });
}

#[test]
fn s000_05_a_given_reason_is_recorded_and_the_cancellation_is_seen_in_progress() {
    run(async |t| {
        let reasons = [
            reason::NO_LONGER_WANTED,
            reason::WRONG_PURCHASE,
            reason::FOUND_BETTER,
        ];
        for (order_id, given) in ["A-1", "A-2", "A-3"].into_iter().zip(reasons) {
            t.place_paid(order_id).await;
            let requested = t
                .storefront()
                .request_cancellation(order_id, Units::all())
                .reason(given)
                .await
                .unwrap();
            let cancellation = requested.cancellation;
            assert_eq!(cancellation.reason.as_deref(), Some(given));
            assert_eq!(cancellation.fault, Some(CancellationFault::Buyer));
            assert_eq!(cancellation.effects, [CancellationEffect::Restock]);
            assert_eq!(
                (
                    cancellation.requester.role,
                    cancellation.requester.id.as_deref()
                ),
                (Role::Buyer, Some("ann"))
            );
            assert_eq!(cancellation.submitted_by.role, Role::Storefront);

            // Whoever looks, and wherever, sees it: in its own record, the lists, the order and its
            // history.
            let found = t
                .storefront()
                .get_cancellation(&cancellation.cancellation_id)
                .await
                .unwrap();
            assert_eq!(
                (found.cancellation, found.order_etag),
                (cancellation.clone(), requested.order_etag)
            );
            let listed = t
                .support()
                .list_cancellations()
                .order_id(order_id)
                .await
                .unwrap();
            assert_eq!(listed.items, std::slice::from_ref(&cancellation));
            let order = t.order(order_id).await;
            assert_eq!(order.cancellations, listed.items);
            assert_eq!(
                t.events(order_id, EventType::CancellationRequested)
                    .await
                    .len(),
                1
            );
            // The shop is done with it; the money is still on its way.
            assert_eq!(order.refunds[0].state, RefundState::Due);
            assert_eq!(
                order.refunds[0].cancellation_id,
                Some(cancellation.cancellation_id)
            );
            assert_eq!(order.totals.refunded, eur(0));
        }
    });
}

#[test]
fn s000_06_cancellation_received_is_notified_once_and_can_be_switched_off() {
    run(async |t| {
        t.place_paid("A-1").await;
        let cancel_request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        let cancel_request = cancel_request.request_id(RequestId::mint());
        let first = cancel_request.clone().await.unwrap();
        for _ in 0..3 {
            assert_eq!(cancel_request.clone().await.unwrap(), first);
        }
        let received = t.events("A-1", EventType::CancellationRequested).await;
        assert_eq!(
            received
                .iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [true]
        );

        // The same shop without that line under `notify`.
        let quiet = documents::independent_site().replace("  - CANCELLATION_REQUESTED\n", "");
        t.create_shop("quiet", FirstPolicy::document(quiet)).await;
        let storefront = t.store_as("quiet", Role::Storefront, "web");
        new_order(&storefront, "A-1").await.unwrap();
        pay(&storefront, "A-1").await;
        storefront
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER)
            .await
            .unwrap();
        let history = storefront.list_order_history("A-1").await.unwrap();
        let notified: Vec<_> = history
            .items
            .iter()
            .map(|event| (event.event_type, event.notify_buyer))
            .collect();
        assert!(
            notified.contains(&(EventType::CancellationRequested, false)),
            "{notified:?}"
        );
        assert!(
            notified.contains(&(EventType::CancellationCompleted, true)),
            "{notified:?}"
        );
    });
}

#[test]
fn s000_07_an_immediate_refund_is_due_at_once_to_the_original_payment() {
    run_at("2026-03-06T17:30:00Z", async |t| {
        t.place_paid("A-1").await;
        t.advance(SignedDuration::from_mins(5)).await;
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let due = preview.await.unwrap().refund_due.unwrap();
        let now = t.now().await;
        assert_eq!((due.immediate, due.due_by), (true, Some(now)));

        let cancellation = t.cancel("A-1").await.cancellation;
        assert_eq!(cancellation.refund_due_by, Some(now));
        let order = t.order("A-1").await;
        let refund = &order.refunds[0];
        assert_eq!(
            (refund.state, refund.kind, refund.due_by),
            (RefundState::Due, RefundKind::Refund, now)
        );
        assert_eq!(refund.amount.total, eur(TOTAL));
        assert_eq!(refund.payment_id, order.payments[0].payment_id);
        assert_eq!(refund.provider_payment_id, "pay-A-1");
        assert_eq!(
            cancellation.refund_ids,
            std::slice::from_ref(&refund.refund_id)
        );

        // A payment worker finds it due now and settles it.
        let claimed = t.claim("worker-1").await.unwrap();
        assert_eq!(claimed.refund_id, refund.refund_id);
        let settled = t
            .payments()
            .record_refund_result(&claimed.refund_id, RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(settled.state, RefundState::Settled);
        assert_eq!(t.order("A-1").await.totals.refunded, eur(TOTAL));
    });
}

#[test]
fn s000_08_a_refund_that_takes_working_days_shows_when_it_is_due_and_pends_until_it_is_settled() {
    // "While others may take several working days": on a Friday evening, five of them end with the
    // Friday after.
    run_at("2026-03-06T17:30:00Z", async |t| {
        let slow =
            documents::independent_site().replace("due: IMMEDIATE", "due: {working_days: 5}");
        t.create_shop("slow", FirstPolicy::document(slow)).await;
        let storefront = t.store_as("slow", Role::Storefront, "web");
        let payments = t.store_as("slow", Role::Payments, "psp");
        new_order(&storefront, "A-1").await.unwrap();
        pay(&payments, "A-1").await;
        let preview = storefront
            .preview_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let due = preview.await.unwrap().refund_due.unwrap();
        let due_by: Timestamp = "2026-03-14T00:00:00Z".parse().unwrap();
        assert_eq!((due.immediate, due.due_by), (false, Some(due_by)));

        let cancel_request = storefront
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let cancellation = cancel_request.await.unwrap().cancellation;
        assert_eq!(
            (cancellation.state, cancellation.refund_due_by),
            (CancellationState::Completed, Some(due_by))
        );
        let refund = async || {
            storefront
                .get_refund(&cancellation.refund_ids[0])
                .await
                .unwrap()
        };
        let pending = refund().await;
        assert_eq!(
            (pending.state, pending.due_by, pending.overdue),
            (RefundState::Due, due_by, false)
        );
        assert_eq!(
            (&pending.amount.total, &*pending.provider_payment_id),
            (&eur(TOTAL), "pay-A-1")
        );

        // Sent is not yet back: until the provider says so, nothing counts as refunded.
        let claimed = payments.claim_refunds("worker-1").await.unwrap().remove(0);
        assert_eq!(
            (claimed.refund_id, refund().await.state),
            (pending.refund_id.clone(), RefundState::Submitted)
        );
        assert_eq!(
            storefront.get_order("A-1").await.unwrap().totals.refunded,
            eur(0)
        );
        payments
            .record_refund_result(&pending.refund_id, RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(refund().await.state, RefundState::Settled);
        assert_eq!(
            storefront.get_order("A-1").await.unwrap().totals.refunded,
            eur(TOTAL)
        );
    });
}

#[test]
fn s000_09_support_cancels_for_a_buyer_who_is_known_by_email_or_username() {
    run(async |t| {
        let identities = [
            OnBehalfOf::email("ann@example.org"),
            OnBehalfOf::email("  Ann@Example.ORG "),
            OnBehalfOf::username("ann-1"),
            OnBehalfOf::username("ANN-1"),
        ];
        for (order_id, identity) in ["A-1", "A-2", "A-3", "A-4"].into_iter().zip(identities) {
            t.place_paid(order_id).await;
            let cancel_request = t
                .support()
                .request_cancellation(order_id, Units::all())
                .on_behalf_of(identity);
            let cancellation = cancel_request
                .reason(reason::WRONG_PURCHASE)
                .await
                .unwrap()
                .cancellation;
            assert_eq!(cancellation.state, CancellationState::Completed);
            assert_eq!(
                (
                    cancellation.requester.role,
                    cancellation.requester.id.as_deref()
                ),
                (Role::Buyer, Some("ann"))
            );
            let submitted_by = cancellation.submitted_by;
            assert_eq!(
                (submitted_by.role, submitted_by.id.as_deref()),
                (Role::Support, Some("sam"))
            );

            let event = &t.events(order_id, EventType::CancellationRequested).await[0];
            assert_eq!(
                (event.actor.role, event.actor.id.as_deref()),
                (Role::Support, Some("sam"))
            );
            let principal = event.on_behalf_of.as_ref().unwrap();
            assert_eq!(
                (principal.role, principal.id.as_deref()),
                (Role::Buyer, Some("ann"))
            );
        }

        // "You need to provide the order number, your account information … and the reason."
        t.place_paid("A-5").await;
        let cancel_request = t
            .support()
            .request_cancellation("A-5", Units::all())
            .on_behalf_of(OnBehalfOf::username("ann-1"));
        refused(
            cancel_request.await,
            Kind::InvalidArgument,
            "REASON_REQUIRED",
        );
    });
}

#[test]
fn s000_10_who_does_not_know_the_buyer_does_not_learn_that_the_order_exists() {
    run(async |t| {
        t.place_paid("A-1").await;
        let rows = t.database.snapshot().await;
        let request =
            |order_id: &str, identity: pb::on_behalf_of::Buyer| pb::RequestCancellationRequest {
                store_id: SHOP.to_owned(),
                order_id: order_id.to_owned(),
                request_id: "0b1f4a8e-93c7-4b53-8c8c-0d6fd62e0a11".to_owned(),
                selection: Some(pb::request_cancellation_request::Selection::All(
                    pb::AllUnits {},
                )),
                reason: "NO_LONGER_WANTED".to_owned(),
                on_behalf_of: Some(pb::OnBehalfOf {
                    buyer: Some(identity),
                }),
                ..Default::default()
            };
        let identities = [
            pb::on_behalf_of::Buyer::BuyerEmail("eve@example.org".to_owned()),
            pb::on_behalf_of::Buyer::BuyerUsername("eve".to_owned()),
            // The right name as the wrong kind.
            pb::on_behalf_of::Buyer::BuyerUsername("ann@example.org".to_owned()),
        ];
        for identity in identities {
            let method = "CancellationService/RequestCancellation";
            let mismatch = t
                .raw()
                .refused("support", method, request("A-1", identity.clone()))
                .await;
            let unknown = t
                .raw()
                .refused("support", method, request("A-2", identity))
                .await;
            assert_eq!(mismatch.what(), (Code::NotFound, "ORDER_NOT_FOUND"));
            assert_eq!(as_if_about(&mismatch, "A-1"), as_if_about(&unknown, "A-2"));
        }
        assert_eq!(t.database.snapshot().await, rows);

        let previewed = t
            .support()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let previewed = previewed
            .on_behalf_of(OnBehalfOf::email("eve@example.org"))
            .await;
        refused(previewed, Kind::NotFound, "ORDER_NOT_FOUND");
    });
}

/// An answer as it would be about another order, down to the bytes of its details.
fn as_if_about(answer: &raw::Refused, order_id: &str) -> (Code, String, String) {
    let details = answer
        .details
        .iter()
        .map(|byte| char::from(*byte))
        .collect::<String>();
    (
        answer.code,
        answer.message.replace(order_id, "X-0"),
        details.replace(order_id, "X-0"),
    )
}

#[test]
fn s000_11_support_cancels_an_unshipped_order_and_can_tell_when_and_how_the_money_comes_back() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        t.place_paid("A-1").await;
        let cancel_request = t
            .support()
            .request_cancellation("A-1", Units::all())
            .reason("OUT_OF_STOCK");
        let requested = cancel_request.await.unwrap();
        let cancellation = requested.cancellation;
        assert_eq!(
            (cancellation.state, requested.order_state),
            (CancellationState::Completed, OrderState::Cancelled)
        );
        assert_eq!(
            (cancellation.requester.role, cancellation.fault),
            (Role::Support, Some(CancellationFault::Seller))
        );
        assert!(cancellation.counted);

        // The time, the amount, and where it goes.
        assert_eq!(cancellation.refund_due_by, Some(t.now().await));
        assert_eq!(cancellation.expected_refund.total, eur(TOTAL));
        let refund = t
            .support()
            .get_refund(&cancellation.refund_ids[0])
            .await
            .unwrap();
        let payment = t.order("A-1").await.payments.remove(0);
        assert_eq!(
            (refund.payment_id, &*payment.method),
            (payment.payment_id, "CREDIT_CARD")
        );
    });
}

/// A shop that is stricter than the preset once it packs, and asks nobody for a reason.
const STRICT: &str = r#"
name: strict
unpaid: {expire_after: 24h}
reasons:
  - {code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}
rules:
  - id: not-packed
    when: {stage: [UNRELEASED, PLANNED], path: CANCEL}
    allow: {refund: FULL}
  - id: packed
    when: {path: CANCEL}
    deny: {code: NOT_ALLOWED, next_actions: [CONTACT_SELLER]}
refunds: {due: IMMEDIATE, shipping: NEVER}
"#;

#[test]
fn s000_15_two_stores_with_two_policies_each_follow_their_own() {
    run(async |t| {
        t.create_shop("strict", FirstPolicy::document(STRICT)).await;
        // The very same requests to both: early without a reason, and late.
        for store_id in [SHOP, "strict"] {
            let storefront = t.store_as(store_id, Role::Storefront, "web");
            for order_id in ["EARLY", "LATE"] {
                new_order(&storefront, order_id).await.unwrap();
                pay(&t.store_as(store_id, Role::Payments, "psp"), order_id).await;
            }
            t.store_as(store_id, Role::Warehouse, "main")
                .start_preparation("LATE:s1")
                .await
                .unwrap();
        }
        let ask = async |store_id: &str, order_id: &str| {
            t.store_as(store_id, Role::Storefront, "web")
                .request_cancellation(order_id, Units::all())
                .await
        };

        refused(
            ask(SHOP, "EARLY").await,
            Kind::InvalidArgument,
            "REASON_REQUIRED",
        );
        let strict = ask("strict", "EARLY").await.unwrap().cancellation;
        assert_eq!(
            (strict.state, &strict.reason, strict.fault),
            (CancellationState::Completed, &None, None)
        );
        // Shipping is the strict shop's to keep.
        assert_eq!(strict.expected_refund.total, eur(TOTAL - 490 - 93));

        assert_eq!(
            direct(t, SHOP, "LATE").await,
            ("before-dispatch".to_owned(), PartState::Cancelled)
        );
        let error = refused(ask("strict", "LATE").await, Kind::Rejected, "NOT_ALLOWED");
        assert_eq!(error.metadata()["rule"], "packed");
        assert_eq!(error.metadata()["next_actions"], "CONTACT_SELLER");
        assert!(
            !t.store_as("strict", Role::Storefront, "web")
                .get_order("LATE")
                .await
                .unwrap()
                .cancellable_now
        );
    });
}

/// Cancels with a reason; by which rule, and how it ended.
async fn direct(t: &TestServer, store_id: &str, order_id: &str) -> (String, PartState) {
    let storefront = t.store_as(store_id, Role::Storefront, "web");
    let cancel_request = storefront
        .request_cancellation(order_id, Units::all())
        .reason(reason::WRONG_PURCHASE);
    let part = cancel_request.await.unwrap().cancellation.parts.remove(0);
    (part.rule.unwrap(), part.state)
}
