//! Bulk cancellations: each is waited for, so that nothing else happens meanwhile.

use belay_proto::v1 as pb;
use pb::start_bulk_cancellation_request::Selection;

use super::known::{Run, SELLERS, SKUS, WAREHOUSES};
use super::pair::Caller;
use super::reads::walk;

impl Run<'_> {
    pub(crate) async fn bulk_step(&mut self) {
        // Orders of one partition are asked in no order that anybody promises.
        if self.jobs.is_empty() || (!self.is_still && self.random.chance(45)) {
            self.start().await;
        } else {
            self.read_jobs().await;
        }
    }

    async fn start(&mut self) {
        if self.is_still {
            return;
        }
        let Some(order) = self.order() else {
            return;
        };
        let store_id = order.store_id.clone();
        let of_store: Vec<String> = self
            .orders
            .iter()
            .filter(|other| other.store_id == store_id)
            .map(|other| other.order_id.clone())
            .collect();
        let selection = if self.random.chance(50) {
            let mut order_ids = self.random.some_of(&of_store, 30);
            order_ids.push(self.random.pick(&["A-0", "A-0", "no id!"]).to_owned());
            Selection::Orders(pb::BulkOrders { order_ids })
        } else {
            Selection::Filter(pb::BulkFilter {
                sku: self.filter(SKUS),
                warehouse_id: self.filter(WAREHOUSES),
                seller_id: self.filter(SELLERS),
                destination_country: self.filter(&["DE", "US", "Q"]),
                destination_city: self.filter(&["Berlin"]),
                states: self
                    .random
                    .pick(&[vec![1], vec![4, 5], vec![1, 4, 5, 6], vec![]]),
                create_time_from: None,
                create_time_before: if self.random.chance(20) {
                    self.near()
                } else {
                    None
                },
            })
        };
        let store = self.stores.iter().find(|store| store.id == store_id);
        let reasons: Vec<String> = store
            .map(|store| {
                store
                    .reasons
                    .iter()
                    .map(|reason| reason.0.clone())
                    .collect()
            })
            .unwrap_or_default();
        let reason = if reasons.is_empty() {
            String::new()
        } else {
            self.random.pick(&reasons)
        };
        let role = self.random.pick(&["seller", "support", "operator"]);
        let caller = Caller::new(role, if role == "seller" { "acme" } else { "sam" });
        let caller = self.perhaps(caller);
        let fresh = self.uuid();
        let request_id = if self.random.chance(8) {
            let job = self.jobs.last().map(|(_, id)| id.clone());
            job.unwrap_or(fresh)
        } else {
            fresh
        };
        let request = pb::StartBulkCancellationRequest {
            store_id: store_id.clone(),
            request_id: request_id.clone(),
            selection: Some(selection),
            units: i32::try_from(self.random.number(0, 2)).expect("a small number"),
            dry_run: self.random.chance(75),
            orders_per_second: self.random.pick(&[0, 1_000, -1]),
            reason,
            note: "All of them.".to_owned(),
            evidence: self.random.pick(&[vec![], vec!["CHAT:1".to_owned()]]),
            paths: vec![],
            on_ineligible_units: i32::try_from(self.random.number(0, 2)).expect("a small number"),
            metadata: self.metadata(),
            external_references: self.external_references(),
        };
        let Ok(_) = self.pair.ask(&caller, request.clone()).await else {
            return;
        };
        self.pair.ended(&store_id, &request_id).await;
        self.pair.wrote();
        if self.random.chance(30) {
            _ = self.pair.ask(&caller, request).await;
        }
        let results = pb::ListBulkResultsRequest {
            store_id: store_id.clone(),
            bulk_cancellation_id: request_id.clone(),
            page_size: 5,
            ..Default::default()
        };
        walk!(self, Caller::operator(), results);
        for order_id in of_store {
            self.look_at(&store_id, &order_id).await;
        }
        if !self.jobs.iter().any(|(_, id)| *id == request_id) {
            self.jobs.push((store_id, request_id));
        }
    }

    /// A job, where chance has begun none.
    pub(crate) async fn begin_a_job(&mut self) {
        let Some(order) = self.orders.last().filter(|_| self.jobs.is_empty()) else {
            return;
        };
        let (store_id, order_ids) = (order.store_id.clone(), vec![order.order_id.clone()]);
        let store = self.stores.iter().find(|store| store.id == store_id);
        let reason = store.and_then(|store| store.reasons.first());
        let request_id = "123e4567-e89b-42d3-a456-426614174000".to_owned();
        let request = pb::StartBulkCancellationRequest {
            store_id: store_id.clone(),
            request_id: request_id.clone(),
            selection: Some(Selection::Orders(pb::BulkOrders { order_ids })),
            dry_run: true,
            reason: reason.map(|reason| reason.0.clone()).unwrap_or_default(),
            ..Default::default()
        };
        let begun = self.pair.ask(&Caller::operator(), request).await;
        begun.expect("it is begun");
        self.pair.ended(&store_id, &request_id).await;
        self.jobs.push((store_id, request_id));
    }

    /// Every job, as the operator sees it.
    pub(crate) async fn every_job(&mut self) {
        let ops = Caller::operator();
        for (store_id, bulk_cancellation_id) in self.jobs.clone() {
            let results = pb::ListBulkResultsRequest {
                store_id: store_id.clone(),
                bulk_cancellation_id: bulk_cancellation_id.clone(),
                ..Default::default()
            };
            walk!(self, ops.clone(), results);
            let (store, id) = (store_id.clone(), bulk_cancellation_id.clone());
            let get = pb::GetBulkCancellationRequest {
                store_id: store,
                bulk_cancellation_id: id,
            };
            _ = self.pair.ask(&ops, get).await;
            // It has ended: to stop it changes nothing.
            let (store, id) = (store_id.clone(), bulk_cancellation_id.clone());
            let stop = pb::StopBulkCancellationRequest {
                store_id: store,
                bulk_cancellation_id: id,
            };
            _ = self.pair.ask(&ops, stop).await;
            let watch = pb::WatchBulkCancellationRequest {
                store_id,
                bulk_cancellation_id,
            };
            let last = |messages: Vec<pb::WatchBulkCancellationResponse>| messages.last().cloned();
            _ = self.pair.collect(&ops, watch, last).await;
        }
    }

    async fn read_jobs(&mut self) {
        let caller = self.reader();
        let (store_id, id) = self.random.pick(&self.jobs.clone());
        let store_id = self.spoil(store_id, 3);
        let other = self.uuid();
        let bulk_cancellation_id =
            self.random
                .pick(&[id.clone(), id.clone(), id, other, "one".to_owned()]);
        let page_size = self.page_size();
        match self.random.below(5) {
            0 => {
                let request = pb::GetBulkCancellationRequest {
                    store_id,
                    bulk_cancellation_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
            1 => {
                let page_token = String::new();
                walk!(
                    self,
                    caller,
                    pb::ListBulkCancellationsRequest {
                        store_id,
                        page_size,
                        page_token
                    }
                );
            }
            2 => {
                let request = pb::ListBulkResultsRequest {
                    store_id,
                    bulk_cancellation_id,
                    page_size,
                    page_token: String::new(),
                    outcome: self.state(5),
                };
                walk!(self, caller, request);
            }
            3 => {
                let request = pb::WatchBulkCancellationRequest {
                    store_id,
                    bulk_cancellation_id,
                };
                _ = self
                    .pair
                    .collect(&caller, request, |messages| messages.last().cloned())
                    .await;
            }
            _ => {
                // It has ended: to stop it changes nothing.
                let request = pb::StopBulkCancellationRequest {
                    store_id,
                    bulk_cancellation_id,
                };
                _ = self.pair.ask(&caller, request).await;
            }
        }
    }
}
