//! What belongs to a store and to no order: its settings, its policies and their simulation, its
//! stock, and the quality of its sellers.

use belay_domain::presets;
use belay_proto::v1 as pb;
use jiff::SignedDuration;

use super::known::{CARRIERS, KnownStore, Run, SELLERS, SKUS, WAREHOUSES, stamp};
use super::pair::{Caller, MEASURED};
use super::reads::walk;

impl Run<'_> {
    /// A store of each preset, all with the same warehouses and carriers.
    pub(crate) async fn open_stores(&mut self) {
        let ops = Caller::operator();
        for (preset, document) in presets::ALL {
            let id = format!("of-{preset}");
            let request = pb::CreateStoreRequest {
                store_id: id.clone(),
                time_zone: self
                    .random
                    .pick(&["UTC", "Europe/Berlin", "Asia/Shanghai"])
                    .to_owned(),
                policy: Some(pb::create_store_request::Policy::Preset(
                    (*preset).to_owned(),
                )),
                ..Default::default()
            };
            self.pair.ask(&ops, request).await.expect("a store");
            self.stores.push(KnownStore::new(&id, document));
            for (warehouse_id, country) in [("main", "DE"), ("east", "DE"), ("far", "CN")] {
                let warehouse = pb::Warehouse {
                    warehouse_id: warehouse_id.to_owned(),
                    display_name: "A house".to_owned(),
                    country_code: country.to_owned(),
                    ..Default::default()
                };
                let request = pb::PutWarehouseRequest {
                    store_id: id.clone(),
                    warehouse: Some(warehouse),
                };
                self.pair.ask(&ops, request).await.expect("a warehouse");
            }
            for carrier_id in CARRIERS {
                let carrier = carrier(
                    carrier_id,
                    *carrier_id != "standard",
                    *carrier_id == "partner",
                );
                let request = pb::PutCarrierRequest {
                    store_id: id.clone(),
                    carrier: Some(carrier),
                };
                self.pair.ask(&ops, request).await.expect("a carrier");
            }
        }
    }

    pub(crate) async fn store_step(&mut self) {
        match self.random.below(20) {
            0..2 => self.create_store().await,
            2..4 => self.update_store().await,
            4..6 => self.put_warehouse().await,
            6..8 => self.put_carrier().await,
            8..11 => self.lists_of_stores().await,
            11..13 => self.create_policy().await,
            13..15 => self.activate_policy().await,
            15..17 => self.policies().await,
            _ => self.simulate().await,
        }
    }

    fn administrator(&mut self) -> Caller {
        self.perhaps(Caller::operator())
    }

    async fn create_store(&mut self) {
        use pb::create_store_request::Policy;

        let known = self.store_id();
        let new = format!("new-{}", self.random.below(4));
        let (preset, document) = self.random.pick(presets::ALL);
        let policy = match self.random.below(8) {
            0 => Some(Policy::Preset("no-such-preset".to_owned())),
            1 => Some(Policy::Document("name: broken".to_owned())),
            2 => Some(Policy::Document(document.to_owned())),
            3 => None,
            _ => Some(Policy::Preset(preset.to_owned())),
        };
        let request = pb::CreateStoreRequest {
            store_id: if self.random.chance(25) { known } else { new },
            display_name: self.random.pick(&["", "A shop"]).to_owned(),
            time_zone: self
                .random
                .pick(&["", "Europe/Berlin", "Mars/Base"])
                .to_owned(),
            policy,
            default_warehouse_id: self.random.pick(&["", "main", "no id!"]).to_owned(),
            default_carrier_id: self.random.pick(&["", "", "own"]).to_owned(),
            storefront_records_payments: self.random.chance(30),
        };
        let caller = self.administrator();
        _ = self.pair.ask(&caller, request).await;
    }

    async fn update_store(&mut self) {
        let store_id = self.store_id();
        let read = pb::GetStoreRequest {
            store_id: store_id.clone(),
        };
        let read = self.pair.ask(&Caller::operator(), read).await;
        let etag = read
            .ok()
            .and_then(|read| read.store)
            .map(|store| store.etag);
        let request = pb::UpdateStoreRequest {
            store_id,
            etag: self.etag(&etag.unwrap_or_default()),
            display_name: self.filter(&["A shop", "Another"]),
            time_zone: self.filter(&["UTC", "Europe/Berlin", "Mars/Base"]),
            default_warehouse_id: self.filter(&["main", "east", "nowhere"]),
            default_carrier_id: self.filter(&["standard", "express", "pigeon"]),
            storefront_records_payments: self.random.maybe(30, |random| random.chance(50)),
        };
        let caller = self.administrator();
        _ = self.pair.ask(&caller, request).await;
    }

    async fn put_warehouse(&mut self) {
        let warehouse = pb::Warehouse {
            warehouse_id: self
                .random
                .pick(&["main", "east", "far", "new", "no id!"])
                .to_owned(),
            display_name: self
                .random
                .pick(&["A house", "A house", "Ours", ""])
                .to_owned(),
            time_zone: self.filter(&["Europe/Berlin", "Mars/Base"]),
            etag: self.filter(&["\"1\"", "\"2\"", "\"9\"", "one"]),
            country_code: self.random.pick(&["", "DE", "CN", "Q"]).to_owned(),
            calendar: self.random.maybe(30, |random| pb::WarehouseCalendar {
                weekend: random.pick(&[vec![6, 7], vec![5], vec![]]),
                holidays: random.pick(&[vec!["2026-03-09".to_owned()], vec!["soon".to_owned()]]),
            }),
        };
        let request = pb::PutWarehouseRequest {
            store_id: self.store_id(),
            warehouse: self.random.maybe(97, |_| warehouse),
        };
        let caller = self.administrator();
        _ = self.pair.ask(&caller, request).await;
    }

    async fn put_carrier(&mut self) {
        let id = self
            .random
            .pick(&["standard", "express", "partner", "new", "no id!"]);
        let mut carrier = carrier(id, self.random.chance(70), self.random.chance(40));
        carrier.etag = self.filter(&["\"1\"", "\"2\"", "\"9\"", "one"]);
        let request = pb::PutCarrierRequest {
            store_id: self.store_id(),
            carrier: Some(carrier),
        };
        let caller = self.administrator();
        _ = self.pair.ask(&caller, request).await;
    }

    async fn lists_of_stores(&mut self) {
        let caller = self.reader();
        let (store_id, page_size) = (self.store_id(), self.page_size());
        let page_token = String::new();
        match self.random.below(4) {
            0 => {
                _ = self
                    .pair
                    .ask(&caller, pb::GetStoreRequest { store_id })
                    .await
            }
            1 => walk!(
                self,
                caller,
                pb::ListStoresRequest {
                    page_size,
                    page_token
                }
            ),
            2 => walk!(
                self,
                caller,
                pb::ListCarriersRequest {
                    store_id,
                    page_size,
                    page_token
                }
            ),
            _ => walk!(
                self,
                caller,
                pb::ListWarehousesRequest {
                    store_id,
                    page_size,
                    page_token
                }
            ),
        }
    }

    /// A document that is mostly a policy: a preset, changed a little.
    fn document(&mut self, store: usize) -> String {
        let is_measured = self.stores[store].id == MEASURED;
        let (_, document) = self.random.pick(presets::ALL);
        let document = document
            .split("\nquality:")
            .next()
            .filter(|_| !is_measured)
            .unwrap_or(document);
        match self.random.below(6) {
            0 => document.replace("on_timeout: PASS", "on_timeout: REFUSE"),
            1 => document.replace("RESTOCK", "ZERO_STOCK"),
            2 => document.replace("code: SHIPPED", "code: NOT_ALLOWED"),
            3 => document.replacen("- id:", "- idea:", 1),
            4 => document.replace("expire_after: 24h", "expire_after: 30h"),
            _ => document.to_owned(),
        }
    }

    async fn create_policy(&mut self) {
        let store = self.store();
        let store_id = self.stores[store].id.clone();
        let document = self.document(store);
        let validate_only = self.random.chance(30);
        let request = pb::CreatePolicyRequest {
            store_id: self.spoil(store_id, 3),
            document: document.clone(),
            validate_only,
        };
        let caller = self.administrator();
        let created = self.pair.ask(&caller, request).await;
        if created.is_ok() && !validate_only {
            self.stores[store].learn(&document);
        }
    }

    async fn activate_policy(&mut self) {
        let store = self.store();
        let versions = u32::try_from(self.stores[store].documents.len()).expect("a small number");
        let hours = i64::from(self.random.number(0, 100));
        let request = pb::ActivatePolicyRequest {
            store_id: self.stores[store].id.clone(),
            version: i32::try_from(self.random.number(0, versions + 1)).expect("a small number"),
            effective_time: self
                .random
                .maybe(60, |_| self.pair.now + SignedDuration::from_hours(hours))
                .map(stamp),
        };
        let caller = self.administrator();
        _ = self.pair.ask(&caller, request).await;
    }

    async fn policies(&mut self) {
        let caller = self.reader();
        let (store_id, page_size) = (self.store_id(), self.page_size());
        match self.random.below(4) {
            0 => _ = self.pair.ask(&caller, pb::ListPresetsRequest {}).await,
            1 | 2 => {
                let version = i32::try_from(self.random.number(0, 3)).expect("a small number");
                _ = self
                    .pair
                    .ask(&caller, pb::GetPolicyRequest { store_id, version })
                    .await;
            }
            _ => {
                let page_token = String::new();
                walk!(
                    self,
                    caller,
                    pb::ListPoliciesRequest {
                        store_id,
                        page_size,
                        page_token
                    }
                );
            }
        }
    }

    /// A simulation's cases in their order, and its last message: how they are parted is the
    /// server's business.
    async fn simulate(&mut self) {
        let store = self.store();
        self.simulate_in(store).await;
    }

    /// Every decision that was made, by another policy.
    pub(crate) async fn every_decision(&mut self) {
        for store in 0..self.stores.len() {
            self.simulate_in(store).await;
        }
    }

    async fn simulate_in(&mut self, store: usize) {
        use pb::simulate_policy_request::Draft;

        let draft = match self.random.below(10) {
            0 => None,
            1..5 => Some(Draft::Version(
                i32::try_from(self.random.number(1, 3)).expect("small"),
            )),
            _ => Some(Draft::Document(self.document(store))),
        };
        let days = i64::from(self.random.number(0, 400));
        let end = self.pair.now + SignedDuration::from_secs(1);
        let request = pb::SimulatePolicyRequest {
            store_id: self.stores[store].id.clone(),
            draft,
            start_time: Some(stamp(end - SignedDuration::from_hours(24 * days))),
            end_time: self.random.maybe(95, |_| stamp(end)),
            requester: self.filter_role(),
            reason: self.filter(&[
                "NO_LONGER_WANTED",
                "NO_LONGER_WANTED",
                "OUT_OF_STOCK",
                "no code",
            ]),
            include_unchanged: self.random.chance(60),
            case_count_max: self.random.pick(&[0, 0, 3, -1]),
            decision_count_max: self.random.pick(&[0, 0, 5]),
        };
        let caller = self.administrator();
        let fold = |messages: Vec<pb::SimulatePolicyResponse>| {
            let last = messages.last().cloned().unwrap_or_default();
            let cases = messages.into_iter().flat_map(|message| message.cases);
            (cases.collect::<Vec<_>>(), last.progress, last.summary)
        };
        _ = self.pair.collect(&caller, request, fold).await;
    }

    fn filter_role(&mut self) -> i32 {
        let role = self.random.maybe(20, |random| random.number(1, 8));
        i32::try_from(role.unwrap_or_default()).expect("a small number")
    }

    /// Several looks at stock and at sellers, for they wait until the projections have heard of
    /// all.
    pub(crate) async fn stock_step(&mut self) {
        self.pair.projected().await;
        for _ in 0..5 {
            match self.random.below(8) {
                0..2 => self.tell().await,
                2..5 => self.read_stock().await,
                _ => self.read_quality().await,
            }
        }
    }

    async fn tell(&mut self) {
        let store_id = self.store_id();
        let (warehouse_id, sku) = (
            self.random
                .pick(&["main", "east", "far", "nowhere"])
                .to_owned(),
            self.random.pick(SKUS).to_owned(),
        );
        let fresh = self.uuid();
        let request_id = if self.random.chance(15) {
            "00000000-0000-4000-8000-000000000001".to_owned()
        } else {
            fresh
        };
        let named = self.random.pick(&["seller", "warehouse", "operator"]);
        let caller = Caller::new(
            named,
            if named == "warehouse" {
                warehouse_id.clone()
            } else {
                "acme".to_owned()
            },
        );
        let caller = self.perhaps(caller);
        if self.random.chance(75) {
            let quantity = i32::try_from(self.random.number(0, 50)).expect("a small number");
            let quantity = self.random.maybe(4, |_| -1).unwrap_or(quantity);
            let request = pb::SetStockRequest {
                store_id,
                warehouse_id,
                sku,
                quantity,
                request_id,
            };
            _ = self.pair.ask(&caller, request.clone()).await;
            if self.random.chance(10) {
                _ = self.pair.ask(&caller, request).await;
            }
            return;
        }
        let request = pb::ArchiveSkuRequest {
            store_id,
            warehouse_id,
            sku,
            request_id,
        };
        _ = self.pair.ask(&caller, request).await;
    }

    async fn read_stock(&mut self) {
        let caller = self.reader();
        let (store_id, page_size, page_token) = (self.store_id(), self.page_size(), String::new());
        let warehouse_id = self
            .random
            .pick(&[WAREHOUSES, &["nowhere"]].concat())
            .to_owned();
        let sku = self.random.pick(&[SKUS, &["HAT"]].concat()).to_owned();
        match self.random.below(4) {
            0 => {
                _ = self
                    .pair
                    .ask(
                        &caller,
                        pb::GetStockRequest {
                            store_id,
                            warehouse_id,
                            sku,
                        },
                    )
                    .await
            }
            1 => {
                let warehouse_id = self.filter(WAREHOUSES);
                let request = pb::ListStockRequest {
                    store_id,
                    warehouse_id,
                    show_archived: self.random.chance(50),
                    page_size,
                    page_token,
                };
                walk!(self, caller, request);
            }
            2 => {
                let request = pb::ListStockEntriesRequest {
                    store_id,
                    warehouse_id,
                    sku,
                    page_size,
                    page_token,
                };
                walk!(self, caller, request);
            }
            _ => {
                let request = pb::ListStockHoldersRequest {
                    store_id,
                    warehouse_id,
                    sku,
                    page_size,
                    page_token,
                };
                walk!(self, caller, request);
            }
        }
    }

    async fn read_quality(&mut self) {
        let caller = self.reader();
        let measured = self.random.chance(70).then(|| MEASURED.to_owned());
        let any = self.store_id();
        let (store_id, page_size) = (measured.unwrap_or(any), self.page_size());
        let seller_id = self
            .random
            .pick(&[SELLERS, SELLERS, &["zed"]].concat())
            .to_owned();
        match self.random.below(3) {
            0 => {
                _ = self
                    .pair
                    .ask(
                        &caller,
                        pb::GetSellerQualityRequest {
                            store_id,
                            seller_id,
                        },
                    )
                    .await
            }
            1 => {
                let page_token = String::new();
                let request = pb::ListCountedCancellationsRequest {
                    store_id,
                    seller_id,
                    page_size,
                    page_token,
                };
                walk!(self, caller, request);
            }
            _ => {
                self.pair.looked().await;
                let page_token = String::new();
                let request = pb::ListThresholdCrossingsRequest {
                    store_id,
                    seller_id,
                    page_size,
                    page_token,
                };
                walk!(self, caller, request);
            }
        }
    }

    /// All of the stock and of the quality of sellers, as the operator sees it.
    pub(crate) async fn every_stock(&mut self) {
        self.pair.projected().await;
        self.pair.looked().await;
        let ops = Caller::operator();
        let stores: Vec<String> = self.stores.iter().map(|store| store.id.clone()).collect();
        for store_id in stores {
            let request = pb::ListStockRequest {
                store_id: store_id.clone(),
                show_archived: true,
                page_size: 100,
                ..Default::default()
            };
            let listed = self.pair.ask(&ops, request).await.expect("the stock");
            for stock in listed.stocks {
                let (warehouse_id, sku) = (stock.warehouse_id, stock.sku);
                let request = pb::ListStockEntriesRequest {
                    store_id: store_id.clone(),
                    warehouse_id: warehouse_id.clone(),
                    sku: sku.clone(),
                    page_size: 100,
                    ..Default::default()
                };
                walk!(self, ops.clone(), request);
                let request = pb::ListStockHoldersRequest {
                    store_id: store_id.clone(),
                    warehouse_id,
                    sku,
                    page_size: 100,
                    ..Default::default()
                };
                walk!(self, ops.clone(), request);
            }
            for seller in SELLERS {
                let (store_id, seller_id) = (store_id.clone(), (*seller).to_owned());
                let request = pb::GetSellerQualityRequest {
                    store_id: store_id.clone(),
                    seller_id: seller_id.clone(),
                };
                _ = self.pair.ask(&ops, request).await;
                let request = pb::ListCountedCancellationsRequest {
                    store_id: store_id.clone(),
                    seller_id: seller_id.clone(),
                    ..Default::default()
                };
                walk!(self, ops.clone(), request);
                let request = pb::ListThresholdCrossingsRequest {
                    store_id,
                    seller_id,
                    ..Default::default()
                };
                walk!(self, ops.clone(), request);
            }
        }
    }
}

fn carrier(carrier_id: &str, in_transit_cancel: bool, partner_delivery: bool) -> pb::Carrier {
    let label = pb::ReturnLabel {
        country_code: "DE".to_owned(),
        price: Some(pb::Money {
            currency_code: "EUR".to_owned(),
            minor_units: 595,
        }),
    };
    pb::Carrier {
        carrier_id: carrier_id.to_owned(),
        display_name: "A carrier".to_owned(),
        in_transit_cancel,
        partner_delivery,
        return_labels: in_transit_cancel.then_some(label).into_iter().collect(),
        ..Default::default()
    }
}
