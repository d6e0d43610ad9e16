//! Marketplaces: a store of another preset, with sellers' and partners' carriers and a warehouse
//! abroad, and what happens there all day, a line each.
//!
//! Each helper does one thing in the role of who does it and expects it to succeed; a caller is
//! always one who has to do with the shipment, for nobody else sees it.

use std::ops::Deref;

use belay_client::calls::{FirstPolicy, NewBuyer, NewLine, NewShipment, RequestCancellation};
use belay_client::model::{
    Cancellation, CancellationEffect, CancellationPart, Destination, EventDetail, EventType,
    GateKind, GateState, Order, PartState, PaymentFact, Refund, ShipmentStage, TrackingFact,
};
use belay_client::{Error, Kind, Role, Units};

use crate::shop::{Shop, eur, new_order};
use crate::{TestServer, refused};

/// The id of a [`Market`]'s store.
pub const MARKET: &str = "market";

/// What the standard order's goods cost with their tax: what comes back when the way out is not
/// paid back.
pub const GOODS: i64 = 1_666;
/// What its way out costs, with its tax.
pub const WAY_OUT: i64 = 583;
/// What a return label of the carrier `express` costs.
pub const LABEL: i64 = 595;

/// A store of a preset. Its warehouse `main` is in Shanghai. Of its carriers, `standard` and
/// `express` are the sellers' own; `partner` and `china-post` deliver for the marketplace.
/// `express` and `partner` can bring parcels back, and `express` has return labels for Germany.
#[derive(Debug)]
pub struct Market<'t> {
    t: &'t TestServer,
    shop: Shop,
}

impl Deref for Market<'_> {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl TestServer {
    pub async fn open_market(&self, policy: FirstPolicy) -> Market<'_> {
        self.create_shop(MARKET, policy).await;
        let shop = self.shop(MARKET);
        let market = Market { t: self, shop };
        let store = market.as_role(Role::Operator, "ops");
        store
            .put_warehouse("main", "Main")
            .time_zone("Asia/Shanghai")
            .country_code("CN")
            .await
            .expect("a warehouse");
        let express = store
            .put_carrier("express", "Express")
            .in_transit_cancel()
            .return_label("DE", eur(LABEL));
        express.await.expect("a carrier");
        let partner = store
            .put_carrier("partner", "Partner")
            .partner_delivery()
            .in_transit_cancel();
        partner.await.expect("a carrier");
        store
            .put_carrier("china-post", "China Post")
            .partner_delivery()
            .await
            .expect("a carrier");
        market
    }
}

impl Market<'_> {
    /// Places the standard order, to be sent by this carrier from `main`.
    pub async fn place(&self, order_id: &str, carrier_id: &str) -> Order {
        let shipment = NewShipment::new([(1, 3), (2, 1)]).carrier_id(carrier_id);
        let placed = new_order(&self.storefront(), order_id)
            .shipments([shipment])
            .await;
        placed
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"))
            .value
    }

    /// Places an order of one mug for 10.00 to this country, to be sent by this carrier from
    /// `main`, and pays it.
    pub async fn place_paid_to(&self, country_code: &str, order_id: &str, carrier_id: &str) {
        let destination = Destination::new(country_code);
        let order = self.storefront().create_order(
            order_id,
            NewBuyer::new("ann"),
            "acme",
            destination,
            [NewLine::new("MUG", 1, eur(1_000))],
        );
        let shipment = NewShipment::new([(1, 1)]).carrier_id(carrier_id);
        order
            .shipments([shipment])
            .await
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"));
        let payments = self.as_role(Role::Payments, "psp");
        let paid = payments.record_payment(
            order_id,
            format!("pay-{order_id}"),
            "paid",
            PaymentFact::Captured,
        );
        let paid = paid.amount(eur(1_000)).method("PAYPAL").await;
        paid.unwrap_or_else(|error| panic!("payment of {order_id}: {error}"));
    }

    pub async fn place_paid(&self, order_id: &str, carrier_id: &str) -> Order {
        self.place(order_id, carrier_id).await;
        self.pay(order_id).await
    }

    /// A paid standard order whose only shipment, by this carrier, has come to this stage the usual
    /// way.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the stages that are reached some other way fail the last line"
    )]
    pub async fn order_at(&self, order_id: &str, carrier_id: &str, stage: ShipmentStage) -> Order {
        self.place_paid(order_id, carrier_id).await;
        let shipment_id = format!("{order_id}:s1");
        if stage == ShipmentStage::Preparing {
            self.prepare(&shipment_id).await;
        } else if stage == ShipmentStage::Ready {
            self.mark_ready(&shipment_id).await;
        } else if stage != ShipmentStage::Planned {
            self.ship(&shipment_id).await;
        }
        let scans = [
            (ShipmentStage::Delivered, TrackingFact::Delivered),
            (ShipmentStage::Lost, TrackingFact::Lost),
            (ShipmentStage::Returning, TrackingFact::Returning),
            (ShipmentStage::Returned, TrackingFact::Returned),
        ];
        if let Some((_, fact)) = scans.into_iter().find(|(to, _)| *to == stage) {
            self.scan(&shipment_id, fact).await;
        }
        let order = self.order(order_id).await;
        assert_eq!(order.shipments[0].stage, stage);
        order
    }

    /// The buyer's request to cancel all of an order.
    pub fn buyers_request(&self, order_id: &str, reason: &str) -> RequestCancellation {
        self.storefront()
            .request_cancellation(order_id, Units::all())
            .reason(reason)
    }

    /// The seller's.
    pub fn sellers_request(&self, order_id: &str, reason: &str) -> RequestCancellation {
        self.seller()
            .request_cancellation(order_id, Units::all())
            .reason(reason)
    }

    /// A request that is refused by order, policy or state, and leaves nothing behind but its
    /// answer.
    pub async fn refuses(&self, request: RequestCancellation, reason: &str) -> Error {
        self.refuses_as(request, Kind::Rejected, reason).await
    }

    /// A request that is refused so, and leaves nothing behind but its answer.
    pub async fn refuses_as(
        &self,
        request: RequestCancellation,
        kind: Kind,
        reason: &str,
    ) -> Error {
        let before = self.t.database.snapshot().await.without_answers();
        let error = refused(request.await, kind, reason);
        assert_eq!(
            self.t.database.snapshot().await.without_answers(),
            before,
            "{error} has left something behind"
        );
        error
    }

    pub async fn stage(&self, shipment_id: &str) -> ShipmentStage {
        self.shipment(shipment_id).await.stage
    }

    pub async fn cancellation(&self, cancellation_id: &str) -> Cancellation {
        let found = self.storefront().get_cancellation(cancellation_id).await;
        found
            .unwrap_or_else(|error| panic!("cancellation {cancellation_id}: {error}"))
            .cancellation
    }

    /// The only part of a cancellation.
    pub async fn part(&self, cancellation_id: &str) -> CancellationPart {
        let mut parts = self.cancellation(cancellation_id).await.parts;
        assert_eq!(parts.len(), 1, "{parts:?}");
        parts.remove(0)
    }

    /// The only refund of an order.
    pub async fn refund(&self, order_id: &str) -> Refund {
        let mut refunds = self.order(order_id).await.refunds;
        assert_eq!(refunds.len(), 1, "{refunds:?}");
        refunds.remove(0)
    }

    /// What ended parts of an order asked of the stock: of which shipment, how many units of which
    /// lines, and what.
    pub async fn stock_effects(
        &self,
        order_id: &str,
    ) -> Vec<(String, Vec<(String, i32)>, Vec<CancellationEffect>)> {
        let ended = self
            .events(order_id, EventType::PartEnded)
            .await
            .into_iter()
            .filter_map(|event| match event.detail {
                Some(EventDetail::PartEnded {
                    shipment_id,
                    state: PartState::Cancelled,
                    contents,
                    effects,
                    ..
                }) => {
                    let contents = contents
                        .into_iter()
                        .map(|content| (content.line_id.to_string(), content.quantity));
                    Some((shipment_id.to_string(), contents.collect(), effects))
                }
                _ => None,
            });
        ended.collect()
    }
}

/// What a part waits for or waited for, in order.
pub fn gates(part: &CancellationPart) -> Vec<(GateKind, GateState)> {
    part.gates
        .iter()
        .map(|gate| (gate.kind, gate.state))
        .collect()
}

/// The document of a preset, to be changed.
pub fn preset(name: &str) -> String {
    let document = belay_domain::presets::find(name);
    document
        .unwrap_or_else(|| panic!("the preset {name} ships"))
        .to_owned()
}
