//! The daily work of a shop, a line each, so that a test says only what it is about.
//!
//! Each helper does one thing in the role of who does it and expects it to succeed.

use belay_client::calls::{CreateOrder, NewBuyer, NewLine, NewShipment};
use belay_client::model::{
    Destination, Event, EventType, Order, PaymentFact, Refund, RequestedCancellation, Shipment,
    TrackingFact,
};
use belay_client::{Belay, Money, Role, Store, Units, reason};

use crate::pages;

/// What the standard order costs, in cents: three mugs (10.00 less nothing, tax 1.90), a pen (5.00
/// less 1.00, tax 0.76), and shipping (4.90, tax 0.93). Ten euros over three mugs leave a
/// remainder, on purpose.
pub const TOTAL: i64 = 2_249;

pub fn eur(minor_units: i64) -> Money {
    Money::new("EUR", minor_units)
}

/// The standard order of a store, ready to be sent or changed: ann buys three mugs and a pen of
/// acme.
pub fn new_order(store: &Store, order_id: &str) -> CreateOrder {
    new_order_of(store, order_id, "ann")
}

/// The standard order of another buyer, whose e-mail address and user name follow from the id.
pub fn new_order_of(store: &Store, order_id: &str, buyer: &str) -> CreateOrder {
    let lines = [
        NewLine::new("MUG", 3, eur(1_000))
            .tax(eur(190))
            .title("Mug, blue"),
        NewLine::new("PEN", 1, eur(500))
            .discount(eur(100))
            .tax(eur(76)),
    ];
    let identity = NewBuyer::new(buyer)
        .email(format!("{buyer}@example.org"))
        .username(format!("{buyer}-1"));
    let order = store.create_order(
        order_id,
        identity,
        "acme",
        Destination::new("DE").city("Berlin"),
        lines,
    );
    order.shipping(eur(490)).shipping_tax(eur(93))
}

/// Records that the whole of a standard order was captured, in one payment: as the payment system
/// of the store, whoever asks.
pub async fn pay(store: &Store, order_id: &str) -> Order {
    let till = store.with_role(Role::Payments, "psp").expect("a role");
    let paid = till
        .record_payment(
            order_id,
            format!("pay-{order_id}"),
            format!("evt-{order_id}"),
            PaymentFact::Captured,
        )
        .amount(eur(TOTAL))
        .method("CREDIT_CARD");
    paid.await
        .unwrap_or_else(|error| panic!("payment of {order_id}: {error}"))
        .value
}

/// One store, and whoever has to do with it. A [`TestServer`] and a [`Market`] are shops, with
/// what is theirs alone.
///
/// [`TestServer`]: crate::TestServer
/// [`Market`]: crate::market::Market
#[derive(Debug)]
pub struct Shop {
    belay: Belay,
    id: &'static str,
}

impl Shop {
    pub(crate) fn new(belay: Belay, id: &'static str) -> Self {
        Self { belay, id }
    }

    pub fn as_role(&self, role: Role, actor: &str) -> Store {
        let caller = self.belay.with_role(role, actor);
        caller.expect("a role to call in").store(self.id)
    }

    pub fn storefront(&self) -> Store {
        self.as_role(Role::Storefront, "web")
    }

    pub fn payments(&self) -> Store {
        self.as_role(Role::Payments, "psp")
    }

    pub fn support(&self) -> Store {
        self.as_role(Role::Support, "sam")
    }

    pub fn seller(&self) -> Store {
        self.as_role(Role::Seller, "acme")
    }

    pub fn operator(&self) -> Store {
        self.as_role(Role::Operator, "ops")
    }

    /// Places the standard order.
    pub async fn place(&self, order_id: &str) -> Order {
        let placed = new_order(&self.storefront(), order_id).await;
        placed
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"))
            .value
    }

    /// Places the standard order in two shipments: two mugs from `main`; a mug and the pen from
    /// `east`, by the carrier that can bring parcels back.
    pub async fn place_split(&self, order_id: &str) -> Order {
        let shipments = [
            NewShipment::new([(1, 2)]),
            NewShipment::new([(1, 1), (2, 1)])
                .warehouse_id("east")
                .carrier_id("express"),
        ];
        let placed = new_order(&self.storefront(), order_id)
            .shipments(shipments)
            .await;
        placed
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"))
            .value
    }

    /// Places the standard order with the carrier that can bring parcels back.
    pub async fn place_interceptable(&self, order_id: &str) -> Order {
        let shipment = NewShipment::new([(1, 3), (2, 1)]).carrier_id("express");
        let placed = new_order(&self.storefront(), order_id)
            .shipments([shipment])
            .await;
        placed
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"))
            .value
    }

    pub async fn pay(&self, order_id: &str) -> Order {
        pay(&self.payments(), order_id).await
    }

    pub async fn place_paid(&self, order_id: &str) -> Order {
        self.place(order_id).await;
        self.pay(order_id).await
    }

    pub async fn place_split_paid(&self, order_id: &str) -> Order {
        self.place_split(order_id).await;
        self.pay(order_id).await
    }

    pub async fn order(&self, order_id: &str) -> Order {
        let order = self.storefront().get_order(order_id).await;
        order.unwrap_or_else(|error| panic!("order {order_id}: {error}"))
    }

    pub async fn shipment(&self, shipment_id: &str) -> Shipment {
        let shipment = self.storefront().get_shipment(shipment_id).await;
        shipment.unwrap_or_else(|error| panic!("shipment {shipment_id}: {error}"))
    }

    /// The warehouse that a shipment leaves from: no other sees it.
    pub async fn warehouse_of(&self, shipment_id: &str) -> Store {
        let warehouse = self.shipment(shipment_id).await.warehouse_id;
        self.as_role(Role::Warehouse, warehouse.as_str())
    }

    /// The carrier that a shipment goes with: no other sees it.
    pub async fn carrier_of(&self, shipment_id: &str) -> Store {
        let carrier = self.shipment(shipment_id).await.carrier_id;
        self.as_role(Role::Carrier, carrier.as_str())
    }

    pub async fn prepare(&self, shipment_id: &str) -> Shipment {
        let prepared = self
            .warehouse_of(shipment_id)
            .await
            .start_preparation(shipment_id)
            .await;
        prepared
            .unwrap_or_else(|error| panic!("preparation of {shipment_id}: {error}"))
            .value
    }

    pub async fn mark_ready(&self, shipment_id: &str) -> Shipment {
        let ready = self
            .warehouse_of(shipment_id)
            .await
            .mark_ready(shipment_id)
            .await;
        ready
            .unwrap_or_else(|error| panic!("{shipment_id} ready: {error}"))
            .value
    }

    /// Dispatches a shipment with the fence that it has now.
    pub async fn ship(&self, shipment_id: &str) -> Shipment {
        let fence = self.shipment(shipment_id).await.fence;
        let dispatched = self
            .warehouse_of(shipment_id)
            .await
            .dispatch_shipment(shipment_id, fence)
            .await;
        dispatched
            .unwrap_or_else(|error| panic!("dispatch of {shipment_id}: {error}"))
            .value
    }

    /// Records that a carrier scanned a shipment. The event's id follows from the fact: the same
    /// scan again is the same event.
    pub async fn scan(&self, shipment_id: &str, fact: TrackingFact) -> Shipment {
        let carrier = self.carrier_of(shipment_id).await;
        let recorded = carrier
            .record_tracking(shipment_id, format!("scan-{fact}"), fact)
            .await;
        recorded
            .unwrap_or_else(|error| panic!("{fact} of {shipment_id}: {error}"))
            .value
    }

    /// A paid standard order whose only shipment has left.
    pub async fn place_shipped(&self, order_id: &str) -> Order {
        self.place_paid(order_id).await;
        self.ship(&format!("{order_id}:s1")).await;
        self.order(order_id).await
    }

    /// Cancels all that is left, as the buyer through the storefront.
    pub async fn cancel(&self, order_id: &str) -> RequestedCancellation {
        self.cancel_units(order_id, Units::all()).await
    }

    /// Cancels some units, as the buyer through the storefront.
    pub async fn cancel_units(&self, order_id: &str, units: Units) -> RequestedCancellation {
        let request = self
            .storefront()
            .request_cancellation(order_id, units)
            .reason(reason::NO_LONGER_WANTED);
        request
            .await
            .unwrap_or_else(|error| panic!("cancellation of {order_id}: {error}"))
    }

    /// Claims one refund at most.
    pub async fn claim(&self, worker_id: &str) -> Option<Refund> {
        let claimed = self
            .payments()
            .claim_refunds(worker_id)
            .max_refunds(1)
            .await;
        claimed
            .unwrap_or_else(|error| panic!("claim by {worker_id}: {error}"))
            .pop()
    }

    /// All that came to pass with an order, oldest first.
    pub async fn history(&self, order_id: &str) -> Vec<Event> {
        let store = self.storefront();
        let pages =
            pages(async |token| store.list_order_history(order_id).page_token(token).await).await;
        pages.into_iter().flatten().collect()
    }

    /// The events of one type.
    pub async fn events(&self, order_id: &str, event_type: EventType) -> Vec<Event> {
        let mut events = self.history(order_id).await;
        events.retain(|event| event.event_type == event_type);
        events
    }
}
