//! Reads: single things, lists with their pages, summaries and histories, by any caller.

use belay_proto::v1 as pb;

use super::known::{BUYERS, CARRIERS, Run, SELLERS, SKUS, WAREHOUSES};
use super::pair::Caller;

/// Pages of one list that are read.
pub(crate) const PAGES_MAX: usize = 40;

/// Reads a list page by page, sometimes with a token that belongs to another list.
macro_rules! walk {
    ($run:ident, $caller:expr, $request:expr) => {{
        let (caller, mut request) = ($caller, $request);
        if !$run.page_tokens.is_empty() && $run.random.chance(4) {
            let token = $run.random.pick(&$run.page_tokens);
            request.page_token = $run.random.pick(&[token, "00".to_owned()]);
        }
        for _ in 0..crate::differential::reads::PAGES_MAX {
            let page = $run.pair.ask(&caller, request.clone()).await;
            match page {
                Ok(page) if !page.next_page_token.is_empty() => {
                    request.page_token = page.next_page_token;
                    if $run.page_tokens.len() < 20 {
                        $run.page_tokens.push(request.page_token.clone());
                    }
                }
                Ok(_) | Err(_) => break,
            }
        }
    }};
}
pub(crate) use walk;

/// The latest commands of a store whose decisions are looked at.
const DECISIONS_LOOKED_AT: usize = 20;

impl Run<'_> {
    pub(crate) fn page_size(&mut self) -> i32 {
        let size = self.random.number(1, 7);
        let size = i32::try_from(size).expect("a small number");
        self.random
            .maybe(4, |random| random.pick(&[0, -1, 1_001]))
            .unwrap_or(size)
    }

    /// Mostly nothing, else one of these.
    pub(crate) fn filter(&mut self, values: &[&str]) -> String {
        let value = self
            .random
            .maybe(25, |random| random.pick(values).to_owned());
        value.unwrap_or_default()
    }

    /// Mostly nothing, else a value of an enum.
    pub(crate) fn state(&mut self, most: u32) -> i32 {
        let value = self.random.maybe(25, |random| random.number(1, most));
        i32::try_from(value.unwrap_or_default()).expect("a small number")
    }

    fn time(&mut self) -> Option<prost_types::Timestamp> {
        if self.random.chance(15) {
            self.near()
        } else {
            None
        }
    }

    /// The operator half of the time, else anybody.
    pub(crate) fn reader(&mut self) -> Caller {
        if self.random.chance(50) {
            Caller::operator()
        } else {
            self.any_caller()
        }
    }

    /// Mostly no order, else one of them.
    fn of_order(&mut self) -> String {
        let order = self
            .order()
            .map_or_else(String::new, |order| order.order_id);
        let order = self.spoil(order, 3);
        self.random.maybe(30, |_| order).unwrap_or_default()
    }

    pub(crate) async fn read_step(&mut self) {
        match self.random.below(10) {
            0..3 => self.get().await,
            3..7 => self.list().await,
            7 => self.find().await,
            8 => self.summarize().await,
            _ => self.history().await,
        }
    }

    async fn get(&mut self) {
        let caller = self.reader();
        let Some(order) = self.order() else {
            return;
        };
        let store_id = self.spoil(order.store_id.clone(), 4);
        let order_id = self.spoil(order.order_id.clone(), 4);
        let child = |kind: &str, count: usize| format!("{order_id}:{kind}{}", count.max(1));
        match self.random.below(5) {
            0 => {
                let shipment_id = child("s", order.shipments.len());
                let request = pb::GetShipmentRequest {
                    store_id,
                    shipment_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            1 => {
                let cancellation_id = child("c", order.cancellations.len());
                let request = pb::GetCancellationRequest {
                    store_id,
                    cancellation_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            2 => {
                let refund_id = child("r", order.refunds.len());
                let request = pb::GetRefundRequest {
                    store_id,
                    refund_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            _ => {
                let request = pb::GetOrderRequest { store_id, order_id };
                _ = self.pair.ask(&caller, request).await;
            }
        }
    }

    pub(crate) async fn list(&mut self) {
        let caller = self.reader();
        let (store_id, page_size) = (self.store_id(), self.page_size());
        let (seller_id, warehouse_id, carrier_id) = (
            self.filter(SELLERS),
            self.filter(WAREHOUSES),
            self.filter(CARRIERS),
        );
        let (order_id, page_token) = (self.of_order(), String::new());
        match self.random.below(7) {
            0..2 => {
                let request = pb::ListOrdersRequest {
                    store_id,
                    page_size,
                    page_token,
                    buyer_id: self.filter(BUYERS),
                    seller_id,
                    state: self.state(8),
                    create_time_from: self.time(),
                    create_time_before: self.time(),
                    sku: self.filter(SKUS),
                    destination_country: self.filter(&["DE", "US", "Q"]),
                    destination_city: self.filter(&["Berlin"]),
                };
                walk!(self, caller, request);
            }
            2 => {
                let request = pb::ListShipmentsRequest {
                    store_id,
                    page_size,
                    page_token,
                    order_id,
                    warehouse_id,
                    stage: self.state(11),
                    carrier_id,
                    seller_id,
                    prepare_by_before: self.time(),
                };
                walk!(self, caller, request);
            }
            3..5 => {
                let request = pb::ListCancellationsRequest {
                    store_id,
                    page_size,
                    page_token,
                    order_id,
                    seller_id,
                    state: self.state(4),
                    warehouse_id,
                    carrier_id,
                    awaiting: self.state(4),
                    respond_by_before: self.time(),
                };
                walk!(self, caller, request);
            }
            5 => {
                let request = pb::ListRefundsRequest {
                    store_id,
                    page_size,
                    page_token,
                    order_id,
                    state: self.state(8),
                    seller_id,
                };
                walk!(self, caller, request);
            }
            _ => {
                let request = pb::ListIncidentsRequest {
                    store_id,
                    page_size,
                    page_token,
                    order_id,
                    state: self.state(2),
                    kind: self.state(8),
                };
                walk!(self, caller, request);
            }
        }
    }

    /// By what people have in hand: of an order that is there, or of none.
    async fn find(&mut self) {
        use pb::find_orders_request::By;

        let caller = self.reader();
        let Some(order) = self.order() else {
            return;
        };
        let tracked = order.shipments.iter();
        let tracked = tracked.map(|shipment| shipment.tracking_number.clone());
        let by = match self.random.below(3) {
            0 => {
                let buyer = order.buyer.as_ref().map(|buyer| buyer.id.clone());
                By::BuyerEmail(format!("{}@example.org", buyer.unwrap_or_default()))
            }
            1 => {
                let mut numbers = tracked.filter(|number| !number.is_empty());
                By::TrackingNumber(numbers.next().unwrap_or_else(|| "T-0".to_owned()))
            }
            _ => {
                let length = 1 + self.random.below(order.order_id.len());
                By::OrderIdPrefix(order.order_id[..length].to_owned())
            }
        };
        let request = pb::FindOrdersRequest {
            store_id: self.spoil(order.store_id.clone(), 4),
            page_size: self.page_size().min(100),
            page_token: String::new(),
            by: Some(by),
        };
        walk!(self, caller, request);
    }

    async fn summarize(&mut self) {
        let caller = self.reader();
        let (store_id, seller_id) = (self.store_id(), self.filter(SELLERS));
        if self.random.chance(50) {
            let request = pb::SummarizeOrdersRequest {
                store_id,
                buyer_id: self.filter(BUYERS),
                seller_id,
            };
            _ = self.pair.ask(&caller, request).await;
            return;
        }
        let request = pb::SummarizeActionsRequest {
            store_id,
            party: i32::try_from(self.random.number(0, 4)).expect("a small number"),
            seller_id,
            warehouse_id: self.filter(WAREHOUSES),
            carrier_id: self.filter(CARRIERS),
            auto_approved_since: self.time(),
        };
        _ = self.pair.ask(&caller, request).await;
    }

    async fn history(&mut self) {
        let (caller, page_size) = (self.reader(), self.page_size());
        let Some(order) = self.order() else {
            return;
        };
        let request = pb::ListOrderHistoryRequest {
            store_id: self.spoil(order.store_id, 3),
            order_id: self.spoil(order.order_id, 3),
            page_size,
            include_rejected_requests: self.random.chance(50),
            ..Default::default()
        };
        walk!(self, caller, request);
    }

    /// Whatever belongs to an order, by itself.
    async fn every_child(&mut self, caller: &Caller, order: &pb::Order) {
        let store_id = &order.store_id;
        for shipment in &order.shipments {
            let (store_id, shipment_id) = (store_id.clone(), shipment.shipment_id.clone());
            _ = self
                .pair
                .ask(
                    caller,
                    pb::GetShipmentRequest {
                        store_id,
                        shipment_id,
                    },
                )
                .await;
        }
        for cancellation in &order.cancellations {
            let cancellation_id = cancellation.cancellation_id.clone();
            let store_id = store_id.clone();
            _ = self
                .pair
                .ask(
                    caller,
                    pb::GetCancellationRequest {
                        store_id,
                        cancellation_id,
                    },
                )
                .await;
        }
        for refund in &order.refunds {
            let (store_id, refund_id) = (store_id.clone(), refund.refund_id.clone());
            _ = self
                .pair
                .ask(
                    caller,
                    pb::GetRefundRequest {
                        store_id,
                        refund_id,
                    },
                )
                .await;
        }
    }

    /// Every list as the operator sees it, whole.
    pub(crate) async fn every_list(&mut self) {
        let ops = Caller::operator();
        _ = self.pair.ask(&ops, pb::ListPresetsRequest {}).await;
        let stores: Vec<String> = self.stores.iter().map(|store| store.id.clone()).collect();
        for store_id in stores {
            let page_size = self.page_size().clamp(3, 7);
            macro_rules! whole {
                ($($Request:ident),*) => {$({
                    let store_id = store_id.clone();
                    let request = pb::$Request { store_id, page_size, ..Default::default() };
                    walk!(self, ops.clone(), request);
                })*};
            }
            let summary = pb::SummarizeOrdersRequest {
                store_id: store_id.clone(),
                ..Default::default()
            };
            _ = self.pair.ask(&ops, summary).await;
            for party in 1..=4 {
                let store_id = store_id.clone();
                let summary = pb::SummarizeActionsRequest {
                    store_id,
                    party,
                    ..Default::default()
                };
                _ = self.pair.ask(&ops, summary).await;
            }
            let policy = pb::GetPolicyRequest {
                store_id: store_id.clone(),
                version: 0,
            };
            _ = self.pair.ask(&ops, policy).await;
            // By the ids that requests brought: those of deadlines are made by each server for
            // itself.
            let of_store = self.before.iter().rev();
            let of_store = of_store.filter(|before| before.order.0 == store_id);
            let request_ids = of_store.take(DECISIONS_LOOKED_AT);
            let request_ids: Vec<String> = request_ids.map(|of| of.request_id.clone()).collect();
            for request_id in request_ids {
                let store_id = store_id.clone();
                let decisions = pb::ListDecisionsRequest {
                    store_id,
                    request_id,
                    ..Default::default()
                };
                _ = self.pair.ask(&ops, decisions).await;
            }
            whole!(
                ListOrdersRequest,
                ListShipmentsRequest,
                ListCancellationsRequest,
                ListRefundsRequest,
                ListIncidentsRequest,
                ListPoliciesRequest,
                ListCarriersRequest,
                ListWarehousesRequest,
                ListBulkCancellationsRequest
            );
        }
        walk!(
            self,
            ops.clone(),
            pb::ListStoresRequest {
                page_size: 2,
                ..Default::default()
            }
        );
        walk!(
            self,
            ops.clone(),
            pb::ListConsumersRequest {
                page_size: 2,
                ..Default::default()
            }
        );
        for order in self.orders.clone() {
            self.look_at(&order.store_id, &order.order_id).await;
            self.every_child(&ops, &order).await;
        }
    }
}
