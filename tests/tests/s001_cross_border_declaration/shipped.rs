//! "2.3 Paid - Shipped" and "3.2 Shipped Order": what is left once a parcel is under way, and what
//! comes back for it.

use belay_client::calls::{InterceptAnswer, RequestCancellation};
use belay_client::model::{
    CancellationEffect, CancellationFault, CancellationPath, CancellationState, GateKind,
    GateState, GoodsCondition, InterceptState, LabelState, NextAction, OrderState, PartState,
    RefundState, ReturnState, ShipmentStage, StockEntryKind, TrackingFact,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{GOODS, LABEL, Market, WAY_OUT, gates};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{refused, run_at, stock, until};

use super::{MONDAY, SECOND, hours, open};

const EVERYWHERE: [&str; 2] = ["standard", "express"];

fn along(
    market: &Market<'_>,
    order_id: &str,
    reason: &str,
    path: CancellationPath,
) -> RequestCancellation {
    market.buyers_request(order_id, reason).paths([path])
}

#[test]
fn s001_10_what_has_been_dispatched_is_not_cancelled() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for carrier_id in EVERYWHERE {
            let order = market
                .order_at(carrier_id, carrier_id, ShipmentStage::InTransit)
                .await;
            let able = carrier_id == "express";
            let error = market
                .refuses(
                    market.buyers_request(carrier_id, "NO_LONGER_WANTED"),
                    "SHIPPED",
                )
                .await;
            let denial = error.denial().unwrap();
            let anyway = [NextAction::RefuseDelivery, NextAction::ContactSupport];
            let with_the_carrier = [
                NextAction::Intercept,
                NextAction::RefuseDelivery,
                NextAction::ContactSupport,
            ];
            assert_eq!(
                denial.next_actions,
                if able {
                    &with_the_carrier[..]
                } else {
                    &anyway[..]
                }
            );
            assert_eq!(
                denial.rule.as_deref(),
                Some(if able {
                    "shipped-interceptable"
                } else {
                    "shipped"
                })
            );
            // Nor by who sells or serves.
            market
                .refuses(
                    market.sellers_request(carrier_id, "OUT_OF_STOCK"),
                    "SHIPPED",
                )
                .await;
            let request = market
                .support()
                .request_cancellation(carrier_id, Units::all())
                .reason("WRONG_PURCHASE");
            market.refuses(request, "SHIPPED").await;
            assert_eq!(market.order(carrier_id).await, order);
            assert_eq!(
                (order.state, &*order.display_state),
                (OrderState::Shipped, "Paid, shipped")
            );
        }
        // Scanned out is gone, whoever forgot to say so.
        market.place_paid("SCANNED", "standard").await;
        market.scan("SCANNED:s1", TrackingFact::PickedUp).await;
        market
            .refuses(
                market.buyers_request("SCANNED", "NO_LONGER_WANTED"),
                "SHIPPED",
            )
            .await;
    });
}

/// What each path says to the buyer: whom it waits for, or why not.
async fn offers(
    market: &Market<'_>,
    order_id: &str,
) -> Vec<(CancellationPath, Result<Vec<GateKind>, String>)> {
    let preview = market
        .storefront()
        .preview_cancellation(order_id, Units::all())
        .reason("NO_LONGER_WANTED");
    let options = preview.await.unwrap().options.into_iter();
    let said = options.map(|option| match option.refused_reason {
        Some(reason) => (option.path, Err(reason.as_str().to_owned())),
        None => (
            option.path,
            Ok(option.gates.iter().map(|gate| gate.kind).collect()),
        ),
    });
    said.collect()
}

#[test]
fn s001_11_each_stage_offers_the_ways_that_are_left() {
    use CancellationPath::{Cancel, Intercept, RefuseDelivery, ReturnOpened, ReturnUnopened};

    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let no = |reason: &str| Err(reason.to_owned());
        let receipt = || vec![GateKind::ParcelReceipt];
        market
            .order_at("ABLE", "express", ShipmentStage::InTransit)
            .await;
        let on_its_way = [
            (Cancel, no("SHIPPED")),
            (
                Intercept,
                Ok(vec![GateKind::CarrierIntercept, GateKind::ParcelReceipt]),
            ),
            (RefuseDelivery, Ok(receipt())),
            (ReturnUnopened, no("NOT_ALLOWED")),
            (ReturnOpened, no("NOT_ALLOWED")),
        ];
        assert_eq!(offers(&market, "ABLE").await, on_its_way);
        market
            .order_at("UNABLE", "standard", ShipmentStage::InTransit)
            .await;
        let unable = offers(&market, "UNABLE").await;
        assert_eq!(
            unable[1..3],
            [
                (Intercept, no("NOT_INTERCEPTABLE")),
                (RefuseDelivery, Ok(receipt()))
            ]
        );
        market
            .order_at("RECEIVED", "express", ShipmentStage::Delivered)
            .await;
        let received = [
            (Cancel, no("DELIVERED")),
            (Intercept, no("DELIVERED")),
            (RefuseDelivery, no("DELIVERED")),
            (ReturnUnopened, Ok(receipt())),
            (
                ReturnOpened,
                Ok(vec![GateKind::SupportReview, GateKind::ParcelReceipt]),
            ),
        ];
        assert_eq!(offers(&market, "RECEIVED").await, received);
        let error = market
            .refuses(
                market.buyers_request("RECEIVED", "NO_LONGER_WANTED"),
                "DELIVERED",
            )
            .await;
        let ways = [
            NextAction::ReturnUnopened,
            NextAction::ReturnOpened,
            NextAction::ContactSupport,
        ];
        assert_eq!(error.denial().unwrap().next_actions, ways);

        // Of several paths the first that is open is taken.
        let request = market.buyers_request("UNABLE", "NO_LONGER_WANTED").paths([
            Cancel,
            Intercept,
            RefuseDelivery,
        ]);
        assert_eq!(
            request.await.unwrap().cancellation.parts[0].path,
            RefuseDelivery
        );
    });
}

#[test]
fn a_parcel_that_the_carrier_turns_round_or_the_buyer_does_not_accept_comes_home_before_any_money_goes_back()
 {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        // 1: "before the package arrives, contact the logistics provider".
        market
            .order_at("A-1", "express", ShipmentStage::InTransit)
            .await;
        let waiting = along(
            &market,
            "A-1",
            "NO_LONGER_WANTED",
            CancellationPath::Intercept,
        )
        .await
        .unwrap()
        .cancellation;
        assert_eq!(
            (waiting.state, &waiting.expected_refund.total),
            (CancellationState::Pending, &eur(GOODS))
        );
        assert_eq!(
            market.shipment("A-1:s1").await.intercept.unwrap().state,
            InterceptState::Requested
        );
        let carrier = market.carrier_of("A-1:s1").await;
        let asked = carrier
            .answer_intercept("A-1:s1", InterceptAnswer::Confirmed)
            .await
            .unwrap();
        assert_eq!(
            (asked.stage, asked.intercept.unwrap().state),
            (ShipmentStage::InTransit, InterceptState::Confirmed)
        );
        market.scan("A-1:s1", TrackingFact::Returning).await;
        assert!(market.order("A-1").await.refunds.is_empty());

        // 2: "the package just arrived, please refuse to sign the package", said beforehand.
        market
            .order_at("A-2", "standard", ShipmentStage::InTransit)
            .await;
        along(
            &market,
            "A-2",
            "NO_LONGER_WANTED",
            CancellationPath::RefuseDelivery,
        )
        .await
        .unwrap();
        assert_eq!(
            market.part("A-2:c1").await.return_state,
            Some(ReturnState::Authorised)
        );
        market.scan("A-2:s1", TrackingFact::Returning).await;
        assert_eq!(
            market.part("A-2:c1").await.return_state,
            Some(ReturnState::Returning)
        );

        // 2, said to nobody but the postman: it is the carrier who gives up.
        market
            .order_at("A-3", "standard", ShipmentStage::Returning)
            .await;
        let unasked = market.cancellation("A-3:c1").await;
        assert_eq!(
            (unasked.requester.role, unasked.requester.id.as_deref()),
            (Role::Carrier, Some("standard"))
        );
        assert_eq!(
            (unasked.reason.as_deref(), unasked.fault),
            (Some("PARCEL_RETURNED"), Some(CancellationFault::Buyer))
        );
        assert_eq!(
            (unasked.state, unasked.parts[0].path),
            (CancellationState::Pending, CancellationPath::RefuseDelivery)
        );

        for order_id in ["A-1", "A-2", "A-3"] {
            assert!(market.order(order_id).await.refunds.is_empty());
            let shipment_id = format!("{order_id}:s1");
            let warehouse = market.warehouse_of(&shipment_id).await;
            let home = warehouse
                .receive_parcel(&shipment_id, GoodsCondition::Unopened)
                .await
                .unwrap();
            assert_eq!(home.stage, ShipmentStage::Returned);
            let refund = market.refund(order_id).await;
            assert_eq!(
                (refund.state, refund.amount.total),
                (RefundState::Due, eur(GOODS))
            );
            let part = market.part(&format!("{order_id}:c1")).await;
            assert_eq!(
                (part.state, part.deductions.outbound_shipping),
                (PartState::Cancelled, eur(WAY_OUT))
            );
            assert_eq!(part.effects, [CancellationEffect::Restock]);
        }
        assert_eq!(
            market.part("A-2:c1").await.return_state,
            Some(ReturnState::Received)
        );
    });
}

#[test]
fn s001_12_where_there_are_no_labels_the_buyer_is_told_so_and_what_to_do() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        // One carrier has no labels, the other none for this country.
        market
            .order_at("NO-LABELS", "standard", ShipmentStage::Delivered)
            .await;
        market.place_paid_to("FR", "ABROAD", "express").await;
        market.ship("ABROAD:s1").await;
        market.scan("ABROAD:s1", TrackingFact::Delivered).await;
        for order_id in ["NO-LABELS", "ABROAD"] {
            let request = along(
                &market,
                order_id,
                "NO_LONGER_WANTED",
                CancellationPath::ReturnUnopened,
            );
            let error = market.refuses(request, "LABEL_UNAVAILABLE_IN_REGION").await;
            let denial = error.denial().unwrap();
            assert_eq!(denial.next_actions, [NextAction::ContactSupport]);
            let instructions = denial.label_instructions.unwrap();
            assert!(
                instructions.starts_with("There is no prepaid label for your region."),
                "{instructions}"
            );
            let preview = market
                .storefront()
                .preview_cancellation(order_id, Units::all())
                .reason("NO_LONGER_WANTED");
            let option = preview.await.unwrap().options.remove(3);
            assert_eq!(
                (option.path, option.allowed),
                (CancellationPath::ReturnUnopened, false)
            );
            assert_eq!(option.label, Some(LabelState::UnavailableInRegion));
            assert_eq!(option.label_instructions.as_deref(), Some(&*instructions));

            // Support may agree all the same; the buyer then pays the way back to whom it is sent
            // with, not to us.
            let request = market
                .support()
                .request_cancellation(order_id, Units::all())
                .reason("NO_LONGER_WANTED");
            let agreed = request
                .paths([CancellationPath::ReturnUnopened])
                .await
                .unwrap()
                .cancellation
                .parts
                .remove(0);
            assert_eq!(
                (agreed.state, agreed.label),
                (PartState::Waiting, Some(LabelState::UnavailableInRegion))
            );
            assert_eq!(agreed.label_instructions.as_deref(), Some(&*instructions));
            assert_eq!(agreed.deductions.return_shipping, eur(0));
        }
    });
}

#[test]
fn s001_13_a_quote_shows_the_way_out_and_the_way_back_apart_where_the_buyer_bears_them() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for order_id in ["A-1", "A-2"] {
            market
                .order_at(order_id, "express", ShipmentStage::Delivered)
                .await;
        }
        let ask = async |order_id: &str, reason: &str| {
            let preview = market
                .storefront()
                .preview_cancellation(order_id, Units::all())
                .reason(reason);
            preview
                .paths([CancellationPath::ReturnUnopened])
                .await
                .unwrap()
        };
        let preview = ask("A-1", "NO_LONGER_WANTED").await;
        let option = &preview.options[3];
        assert_eq!(
            (option.chosen, option.label),
            (true, Some(LabelState::Issued))
        );
        let deductions = option.deductions.as_ref().unwrap();
        assert_eq!(deductions.outbound_shipping, eur(WAY_OUT));
        assert_eq!(deductions.return_shipping, eur(LABEL));
        assert_eq!(deductions.by_schedule, eur(0));
        let expected = preview.expected_refund.unwrap();
        assert_eq!(
            (&expected.total, &expected.shipping),
            (&eur(GOODS - LABEL), &eur(0))
        );
        let quote = preview.quote.unwrap();

        // The quote binds: what is asked with it is what was shown, or nothing.
        let request = along(
            &market,
            "A-1",
            "NO_LONGER_WANTED",
            CancellationPath::ReturnUnopened,
        )
        .quote(quote);
        let part = request.await.unwrap().cancellation.parts.remove(0);
        assert_eq!(
            (&part.deductions, &part.expected_refund),
            (deductions, &expected)
        );
        let quote = ask("A-2", "NO_LONGER_WANTED").await.quote.unwrap();
        let express = market
            .as_role(Role::Operator, "ops")
            .put_carrier("express", "Express")
            .in_transit_cancel();
        express.return_label("DE", eur(LABEL + 200)).await.unwrap();
        let request = along(
            &market,
            "A-2",
            "NO_LONGER_WANTED",
            CancellationPath::ReturnUnopened,
        )
        .quote(quote);
        market
            .refuses_as(request, Kind::Aborted, "QUOTE_MISMATCH")
            .await;

        // "You *may* be responsible": not where it is the seller who erred.
        let preview = ask("A-2", "NOT_AS_DESCRIBED").await;
        let deductions = preview.options[3].deductions.as_ref().unwrap();
        assert_eq!(
            (&deductions.outbound_shipping, &deductions.return_shipping),
            (&eur(0), &eur(0))
        );
        assert_eq!(preview.expected_refund.unwrap().total, eur(TOTAL));
    });
}

#[test]
fn s001_14_what_was_opened_does_not_go_back_on_sale() {
    use CancellationPath::{ReturnOpened, ReturnUnopened};

    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let cases = [
            ("OPENED", ReturnOpened, GoodsCondition::Opened),
            // Promised as opened: nobody vouches for it, however it looks.
            ("SEALED", ReturnOpened, GoodsCondition::Unopened),
            ("UNWRAPPED", ReturnUnopened, GoodsCondition::Opened),
            ("BROKEN", ReturnUnopened, GoodsCondition::Damaged),
        ];
        for (order_id, path, condition) in cases {
            market
                .order_at(order_id, "express", ShipmentStage::Delivered)
                .await;
            let request = along(&market, order_id, "NO_LONGER_WANTED", path)
                .await
                .unwrap()
                .cancellation;
            // The reason would have the goods go back on sale.
            assert_eq!(request.effects, [CancellationEffect::Restock]);
            if path == ReturnOpened {
                // "You need to communicate with us about the return plan."
                assert_eq!(
                    gates(&request.parts[0])[0],
                    (GateKind::SupportReview, GateState::Open)
                );
                assert_eq!(request.parts[0].return_state, None);
                market
                    .support()
                    .approve_cancellation(&request.cancellation_id)
                    .await
                    .unwrap();
            }
            let shipment_id = format!("{order_id}:s1");
            market
                .warehouse_of(&shipment_id)
                .await
                .receive_parcel(&shipment_id, condition)
                .await
                .unwrap();
            let part = market.part(&format!("{order_id}:c1")).await;
            assert_eq!(
                (part.state, part.receipt.unwrap().condition),
                (PartState::Cancelled, condition)
            );
            assert_eq!(part.effects, []);
            let asked: Vec<_> = market
                .stock_effects(order_id)
                .await
                .into_iter()
                .map(|(_, _, effects)| effects)
                .collect();
            assert_eq!(asked, [vec![]]);
        }
        market
            .order_at("AS-SENT", "express", ShipmentStage::Delivered)
            .await;
        along(&market, "AS-SENT", "NO_LONGER_WANTED", ReturnUnopened)
            .await
            .unwrap();
        market
            .warehouse_of("AS-SENT:s1")
            .await
            .receive_parcel("AS-SENT:s1", GoodsCondition::Unopened)
            .await
            .unwrap();
        assert_eq!(
            market.part("AS-SENT:c1").await.effects,
            [CancellationEffect::Restock]
        );
        // And so it lies there: of five times three that left, three are back.
        stock::projected(&t.database).await;
        let seller = market.seller();
        let there = seller.get_stock("main", "MUG").await.unwrap();
        assert_eq!(there.on_hand_quantity, 3 - 5 * 3);
        let ledger = seller.list_stock_entries("main", "MUG").await.unwrap();
        let mut back: Vec<_> = ledger
            .items
            .into_iter()
            .filter(|entry| {
                matches!(
                    entry.kind,
                    StockEntryKind::PutBack | StockEntryKind::SetAside
                )
            })
            .map(|entry| {
                (
                    entry.order_id.unwrap().to_string(),
                    entry.kind,
                    entry.quantity,
                )
            })
            .collect();
        back.sort_by(|a, b| a.0.cmp(&b.0));
        let aside = |order_id: &str| (order_id.to_owned(), StockEntryKind::SetAside, 3);
        let expected = [
            ("AS-SENT".to_owned(), StockEntryKind::PutBack, 3),
            aside("BROKEN"),
            aside("OPENED"),
            aside("SEALED"),
            aside("UNWRAPPED"),
        ];
        assert_eq!(back, expected);
    });
}

#[test]
fn s001_16_a_parcel_that_is_back_is_paid_for_by_its_time_its_condition_and_its_reason() {
    use CancellationPath::{ReturnOpened, ReturnUnopened};
    use GoodsCondition::{Damaged, Opened, Unopened};

    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let (in_time, too_late) = (hours(24 * 30) - SECOND, hours(24 * 30));
        // Goods at 14.00 with 2.66 tax, of each the percentage without its fractions; less the
        // label, unless the seller erred.
        let cases = [
            (
                "A-1",
                "NO_LONGER_WANTED",
                ReturnUnopened,
                Unopened,
                in_time,
                GOODS - LABEL,
            ),
            (
                "A-2",
                "NO_LONGER_WANTED",
                ReturnUnopened,
                Opened,
                in_time,
                840 + 159 - LABEL,
            ),
            (
                "A-3",
                "NO_LONGER_WANTED",
                ReturnOpened,
                Opened,
                in_time,
                840 + 159 - LABEL,
            ),
            (
                "A-4",
                "NO_LONGER_WANTED",
                ReturnUnopened,
                Damaged,
                in_time,
                560 + 106 - LABEL,
            ),
            (
                "A-5",
                "NOT_AS_DESCRIBED",
                ReturnUnopened,
                Opened,
                in_time,
                TOTAL,
            ),
            (
                "B-1",
                "NO_LONGER_WANTED",
                ReturnUnopened,
                Unopened,
                too_late,
                1_120 + 212 - LABEL,
            ),
            (
                "B-2",
                "WRONG_PURCHASE",
                ReturnOpened,
                Opened,
                too_late,
                560 + 106 - LABEL,
            ),
            (
                "B-3",
                "NOT_AS_DESCRIBED",
                ReturnUnopened,
                Unopened,
                too_late,
                TOTAL,
            ),
        ];
        let delivered = t.now().await;
        for (order_id, reason, path, ..) in cases {
            market
                .order_at(order_id, "express", ShipmentStage::Delivered)
                .await;
            along(&market, order_id, reason, path).await.unwrap();
            if path == ReturnOpened {
                market
                    .support()
                    .approve_cancellation(&format!("{order_id}:c1")[..])
                    .await
                    .unwrap();
            }
        }
        for (order_id, reason, _, condition, after, expected) in cases {
            t.set_clock(delivered + after).await;
            assert!(
                market.order(order_id).await.refunds.is_empty(),
                "no money before the receipt"
            );
            let shipment_id = format!("{order_id}:s1");
            market
                .warehouse_of(&shipment_id)
                .await
                .receive_parcel(&shipment_id, condition)
                .await
                .unwrap();
            let refund = market.refund(order_id).await;
            assert_eq!(
                (refund.state, refund.amount.total),
                (RefundState::Due, eur(expected)),
                "{order_id}"
            );
            let part = market.part(&format!("{order_id}:c1")).await;
            let erred = reason == "NOT_AS_DESCRIBED";
            let kept = |amount: i64| eur(if erred { 0 } else { amount });
            assert_eq!(
                part.deductions.outbound_shipping,
                kept(WAY_OUT),
                "{order_id}"
            );
            assert_eq!(part.deductions.return_shipping, kept(LABEL), "{order_id}");
            assert_eq!(
                part.deductions.by_schedule,
                kept(GOODS - LABEL - expected),
                "{order_id}"
            );
        }
    });
}

#[test]
fn a_parcel_that_never_comes_back_is_never_paid_for() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market
            .order_at("A-1", "express", ShipmentStage::Delivered)
            .await;
        let request = along(
            &market,
            "A-1",
            "NO_LONGER_WANTED",
            CancellationPath::ReturnUnopened,
        )
        .await
        .unwrap();
        let respond_by = request.cancellation.parts[0].gates[0].respond_by.unwrap();
        assert_eq!(respond_by, t.now().await + hours(24 * 60));
        t.set_clock(respond_by).await;
        let over = until("its time is up", async || {
            Some(market.cancellation("A-1:c1").await)
                .filter(|found| found.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(
            (over.state, over.close_reason.as_deref()),
            (CancellationState::Rejected, Some("GATE_TIMED_OUT"))
        );
        assert!(market.order("A-1").await.refunds.is_empty());
        refused(
            market.support().approve_cancellation("A-1:c1").await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );
    });
}
