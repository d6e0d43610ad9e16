//! Money that was counted twice, promised in vain, or sent on its way when it was gone: through the
//! client and against MySQL.

use belay_client::model::{
    IncidentKind, IncidentResolution, Order, OrderState, PaymentFact, Quote, RefundKind,
    RefundResult, RefundState, ShipmentStage, Written,
};
use belay_client::{Error, Kind, Money, Role, Units, reason};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{TestServer, refused, run, run_at, until};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// A message about payment `pay-1`, with what else it names.
struct Message<'t> {
    t: &'t TestServer,
    order_id: &'static str,
}

impl Message<'_> {
    async fn send(
        &self,
        event: &str,
        fact: PaymentFact,
        amount: Option<Money>,
        movement: &str,
    ) -> Result<Written<Order>, Error> {
        let call = self
            .t
            .payments()
            .record_payment(self.order_id, "pay-1", event, fact)
            .method("CREDIT_CARD");
        let call = call.movement_id(movement);
        match amount {
            Some(amount) => Ok(call.amount(amount).await?),
            None => Ok(call.await?),
        }
    }

    async fn told(&self, event: &str, fact: PaymentFact, amount: i64) -> Order {
        let amount = (amount != 0).then(|| eur(amount));
        let told = self.send(event, fact, amount, "").await;
        told.unwrap_or_else(|error| panic!("{fact}: {error}")).value
    }
}

fn open(order: &Order) -> Vec<IncidentKind> {
    let open = order
        .incidents
        .iter()
        .filter(|incident| incident.resolve_time.is_none());
    open.map(|incident| incident.kind).collect()
}

#[test]
fn a_lapse_keeps_the_goods_in_until_the_order_is_paid_again_or_closes() {
    run_at(MONDAY, async |t| {
        for (order_id, pays_again) in [("A-1", true), ("A-2", false)] {
            let shipment_id = format!("{order_id}:s1");
            t.place(order_id).await;
            let messages = Message { t, order_id };
            messages.told("held", PaymentFact::Authorized, TOTAL).await;
            t.prepare(&shipment_id).await;
            t.mark_ready(&shipment_id).await;
            let lapsed = messages.told("lapsed", PaymentFact::Voided, 0).await;
            assert_eq!(
                (lapsed.state, lapsed.shipments[0].stage),
                (OrderState::AwaitingPayment, ShipmentStage::Unreleased)
            );
            assert_eq!(
                (lapsed.payment_lapse_time, open(&lapsed)),
                (Some(t.now().await), vec![IncidentKind::PaymentLapsed])
            );
            let warehouse = t.warehouse_of(&shipment_id).await;
            let stale = warehouse
                .dispatch_shipment(&shipment_id, lapsed.shipments[0].fence - 1)
                .await;
            refused(stale, Kind::Aborted, "FENCE_STALE");
            let barred = warehouse
                .dispatch_shipment(&shipment_id, lapsed.shipments[0].fence)
                .await;
            let barred = refused(barred, Kind::Rejected, "PAYMENT_LAPSED");
            assert_eq!(
                barred.metadata()["pay_by"],
                lapsed.pay_by.unwrap().to_string()
            );
            assert_eq!(barred.metadata()["shipment_id"], shipment_id);
            t.advance(SignedDuration::from_hours(1)).await;
            if pays_again {
                let paid = messages
                    .told("held-again", PaymentFact::Authorized, TOTAL)
                    .await;
                assert_eq!(
                    (paid.state, paid.payment_lapse_time, open(&paid)),
                    (OrderState::ToShip, None, vec![])
                );
                t.ship(&shipment_id).await;
            } else {
                t.advance(SignedDuration::from_hours(24)).await;
                let closed = until("the order closes", async || {
                    let order = t.order(order_id).await;
                    (order.state != OrderState::AwaitingPayment).then_some(order)
                })
                .await;
                assert_eq!(
                    (closed.state, open(&closed)),
                    (OrderState::ClosedUnpaid, vec![])
                );
                assert_eq!(closed.cancellations[0].expected_refund.total, eur(0));
            }
        }
    });
}

#[test]
fn one_movement_is_one_movement_however_many_messages_tell_of_it() {
    run(async |t| {
        t.place("A-1").await;
        let messages = Message { t, order_id: "A-1" };
        messages.told("held", PaymentFact::Authorized, TOTAL).await;
        for event in ["charge", "payment", "invoice"] {
            let order = messages
                .send(event, PaymentFact::Captured, Some(eur(TOTAL)), "ch_1")
                .await
                .unwrap()
                .value;
            assert_eq!(
                (order.totals.captured.clone(), order.refunds.len()),
                (eur(TOTAL), 0),
                "{event}"
            );
        }
        // Without an id it is unconfirmed.
        let unconfirmed = messages
            .told("once-more", PaymentFact::Captured, TOTAL)
            .await;
        assert_eq!(
            (
                unconfirmed.totals.captured.clone(),
                unconfirmed.refunds.len()
            ),
            (eur(TOTAL), 0)
        );
        assert_eq!(
            (open(&unconfirmed), &unconfirmed.payments[0].unconfirmed),
            (vec![IncidentKind::CaptureMismatch], &eur(TOTAL))
        );
        assert_eq!(unconfirmed.incidents[0].subject_id, "A-1:p1");
        let settled = t
            .support()
            .resolve_incident("A-1:i1", IncidentResolution::RefundAnyway)
            .await
            .unwrap();
        assert_eq!(
            settled.incident.resolution,
            Some(IncidentResolution::RefundAnyway)
        );
        assert_eq!(t.order("A-1").await.refunds[0].amount.excess, eur(TOTAL));
    });
}

#[test]
fn the_provider_tells_of_our_refund_before_the_worker_does() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel_units("A-1", Units::lines([("A-1:l2", 1)])).await;
        let claimed = t.claim("worker-1").await.unwrap();
        let told = t
            .payments()
            .record_payment("A-1", "pay-A-1", "re-event", PaymentFact::RefundedOutside)
            .amount(claimed.amount.total.clone())
            .movement_id("re_1")
            .refund_id(claimed.refund_id.clone());
        let order = told.await.unwrap().value;
        assert_eq!(
            (order.refunds[0].state, &order.payments[0].refunded_outside),
            (RefundState::Settled, &eur(0))
        );
        assert_eq!(
            order.refunds[0].settled_amount,
            Some(claimed.amount.total.clone())
        );
        // The worker says so too, and the rest goes back whole.
        let result = t
            .payments()
            .record_refund_result(claimed.refund_id.clone(), RefundResult::Settled)
            .await;
        assert_eq!(result.unwrap().value.state, RefundState::Settled);
        t.cancel("A-1").await;
        let order = t.order("A-1").await;
        let back: i64 = order
            .refunds
            .iter()
            .map(|refund| refund.amount.total.minor_units)
            .sum();
        assert_eq!((back, open(&order)), (TOTAL, vec![]));
        let foreign =
            t.payments()
                .record_payment("A-1", "pay-A-1", "other", PaymentFact::RefundedOutside);
        refused(
            foreign.amount(eur(1)).refund_id("A-1:r9").await,
            Kind::NotFound,
            "REFUND_NOT_FOUND",
        );
    });
}

#[test]
fn what_was_paid_short_goes_out_again_for_the_rest_alone() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let claimed = t.claim("worker-1").await.unwrap();
        let paid_short = t
            .payments()
            .record_refund_result(claimed.refund_id, RefundResult::Settled)
            .amount(eur(1_000));
        assert_eq!(
            paid_short.await.unwrap().value.settled_amount,
            Some(eur(1_000))
        );
        let order = t.order("A-1").await;
        assert_eq!(
            (order.totals.refunded.clone(), open(&order)),
            (eur(1_000), vec![IncidentKind::RefundMismatch])
        );
        let rest = t.claim("worker-1").await.unwrap();
        assert_eq!(
            (rest.amount.total.clone(), rest.refund_id.as_str()),
            (eur(TOTAL - 1_000), "A-1:r2")
        );
        assert_eq!(
            rest.cancellation_id.as_ref().map(|id| id.as_str()),
            Some("A-1:c1")
        );
        t.payments()
            .record_refund_result(rest.refund_id, RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(t.order("A-1").await.totals.refunded, eur(TOTAL));
    });
}

#[test]
fn nothing_is_promised_that_is_not_there() {
    run(async |t| {
        // Nobody paid.
        t.place("A-1").await;
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let preview = preview.await.unwrap();
        assert_eq!(preview.expected_refund.unwrap().total, eur(0));
        assert_eq!(
            t.cancel("A-1").await.cancellation.expected_refund.total,
            eur(0)
        );

        // It is only authorised.
        t.place("A-2").await;
        Message { t, order_id: "A-2" }
            .told("held", PaymentFact::Authorized, TOTAL)
            .await;
        let preview = t
            .storefront()
            .preview_cancellation("A-2", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let preview = preview.await.unwrap();
        let told = (
            preview.expected_refund.unwrap().total,
            preview.expected_release.unwrap(),
        );
        assert_eq!(told, (eur(0), eur(TOTAL)));
        let cancellation = t.cancel("A-2").await.cancellation;
        assert_eq!(
            (
                cancellation.expected_refund.total,
                cancellation.expected_release
            ),
            (eur(0), eur(TOTAL))
        );
        assert_eq!(cancellation.parts[0].credit.total, eur(TOTAL));

        // The bank took it back, and gave it back.
        t.place_paid("A-3").await;
        let dispute = async |event: &str, fact: PaymentFact, amount: Option<Money>| {
            let call = t
                .payments()
                .record_payment("A-3", "pay-A-3", event, fact)
                .movement_id("dp_1");
            let call = match amount {
                Some(amount) => call.amount(amount),
                None => call,
            };
            call.await.unwrap().value
        };
        let promised = async || {
            let preview = t
                .storefront()
                .preview_cancellation("A-3", Units::all())
                .reason(reason::NO_LONGER_WANTED);
            preview.await.unwrap()
        };
        let quote = promised().await.quote.unwrap();
        let order = dispute(
            "lost",
            PaymentFact::Chargeback,
            Some(Money::new("USD", 2_500)),
        )
        .await;
        assert_eq!(
            (&order.payments[0].disputed, open(&order)),
            (&eur(TOTAL), vec![IncidentKind::GoodsUnpaid])
        );
        assert_eq!(promised().await.expected_refund.unwrap().total, eur(0));
        let request = t
            .storefront()
            .request_cancellation("A-3", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        refused(request.quote(quote).await, Kind::Aborted, "QUOTE_MISMATCH");
        let order = dispute("won", PaymentFact::ChargebackReversed, None).await;
        assert_eq!(
            (&order.payments[0].disputed, open(&order)),
            (&eur(0), vec![])
        );
        assert_eq!(promised().await.expected_refund.unwrap().total, eur(TOTAL));
    });
}

#[test]
fn a_quote_is_good_for_its_order_its_requester_and_its_time() {
    run(async |t| {
        for order_id in ["A-1", "A-2"] {
            t.place_paid(order_id).await;
        }
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let quote = preview.await.unwrap().quote.unwrap();
        let request = |role: Role, order_id: &'static str, quote: Quote| {
            let store = t.store_as(belay_tests::SHOP, role, "someone");
            store
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED)
                .quote(quote)
        };
        refused(
            request(Role::Storefront, "A-2", quote.clone()).await,
            Kind::Aborted,
            "QUOTE_MISMATCH",
        );
        // Any change breaks the seal.
        let length = quote.token.len();
        for place in [1, 20, length / 2, length - 5] {
            let mut digits: Vec<char> = quote.token.chars().collect();
            digits[place] = if digits[place] == 'A' { 'B' } else { 'A' };
            let mut moved = quote.clone();
            moved.token = digits.into_iter().collect();
            refused(
                request(Role::Storefront, "A-1", moved).await,
                Kind::InvalidArgument,
                "INVALID_FIELD",
            );
        }
        request(Role::Storefront, "A-1", quote).await.unwrap();
    });
}

#[test]
fn what_went_back_by_hand_is_not_sent_again() {
    run(async |t| {
        t.place_paid("A-1").await;
        let second = t
            .payments()
            .record_payment("A-1", "pay-2", "twice", PaymentFact::Captured);
        let order = second
            .amount(eur(TOTAL))
            .method("CREDIT_CARD")
            .await
            .unwrap()
            .value;
        assert_eq!(
            order.refunds[0].payment_id.as_str(),
            "A-1:p2",
            "the second payment is the one too many"
        );
        let by_hand =
            t.payments()
                .record_payment("A-1", "pay-2", "by-hand", PaymentFact::RefundedOutside);
        let order = by_hand.amount(eur(TOTAL)).await.unwrap().value;
        assert_eq!(
            (order.state, order.refunds[0].state),
            (OrderState::ToShip, RefundState::Cancelled)
        );
        assert_eq!((t.claim("worker-1").await, open(&order)), (None, vec![]));
        let first =
            t.payments()
                .record_payment("A-1", "pay-A-1", "by-hand", PaymentFact::RefundedOutside);
        let order = first.amount(eur(TOTAL)).await.unwrap().value;
        assert_eq!(
            open(&order),
            [IncidentKind::GoodsUnpaid],
            "nothing pays for what is about to leave"
        );
    });
}

#[test]
fn what_nothing_is_due_for_is_released_and_what_has_lapsed_is_not() {
    run(async |t| {
        t.place("A-1").await;
        let messages = Message { t, order_id: "A-1" };
        messages
            .told("held", PaymentFact::Authorized, TOTAL + 500)
            .await;
        let order = messages.told("taken", PaymentFact::Captured, TOTAL).await;
        let release = &order.refunds[0];
        assert_eq!(
            (release.kind, &release.amount.total, release.state),
            (RefundKind::Void, &eur(500), RefundState::Due)
        );
        assert_eq!(order.payments[0].still_authorized, eur(500));
        let order = messages.told("lapsed", PaymentFact::Voided, 0).await;
        assert_eq!(
            (order.refunds[0].state, open(&order)),
            (RefundState::Cancelled, vec![])
        );
        assert_eq!(t.claim("worker-1").await, None);
    });
}
