//! "If the customer orders more than 3 identical products, customs may consider such order as a
//! commercial shipment and cancel it."

use belay_client::calls::{NewBuyer, NewLine, NewShipment, Parcel};
use belay_client::model::{
    CancellationState, Destination, EventType, NextAction, Order, OrderState, PaymentFact,
    ShipmentStage,
};
use belay_client::{Kind, Role};
use belay_tests::market::Market;
use belay_tests::shop::eur;
use belay_tests::{refused, run_at, stock};
use jiff::SignedDuration;

use super::{CHAT, MONDAY, open};

/// A paid order for Germany, by this carrier: lines of mugs at 10.00 with 5.00 for the way, so many
/// in each line.
async fn mugs(market: &Market<'_>, order_id: &str, carrier_id: &str, quantities: &[i32]) -> Order {
    let shipment = NewShipment::new((1..).zip(quantities.iter().copied())).carrier_id(carrier_id);
    order_of(
        market,
        order_id,
        "DE",
        quantities.iter().map(|quantity| ("MUG", *quantity)),
        [shipment],
    )
    .await
}

async fn order_of(
    market: &Market<'_>,
    order_id: &str,
    country: &str,
    skus: impl IntoIterator<Item = (&str, i32)>,
    shipments: impl IntoIterator<Item = NewShipment>,
) -> Order {
    let skus: Vec<(&str, i32)> = skus.into_iter().collect();
    let total = skus
        .iter()
        .map(|(_, quantity)| i64::from(*quantity) * 1_000)
        .sum::<i64>()
        + 500;
    let line = |(sku, quantity): &(&str, i32)| {
        NewLine::new(*sku, *quantity, eur(i64::from(*quantity) * 1_000))
    };
    let lines: Vec<NewLine> = skus.iter().map(line).collect();
    let destination = Destination::new(country);
    let order = market.storefront().create_order(
        order_id,
        NewBuyer::new("ann"),
        "acme",
        destination,
        lines,
    );
    order.shipping(eur(500)).shipments(shipments).await.unwrap();
    let payments = market.as_role(Role::Payments, "psp");
    let paid = payments.record_payment(
        order_id,
        format!("pay-{order_id}"),
        "paid",
        PaymentFact::Captured,
    );
    paid.amount(eur(total)).method("CARD").await.unwrap().value
}

fn flag(order: &Order) -> Option<(&str, i32, i32)> {
    let flag = order.shipments[0].customs_flag.as_ref()?;
    Some((&*flag.sku, flag.quantity, flag.units_max))
}

#[test]
fn s003_12_more_than_three_identical_products_across_a_border_are_flagged() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        assert_eq!(flag(&mugs(&market, "THREE", "standard", &[3]).await), None);
        assert_eq!(
            flag(&mugs(&market, "FOUR", "standard", &[4]).await),
            Some(("MUG", 4, 3))
        );
        // All lines of the SKU together.
        assert_eq!(
            flag(&mugs(&market, "TWO-AND-ONE", "standard", &[2, 1]).await),
            None
        );
        assert_eq!(
            flag(&mugs(&market, "TWO-AND-TWO", "standard", &[2, 2]).await),
            Some(("MUG", 4, 3))
        );
        // Not what is identical in nothing but its number; not what goes in parcels of its own; not
        // at home.
        let together = [NewShipment::new([(1, 3), (2, 3)])];
        let mixed = order_of(&market, "MIXED", "DE", [("MUG", 3), ("PEN", 3)], together).await;
        assert_eq!(flag(&mixed), None);
        let apart = [NewShipment::new([(1, 2)]), NewShipment::new([(1, 2)])];
        let apart = order_of(&market, "APART", "DE", [("MUG", 4)], apart).await;
        assert!(
            apart
                .shipments
                .iter()
                .all(|shipment| shipment.customs_flag.is_none())
        );
        let at_home = order_of(
            &market,
            "AT-HOME",
            "CN",
            [("MUG", 4)],
            [NewShipment::new([(1, 4)])],
        )
        .await;
        assert_eq!(flag(&at_home), None);
    });
}

#[test]
fn s003_13_a_flagged_shipment_of_the_sellers_own_delivery_is_cancelled_or_split() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let order = mugs(&market, "CANCELLED", "express", &[4]).await;
        let remedies = order.shipments[0]
            .customs_flag
            .as_ref()
            .unwrap()
            .remedies
            .clone();
        assert_eq!(remedies, [NextAction::Cancel, NextAction::SplitShipment]);
        let request = market
            .sellers_request("CANCELLED", "BUYER_ASKED")
            .evidence([CHAT]);
        assert_eq!(
            request.await.unwrap().cancellation.state,
            CancellationState::Completed
        );
        assert_eq!(market.refund("CANCELLED").await.amount.total, eur(4_500));

        let before = mugs(&market, "SPLIT", "express", &[3, 2]).await;
        market.mark_ready("SPLIT:s1").await;
        let parcels = [Parcel::of("SPLIT:l1", 3), Parcel::of("SPLIT:l2", 2)];
        let split = market
            .seller()
            .split_shipment("SPLIT:s1", parcels)
            .await
            .unwrap();
        assert_eq!(
            (split.shipment.stage, &split.shipment.customs_flag),
            (ShipmentStage::Split, &None)
        );
        let new: Vec<_> = split
            .into_shipments
            .iter()
            .map(|parcel| {
                (
                    parcel.shipment_id.as_str(),
                    parcel.contents[0].quantity,
                    parcel.stage,
                )
            })
            .collect();
        assert_eq!(
            new,
            [
                ("SPLIT:s2", 3, ShipmentStage::Planned),
                ("SPLIT:s3", 2, ShipmentStage::Planned)
            ]
        );
        assert!(
            split
                .into_shipments
                .iter()
                .all(|parcel| parcel.customs_flag.is_none())
        );
        // No cancellation anywhere: not on the order, in no list, in no event, in no money.
        let order = market.order("SPLIT").await;
        assert_eq!(
            (order.state, &order.totals),
            (OrderState::ToShip, &before.totals)
        );
        assert!(order.cancellations.is_empty() && order.refunds.is_empty());
        let listed = market
            .support()
            .list_cancellations()
            .order_id("SPLIT")
            .await
            .unwrap();
        assert!(listed.items.is_empty());
        assert!(
            order
                .lines
                .iter()
                .all(|line| line.cancelled_quantity == 0 && line.pending_quantity == 0)
        );
        let told = [
            EventType::CancellationRequested,
            EventType::PartEnded,
            EventType::RefundCreated,
        ];
        for event_type in told {
            assert!(market.events("SPLIT", event_type).await.is_empty());
        }
        assert_eq!(
            market.events("SPLIT", EventType::ShipmentSplit).await.len(),
            1
        );

        market.ship("SPLIT:s2").await;
        market.ship("SPLIT:s3").await;
        assert_eq!(market.order("SPLIT").await.state, OrderState::Shipped);

        // What is still too much for one parcel stays flagged.
        mugs(&market, "STILL", "express", &[5]).await;
        let parcels = [Parcel::of("STILL:l1", 4), Parcel::of("STILL:l1", 1)];
        let split = market
            .seller()
            .split_shipment("STILL:s1", parcels)
            .await
            .unwrap();
        let flagged: Vec<_> = split
            .into_shipments
            .iter()
            .map(|parcel| parcel.customs_flag.is_some())
            .collect();
        assert_eq!(flagged, [true, false]);

        // Whatever counts was due: of three shipments one was cancelled, and two became two each.
        stock::projected(&t.database).await;
        t.advance(SignedDuration::from_hours(7 * 24)).await;
        let quality = market.seller().get_seller_quality("acme").await.unwrap();
        assert_eq!(quality.unwrap().denominator, 7);
    });
}

#[test]
fn s003_14_a_flagged_shipment_of_a_partner_can_only_be_cancelled() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let order = mugs(&market, "A-1", "partner", &[4]).await;
        assert_eq!(
            order.shipments[0].customs_flag.as_ref().unwrap().remedies,
            [NextAction::Cancel]
        );
        let rows = t.database.snapshot().await.without_answers();
        let parcels = || [Parcel::of("A-1:l1", 2), Parcel::of("A-1:l1", 2)];
        let error = refused(
            market.seller().split_shipment("A-1:s1", parcels()).await,
            Kind::Rejected,
            "SPLIT_NOT_ALLOWED",
        );
        assert_eq!(error.metadata()["next_actions"], "CANCEL");
        assert_eq!(t.database.snapshot().await.without_answers(), rows);
        let request = market
            .sellers_request("A-1", "BUYER_ASKED")
            .evidence([CHAT]);
        assert_eq!(request.await.unwrap().order_state, OrderState::Cancelled);

        // Once it is few enough, it is a shipment like any other.
        mugs(&market, "A-2", "partner", &[4]).await;
        let one = belay_client::Units::line("A-2:l1", 1);
        let request = market
            .seller()
            .request_cancellation("A-2", one)
            .reason("OUT_OF_STOCK");
        request.await.unwrap();
        assert_eq!(market.shipment("A-2:s1").await.customs_flag, None);
        let parcels = [Parcel::of("A-2:l1", 2), Parcel::of("A-2:l1", 1)];
        market
            .seller()
            .split_shipment("A-2:s1", parcels)
            .await
            .unwrap();
    });
}
