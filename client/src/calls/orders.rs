//! Orders, their payments and their history: for storefronts, payment systems and support.

use belay_proto::v1 as pb;
use belay_proto::v1::find_orders_request::By;
use jiff::Timestamp;

use self::new_order::{NewBuyer, NewLine, NewShipment};
use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{BuyerId, IntoId, OrderId, RefundId, SellerId};
use crate::model::{
    Destination, Event, FoundOrders, Money, Order, OrderState, OrdersSummary, PaymentFact, Written,
    read_written,
};
use crate::store::Store;
use crate::wire::{FromWire, read, time_to_wire};

pub(crate) mod new_order;

/// # Orders and payments
impl Store {
    /// Creates an order that the storefront has taken: it awaits payment, its shipments are
    /// planned, and its money is allocated to units.
    ///
    /// All money of the order has one currency. Idempotent by order id: a repeat with the same
    /// content returns the present order. Fails with `InvalidField`, `CurrencyMismatch`,
    /// `UnknownWarehouse`, `UnknownCarrier`, `OrderAlreadyExists`, `OutOfScope`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::{NewBuyer, NewLine};
    /// use belay_client::{Money, model::Destination};
    ///
    /// let eur = |cents| Money::new("EUR", cents);
    /// let mugs = NewLine::new("MUG-BLUE", 2, eur(2_400)).title("Mug, blue");
    /// let tea = NewLine::new("TEA-100", 1, eur(650)).tax(eur(46));
    /// let buyer = NewBuyer::new("b-7").email("ada@example.org");
    /// let to = Destination::new("DE").city("Berlin");
    /// let order = store.create_order("A-1", buyer, "acme", to, [mugs, tea]).shipping(eur(490)).await?;
    /// println!("{} costs {}", order.order_id, order.totals.total);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_order(
        &self,
        order_id: impl IntoId<OrderId>,
        buyer: NewBuyer,
        seller_id: impl IntoId<SellerId>,
        destination: Destination,
        lines: impl IntoIterator<Item = NewLine>,
    ) -> CreateOrder {
        let (store_id, mut errors) = self.begin();
        errors.within("buyer", buyer.errors);
        let request = pb::CreateOrderRequest {
            store_id,
            order_id: errors.id("order_id", order_id),
            buyer: Some(buyer.message),
            seller_id: errors.id("seller_id", seller_id),
            destination: Some(destination.into_wire()),
            lines: lines.into_iter().map(|line| line.0).collect(),
            ..Default::default()
        };
        CreateOrder(Call::new(&self.belay, request, errors))
    }

    /// Gets one order with everything that belongs to it. Fails with `OrderNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let order = store.get_order("A-1").await?;
    /// println!("{}: cancellable {}", order.display_state, order.cancellable_now);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_order(&self, order_id: impl IntoId<OrderId>) -> GetOrder {
        let (store_id, mut errors) = self.begin();
        let order_id = errors.id("order_id", order_id);
        GetOrder(Call::new(
            &self.belay,
            pb::GetOrderRequest { store_id, order_id },
            errors,
        ))
    }

    /// Lists orders, newest first. All given filters must match. Fails with `PageTokenInvalid`.
    ///
    /// `.await` gives one page; [`pages`](ListOrders::pages) and [`stream`](ListOrders::stream) go
    /// on to the end.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::OrderState;
    ///
    /// let page = store.list_orders().buyer_id("b-7").state(OrderState::ToShip).page_size(20).await?;
    /// for order in page {
    ///     println!("{}", order.order_id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_orders(&self) -> ListOrders {
        let (store_id, errors) = self.begin();
        ListOrders(Call::new(
            &self.belay,
            pb::ListOrdersRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Finds orders by what people have in hand: an e-mail address, a tracking number, or the
    /// beginning of an order id. Newest first. Fails with `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::OrderSearch;
    ///
    /// let found = store.find_orders(OrderSearch::tracking_number("1Z999AA10123456784")).await?;
    /// for order in found.orders {
    ///     println!("{} {}", order.order_id, order.display_state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_orders(&self, search: OrderSearch) -> FindOrders {
        let (store_id, errors) = self.begin();
        let request = pb::FindOrdersRequest {
            store_id,
            by: Some(search.0),
            ..Default::default()
        };
        FindOrders(Call::new(&self.belay, request, errors))
    }

    /// Counts orders by state, for the tabs of a list. All given filters must match; without
    /// filters, all orders of the store count. Each count is exact up to 10,000.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::OrderState;
    ///
    /// let tabs = store.summarize_orders().buyer_id("b-7").await?;
    /// println!("{} orders, {} to be shipped", tabs.total, tabs.of(OrderState::ToShip));
    /// # Ok(())
    /// # }
    /// ```
    pub fn summarize_orders(&self) -> SummarizeOrders {
        let (store_id, errors) = self.begin();
        SummarizeOrders(Call::new(
            &self.belay,
            pb::SummarizeOrdersRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Records a fact about a payment. It is recorded in any state of the order, and the order
    /// follows.
    ///
    /// Both ids are the provider's, 1 to 128 printable ASCII characters without spaces. The first
    /// fact with a payment's id opens the payment; an event's id counts once for the payment. Fails
    /// with `OrderNotFound`, `RefundNotFound`, `RequestIdReused`, `CurrencyMismatch`, and
    /// `LimitReached` for the 21st payment without an outcome.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::{Money, model::PaymentFact};
    ///
    /// let paid = store
    ///     .record_payment("A-1", "pay-77", "evt-1", PaymentFact::Captured)
    ///     .amount(Money::new("EUR", 3_586))
    ///     .method("CREDIT_CARD")
    ///     .await?;
    /// println!("{}", paid.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_payment(
        &self,
        order_id: impl IntoId<OrderId>,
        provider_payment_id: impl Into<String>,
        provider_event_id: impl Into<String>,
        fact: PaymentFact,
    ) -> RecordPayment {
        let (store_id, mut errors) = self.begin();
        let request = pb::RecordPaymentRequest {
            store_id,
            order_id: errors.id("order_id", order_id),
            provider_payment_id: provider_payment_id.into(),
            provider_event_id: provider_event_id.into(),
            fact: fact.to_wire(),
            ..Default::default()
        };
        RecordPayment(Call::new(&self.belay, request, errors))
    }

    /// Lists the events of an order, oldest first. Fails with `OrderNotFound`, `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for event in store.list_order_history("A-1").await? {
    ///     println!("{} {}", event.event_time, event.event_type);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_order_history(&self, order_id: impl IntoId<OrderId>) -> ListOrderHistory {
        let (store_id, mut errors) = self.begin();
        let order_id = errors.id("order_id", order_id);
        let request = pb::ListOrderHistoryRequest {
            store_id,
            order_id,
            ..Default::default()
        };
        ListOrderHistory(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::create_order`].
    CreateOrder(pb::CreateOrderRequest) -> Written<Order>, [request_id, metadata, external_references];
    |response, position| read_written(response.order, "order", &response.request_id, position)
}
call! {
    /// Made by [`Store::get_order`].
    GetOrder(pb::GetOrderRequest) -> Order;
    |response| read(response.order, "order")
}
list! {
    /// Made by [`Store::list_orders`].
    ListOrders(pb::ListOrdersRequest) -> Order, [freshness];
    orders
}
call! {
    /// Made by [`Store::find_orders`].
    FindOrders(pb::FindOrdersRequest) -> FoundOrders, [freshness];
    |response| FoundOrders::from_wire(response)
}
call! {
    /// Made by [`Store::summarize_orders`].
    SummarizeOrders(pb::SummarizeOrdersRequest) -> OrdersSummary, [freshness];
    |response| OrdersSummary::from_wire(response)
}
call! {
    /// Made by [`Store::record_payment`].
    RecordPayment(pb::RecordPaymentRequest) -> Written<Order>, [request_id];
    |response, position| read_written(response.order, "order", &response.request_id, position)
}
list! {
    /// Made by [`Store::list_order_history`].
    ListOrderHistory(pb::ListOrderHistoryRequest) -> Event;
    events
}

/// A search for orders by what people have in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSearch(By);

impl OrderSearch {
    /// By the buyer's e-mail address; case and blanks around it do not matter. At most 254
    /// characters.
    pub fn buyer_email(address: impl Into<String>) -> Self {
        Self(By::BuyerEmail(address.into()))
    }

    /// By the tracking number of one of the shipments, whole: 1 to 128 printable ASCII characters
    /// without spaces.
    pub fn tracking_number(number: impl Into<String>) -> Self {
        Self(By::TrackingNumber(number.into()))
    }

    /// By the beginning of the order id: `[A-Za-z0-9._-]{1,64}`. Of the ids that begin so the
    /// first 5,000 are looked at.
    pub fn order_id_prefix(prefix: impl Into<String>) -> Self {
        Self(By::OrderIdPrefix(prefix.into()))
    }
}

impl FindOrders {
    /// The number of orders of a page, at most: 1 to 100; 20 unless set.
    pub fn page_size(mut self, page_size: i32) -> Self {
        self.0.request.page_size = page_size;
        self
    }

    /// The `next_page_token` of the page before, with the same search.
    pub fn page_token(mut self, page_token: impl Into<String>) -> Self {
        self.0.request.page_token = page_token.into();
        self
    }
}

impl ListOrderHistory {
    /// With the requests that were rejected, in their place by time, as events of the type
    /// [`RequestRejected`](crate::model::EventType::RequestRejected). Warehouses and carriers get
    /// none.
    pub fn include_rejected_requests(mut self) -> Self {
        self.0.request.include_rejected_requests = true;
        self
    }
}

impl CreateOrder {
    /// The buyer's charge for shipping, without tax. Nothing unless set.
    pub fn shipping(mut self, amount: Money) -> Self {
        self.0.request.shipping.get_or_insert_default().amount = Some(amount.to_wire());
        self
    }

    /// The tax on shipping. Nothing unless set.
    pub fn shipping_tax(mut self, tax: Money) -> Self {
        self.0.request.shipping.get_or_insert_default().tax = Some(tax.to_wire());
        self
    }

    /// The shipments, at most 50; every unit must be in exactly one. Unless set: one shipment with
    /// every unit, from the store's default warehouse with its default carrier.
    pub fn shipments(mut self, shipments: impl IntoIterator<Item = NewShipment>) -> Self {
        self.0.request.shipments.clear();
        for (index, shipment) in shipments.into_iter().enumerate() {
            self.0
                .errors
                .within(&format!("shipments[{index}]"), shipment.errors);
            self.0.request.shipments.push(shipment.message);
        }
        self
    }
}

impl ListOrders {
    /// Only orders of this buyer.
    pub fn buyer_id(mut self, buyer_id: impl IntoId<BuyerId>) -> Self {
        self.0.request.buyer_id = self.0.errors.id("buyer_id", buyer_id);
        self
    }

    /// Only orders of this seller.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.errors.id("seller_id", seller_id);
        self
    }

    /// Only orders in this state.
    pub fn state(mut self, state: OrderState) -> Self {
        self.0.request.state = state.to_wire();
        self
    }

    /// Only orders with a line of this SKU.
    pub fn sku(mut self, sku: impl Into<String>) -> Self {
        self.0.request.sku = sku.into();
        self
    }

    /// Only orders to this country, an ISO 3166-1 alpha-2 code.
    pub fn destination_country(mut self, country_code: impl Into<String>) -> Self {
        self.0.request.destination_country = country_code.into();
        self
    }

    /// Only orders to this city, spelt as in the order. Needs its country.
    pub fn destination_city(mut self, city: impl Into<String>) -> Self {
        self.0.request.destination_city = city.into();
        self
    }

    /// Only orders created at this instant or later.
    pub fn create_time_from(mut self, instant: Timestamp) -> Self {
        self.0.request.create_time_from = Some(time_to_wire(instant));
        self
    }

    /// Only orders created before this instant.
    pub fn create_time_before(mut self, instant: Timestamp) -> Self {
        self.0.request.create_time_before = Some(time_to_wire(instant));
        self
    }
}

impl SummarizeOrders {
    /// Only orders of this buyer.
    pub fn buyer_id(mut self, buyer_id: impl IntoId<BuyerId>) -> Self {
        self.0.request.buyer_id = self.0.errors.id("buyer_id", buyer_id);
        self
    }

    /// Only orders of this seller.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.errors.id("seller_id", seller_id);
        self
    }
}

impl RecordPayment {
    /// The amount of this fact alone, greater than zero; amounts add up. Required for authorised,
    /// captured, refunded outside and chargeback; optional for voided and a reversed chargeback,
    /// which without it are about the whole amount; otherwise not to be set. A refund outside or a
    /// chargeback may be in another currency than the order's.
    pub fn amount(mut self, amount: Money) -> Self {
        self.0.request.amount = Some(amount.to_wire());
        self
    }

    /// The payment method: `[A-Z][A-Z0-9_]{0,62}`, such as `CREDIT_CARD`. Required with the first
    /// fact of a payment, later ignored.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.0.request.method = method.into();
        self
    }

    /// The provider's id of the movement: of the capture, the refund or the dispute. Two messages
    /// with the same fact and movement count once, whatever their event ids.
    pub fn movement_id(mut self, movement_id: impl Into<String>) -> Self {
        self.0.request.movement_id = movement_id.into();
        self
    }

    /// The refund of Belay's that the provider's message is about, which it settles. Only for money
    /// refunded outside.
    pub fn refund_id(mut self, refund_id: impl IntoId<RefundId>) -> Self {
        self.0.request.refund_id = self.0.errors.id("refund_id", refund_id);
        self
    }

    /// The time of the fact, as the provider reports it. Now unless set. Whether a payment is in
    /// time depends on when Belay receives the fact.
    pub fn occurred_time(mut self, instant: Timestamp) -> Self {
        self.0.request.occurred_time = Some(time_to_wire(instant));
        self
    }
}
