//! Callers of the service: the generated client over a handful of HTTP/2 connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use belay_client::{Belay, OrderId, Role};
use belay_proto::v1;
use belay_proto::v1::cancellation_service_client::CancellationServiceClient;
use belay_proto::v1::order_service_client::OrderServiceClient;
use belay_proto::v1::store_service_client::StoreServiceClient;
use belay_wire::freshness::{MAX_STALENESS, READ_FROM};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::load::{Turn, Worker};
use crate::secondaries::STALENESS;
use crate::shop::{LISTED, LISTED_BUYER, OrderNumber, PAGE, Purpose, STORE, Shop};

const CURRENCY: &str = "EUR";
/// Quantity, goods and tax of each line.
const LINES: [(i32, i64, i64); 2] = [(2, 3_998, 760), (1, 1_500, 285)];
const SHIPPING: (i64, i64) = (490, 93);
/// A caller that waits longer gives up, and the bench with it.
const DEADLINE: Duration = Duration::from_secs(30);

/// Connections that the callers share.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Vec<Connection>);

/// One connection of the generated client, and one of the client crate.
#[derive(Debug, Clone)]
struct Connection {
    channel: Channel,
    store: belay_client::Store,
}

impl Connections {
    pub(crate) async fn open(url: &str, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let connected = Endpoint::from_shared(url.to_owned())?.connect().await;
            let channel = connected.context("the server does not answer")?;
            let belay = Belay::builder(url).role(Role::Storefront, "bench");
            let store = belay.timeout(DEADLINE).build()?.store(STORE);
            connections.push(Connection { channel, store });
        }
        Ok(Self(connections))
    }

    pub(crate) fn callers(&self, count: usize, task: &Task, shop: &Arc<Shop>) -> Vec<Caller> {
        (0..count)
            .map(|index| {
                Caller::new(
                    self.0[index % self.0.len()].clone(),
                    task.clone(),
                    shop.clone(),
                )
            })
            .collect()
    }

    /// One of them.
    pub(crate) fn channel(&self, index: usize) -> Channel {
        self.0[index % self.0.len()].channel.clone()
    }

    /// The store of the bench, with one warehouse and one carrier.
    pub(crate) async fn create_store(&self) -> anyhow::Result<()> {
        let mut stores = StoreServiceClient::new(self.0[0].channel.clone());
        let create = v1::CreateStoreRequest {
            store_id: STORE.to_owned(),
            display_name: "Bench".to_owned(),
            time_zone: "UTC".to_owned(),
            policy: Some(v1::create_store_request::Policy::Preset(
                "independent-site".to_owned(),
            )),
            default_warehouse_id: "W".to_owned(),
            default_carrier_id: "C".to_owned(),
            ..Default::default()
        };
        stores.create_store(request(create, "operator")).await?;
        let warehouse = v1::Warehouse {
            warehouse_id: "W".to_owned(),
            display_name: "Warehouse".to_owned(),
            time_zone: "UTC".to_owned(),
            ..Default::default()
        };
        let put = v1::PutWarehouseRequest {
            store_id: STORE.to_owned(),
            warehouse: Some(warehouse),
        };
        stores.put_warehouse(request(put, "operator")).await?;
        let carrier = v1::Carrier {
            carrier_id: "C".to_owned(),
            display_name: "Carrier".to_owned(),
            ..Default::default()
        };
        let put = v1::PutCarrierRequest {
            store_id: STORE.to_owned(),
            carrier: Some(carrier),
        };
        stores.put_carrier(request(put, "operator")).await?;
        Ok(())
    }

    pub(crate) async fn get_order(&self, order: OrderNumber) -> anyhow::Result<v1::Order> {
        let get = v1::GetOrderRequest {
            store_id: STORE.to_owned(),
            order_id: order.order_id(),
        };
        let answer = OrderServiceClient::new(self.0[0].channel.clone())
            .get_order(request(get, "storefront"))
            .await?;
        answer
            .into_inner()
            .order
            .context("an answer without an order")
    }
}

/// The task of a caller, which it does over and over.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// So many orders by all callers together.
    Create(Arc<AtomicU64>),
    /// Pays what is placed.
    Pay,
    /// Cancels what is paid.
    Cancel,
    /// So many orders of one buyer by all callers together; nothing else is done to them.
    Listed(Arc<AtomicU64>),
    /// Reads what is cancelled.
    Get,
    /// The same through the client crate.
    ClientGet,
    /// Reads the orders of one buyer, page by page, over and over.
    List,
    /// The same, from a secondary where one may answer: so many came from there.
    ListAnywhere(Arc<AtomicU64>),
}

impl Task {
    pub(crate) fn create_without_end() -> Self {
        Self::Create(Arc::new(AtomicU64::new(u64::MAX)))
    }

    pub(crate) fn create(count: u64) -> Self {
        Self::Create(Arc::new(AtomicU64::new(count)))
    }

    pub(crate) fn listed() -> Self {
        Self::Listed(Arc::new(AtomicU64::new(LISTED)))
    }
}

/// One caller, with one call open at a time.
#[derive(Debug)]
pub(crate) struct Caller {
    task: Task,
    shop: Arc<Shop>,
    orders: OrderServiceClient<Channel>,
    cancellations: CancellationServiceClient<Channel>,
    store: belay_client::Store,
    /// Of the next page.
    page_token: String,
}

impl Caller {
    fn new(connection: Connection, task: Task, shop: Arc<Shop>) -> Self {
        let Connection { channel, store } = connection;
        let orders = OrderServiceClient::new(channel.clone());
        let cancellations = CancellationServiceClient::new(channel);
        Self {
            task,
            shop,
            orders,
            cancellations,
            store,
            page_token: String::new(),
        }
    }

    pub(crate) async fn create(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        self.orders
            .create_order(request(creation(order), "storefront"))
            .await
            .context("CreateOrder")?;
        Ok(())
    }

    async fn create_listed(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        let buyer = v1::Buyer {
            id: LISTED_BUYER.to_owned(),
            ..Default::default()
        };
        let create = v1::CreateOrderRequest {
            buyer: Some(buyer),
            ..creation(order)
        };
        self.orders
            .create_order(request(create, "storefront"))
            .await
            .context("CreateOrder")?;
        Ok(())
    }

    async fn get(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        let get = v1::GetOrderRequest {
            store_id: STORE.to_owned(),
            order_id: order.order_id(),
        };
        let answer = self
            .orders
            .get_order(request(get, "storefront"))
            .await
            .context("GetOrder")?
            .into_inner();
        anyhow::ensure!(
            answer.order.is_some_and(|order| order.refunds.len() == 1),
            "an order without its refund"
        );
        Ok(())
    }

    async fn client_get(&self, order: OrderNumber) -> anyhow::Result<()> {
        let order_id = OrderId::parse(order.order_id())?;
        let order = self.store.get_order(&order_id).await?;
        anyhow::ensure!(order.refunds.len() == 1, "an order without its refund");
        Ok(())
    }

    /// Says where it was read, if the answer does.
    async fn list(
        &mut self,
        headers: &[(&'static str, &'static str)],
    ) -> anyhow::Result<Option<String>> {
        let list = v1::ListOrdersRequest {
            store_id: STORE.to_owned(),
            buyer_id: LISTED_BUYER.to_owned(),
            page_size: i32::try_from(PAGE)?,
            page_token: std::mem::take(&mut self.page_token),
            ..Default::default()
        };
        let mut list = request(list, "storefront");
        for (name, value) in headers {
            let value = MetadataValue::from_static(value);
            list.metadata_mut().insert(*name, value);
        }
        let (told, page, _) = self
            .orders
            .list_orders(list)
            .await
            .context("ListOrders")?
            .into_parts();
        anyhow::ensure!(
            u64::try_from(page.orders.len())? == PAGE,
            "a page that is not full"
        );
        self.page_token = page.next_page_token;
        let from = told.get(READ_FROM).and_then(|from| from.to_str().ok());
        Ok(from.map(ToOwned::to_owned))
    }

    pub(crate) async fn pay(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        self.orders
            .record_payment(request(payment(order), "payments"))
            .await
            .context("RecordPayment")?;
        Ok(())
    }

    pub(crate) async fn cancel(&mut self, order: OrderNumber) -> anyhow::Result<()> {
        let answer = self
            .cancellations
            .request_cancellation(request(cancellation(order), "storefront"))
            .await;
        let state = answer
            .context("RequestCancellation")?
            .into_inner()
            .order_state();
        anyhow::ensure!(
            state == v1::OrderState::Cancelled,
            "{} is {} after it",
            order.order_id(),
            state.as_str_name()
        );
        Ok(())
    }
}

impl Worker for Caller {
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        match &self.task {
            Task::Create(left) => {
                let one_less = |left: u64| left.checked_sub(1);
                if left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_err()
                {
                    return Ok(Turn::NothingLeft);
                }
                let order = self.shop.new_order();
                self.create(order).await?;
                self.shop.placed.put(order);
            }
            Task::Pay => {
                let Some(order) = self.shop.placed.take() else {
                    return Ok(Turn::NothingLeft);
                };
                self.pay(order).await?;
                self.shop.paid.put(order);
            }
            Task::Cancel => {
                let Some(order) = self.shop.paid.take() else {
                    return Ok(Turn::NothingLeft);
                };
                self.cancel(order).await?;
                self.shop.cancelled.put(order);
            }
            Task::Listed(left) => {
                let one_less = |left: u64| left.checked_sub(1);
                if left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_err()
                {
                    return Ok(Turn::NothingLeft);
                }
                let order = self.shop.new_order();
                self.create_listed(order).await?;
                self.shop.listed.put(order);
            }
            Task::Get => {
                let order = self.shop.cancelled.next().context("no order to read")?;
                self.get(order).await?;
            }
            Task::ClientGet => {
                let order = self.shop.cancelled.next().context("no order to read")?;
                self.client_get(order).await?;
            }
            Task::List => {
                self.list(&[]).await?;
            }
            Task::ListAnywhere(there) => {
                let there = there.clone();
                let from = self.list(&[(MAX_STALENESS, STALENESS)]).await?;
                if from.as_deref() == Some("secondary") {
                    there.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(Turn::Done)
    }
}

pub(crate) fn request<T>(message: T, role: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("belay-role", MetadataValue::from_static(role));
    request.set_timeout(DEADLINE);
    request
}

fn money(minor_units: i64) -> Option<v1::Money> {
    Some(v1::Money {
        currency_code: CURRENCY.to_owned(),
        minor_units,
    })
}

/// Two lines in one shipment.
fn creation(order: OrderNumber) -> v1::CreateOrderRequest {
    let line = |(number, (quantity, goods, tax)): (i32, (i32, i64, i64))| v1::NewLine {
        sku: format!("SKU-{number:04}"),
        title: format!("Something worth ordering, model {number}"),
        quantity,
        goods: money(goods),
        discount: None,
        tax: money(tax),
    };
    v1::CreateOrderRequest {
        store_id: STORE.to_owned(),
        request_id: order.request_id(Purpose::Create).to_string(),
        order_id: order.order_id(),
        buyer: Some(v1::Buyer {
            id: order.buyer_id(),
            email: format!("{}@example.com", order.buyer_id()),
            username: String::new(),
        }),
        seller_id: "acme".to_owned(),
        destination: Some(v1::Destination {
            country_code: "DE".to_owned(),
            region: "Berlin".to_owned(),
            city: "Berlin".to_owned(),
        }),
        lines: (1..).zip(LINES).map(line).collect(),
        shipping: Some(v1::ShippingCharge {
            amount: money(SHIPPING.0),
            tax: money(SHIPPING.1),
        }),
        shipments: Vec::new(),
        metadata: BTreeMap::new(),
        external_references: Vec::new(),
    }
}

/// The whole sum, captured.
fn payment(order: OrderNumber) -> v1::RecordPaymentRequest {
    let total =
        LINES.iter().map(|(_, goods, tax)| goods + tax).sum::<i64>() + SHIPPING.0 + SHIPPING.1;
    v1::RecordPaymentRequest {
        store_id: STORE.to_owned(),
        request_id: order.request_id(Purpose::Pay).to_string(),
        order_id: order.order_id(),
        provider_payment_id: format!("p-{}", order.digits()),
        provider_event_id: format!("e-{}", order.digits()),
        fact: v1::PaymentFact::Captured.into(),
        amount: money(total),
        method: "CREDIT_CARD".to_owned(),
        ..Default::default()
    }
}

/// Everything, as the buyer asks.
fn cancellation(order: OrderNumber) -> v1::RequestCancellationRequest {
    v1::RequestCancellationRequest {
        store_id: STORE.to_owned(),
        request_id: order.request_id(Purpose::Cancel).to_string(),
        order_id: order.order_id(),
        selection: Some(v1::request_cancellation_request::Selection::All(
            v1::AllUnits {},
        )),
        reason: "NO_LONGER_WANTED".to_owned(),
        ..Default::default()
    }
}
