//! Currencies come and go; orders keep theirs. What is stored in one that ISO 4217 has withdrawn
//! since is read, listed and decided on like any other, and nothing new is taken in it.

use belay_client::model::{PaymentFact, RefundResult};
use belay_client::{Kind, Money, Units, reason};
use belay_proto::v1 as pb;
use belay_tests::shop::new_order;
use belay_tests::{SHOP, TestServer, refused, run};
use futures_util::TryStreamExt;

/// Yugoslavia's dinar until 1994: as withdrawn as any that will be.
const WITHDRAWN: &str = "YUN";

fn dinars(minor_units: i64) -> Money {
    Money::new(WITHDRAWN, minor_units)
}

/// What was stored in euros is in the withdrawn currency, as if it had been stored before.
async fn withdraw(t: &TestServer) {
    assert!(
        t.database
            .execute("UPDATE orders SET currency = ?", (WITHDRAWN,))
            .await
            > 0
    );
    let carriers = "UPDATE carriers SET return_labels = REPLACE(return_labels, 'EUR', ?)";
    assert!(t.database.execute(carriers, (WITHDRAWN,)).await > 0);
}

#[test]
fn an_order_in_a_withdrawn_currency_lives_on() {
    run(async |t| {
        t.operator()
            .put_carrier("labels", "Labels")
            .return_label("DE", Money::new("EUR", 499))
            .await
            .unwrap();
        let total = t.place("A-1").await.totals.total.minor_units;
        t.place_paid("A-2").await;
        t.cancel("A-2").await;
        withdraw(t).await;

        let order = t.order("A-1").await;
        assert_eq!(
            (
                order.totals.total.clone(),
                order.lines[0].goods.currency_code.as_str()
            ),
            (dinars(total), WITHDRAWN)
        );
        let support = t.support();
        let orders: Vec<_> = support.list_orders().stream().try_collect().await.unwrap();
        assert_eq!(orders.len(), 2);
        let cancellations: Vec<_> = support
            .list_cancellations()
            .stream()
            .try_collect()
            .await
            .unwrap();
        let refunds: Vec<_> = support.list_refunds().stream().try_collect().await.unwrap();
        assert_eq!((cancellations.len(), refunds.len()), (1, 1));
        assert_eq!(refunds[0].amount.total, dinars(total));
        assert!(!t.history("A-2").await.is_empty());
        let shipments: Vec<_> = support
            .list_shipments()
            .stream()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(shipments.len(), 2);
        support
            .preview_cancellation("A-1", Units::all())
            .await
            .unwrap();

        // What is told of its money is told in its currency, and only there.
        let till = t.payments();
        let paid = |event: &str, amount| {
            till.record_payment("A-1", "pay", event, PaymentFact::Captured)
                .method("CREDIT_CARD")
                .amount(amount)
        };
        let other = refused(
            paid("e1", Money::new("EUR", total)).await,
            Kind::InvalidArgument,
            "CURRENCY_MISMATCH",
        );
        assert_eq!(other.metadata()["currency_code"], WITHDRAWN);
        paid("e2", dinars(total)).await.unwrap();
        let cancel_request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        assert_eq!(
            cancel_request
                .await
                .unwrap()
                .cancellation
                .expected_refund
                .total,
            dinars(total)
        );
        let claimed = till.claim_refunds("worker").max_refunds(10).await.unwrap();
        assert_eq!(claimed.len(), 2);
        for refund in claimed {
            till.record_refund_result(&refund.refund_id, RefundResult::Settled)
                .amount(dinars(total))
                .await
                .unwrap();
        }

        let carriers: pb::ListCarriersResponse = {
            let request = pb::ListCarriersRequest {
                store_id: SHOP.to_owned(),
                ..Default::default()
            };
            t.raw()
                .send("operator", "StoreService/ListCarriers", request)
                .await
                .unwrap()
        };
        let labels = carriers
            .carriers
            .iter()
            .flat_map(|carrier| &carrier.return_labels);
        let prices: Vec<_> = labels.filter_map(|label| label.price.as_ref()).collect();
        assert_eq!(
            prices,
            [&pb::Money {
                currency_code: WITHDRAWN.to_owned(),
                minor_units: 499
            }]
        );
    });
}

#[test]
fn nothing_new_is_taken_in_a_withdrawn_currency() {
    run(async |t| {
        let new = new_order(&t.storefront(), "A-1").shipping(dinars(100));
        let error = refused(new.await, Kind::InvalidArgument, "INVALID_FIELD");
        assert_eq!(
            error.field_violations()[0].field,
            "shipping.amount.currency_code"
        );
        let label = t
            .operator()
            .put_carrier("labels", "Labels")
            .return_label("DE", dinars(499))
            .await;
        refused(label, Kind::InvalidArgument, "INVALID_FIELD");
    });
}
