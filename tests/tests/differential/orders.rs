//! Orders and what happens to them: plausible more often than not, for sequences of rejections
//! reach nothing.

use std::collections::BTreeMap;

use belay_domain::actor::Role;
use belay_domain::ids::StoreId;
use belay_proto::v1 as pb;
use jiff::SignedDuration;
use pb::request_cancellation_request::Selection;

use super::known::{BUYERS, CARRIERS, Run, SELLERS, SKUS, WAREHOUSES, stamp};
use super::pair::Caller;

fn money(currency: &str, minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: currency.to_owned(),
        minor_units,
    })
}

fn named(order: &pb::Order) -> (String, String) {
    (order.store_id.clone(), order.order_id.clone())
}

impl Run<'_> {
    /// One thing happens to one order, or there is a new one.
    pub(crate) async fn order_step(&mut self) {
        let is_new = self.random.chance(12);
        let Some(order) = self.order().filter(|_| !is_new) else {
            return self.create_order().await;
        };
        let is_unpaid = order.paid_time.is_none();
        let is_waiting = order
            .cancellations
            .iter()
            .any(|of| of.state() == pb::CancellationState::Pending);
        match self.random.below(100) {
            0..35 if is_unpaid => self.pay(&order, true).await,
            0..8 => self.pay(&order, false).await,
            8..30 if is_waiting => self.answer(&order).await,
            8..38 => self.fulfil(&order).await,
            38..46 => self.preview(&order).await,
            46..64 => self.request(&order).await,
            64..80 => self.fulfil(&order).await,
            80..84 => self.annotate(&order).await,
            84..88 => self.claim(&order.store_id).await,
            88..94 => self.refund_result(&order).await,
            94..97 => self.resolve(&order).await,
            _ => self.answer(&order).await,
        }
    }

    pub(crate) async fn create_order(&mut self) {
        let mut store = self.store_id();
        let is_there = self.random.chance(6);
        let order_id = match self.order().filter(|_| is_there) {
            // One that is there: the same again, or another under its id.
            Some(order) => {
                store = order.store_id;
                Some(order.order_id)
            }
            None if StoreId::parse(store.as_str()).is_ok() => self.new_order_id(&store),
            None => Some("A-1".to_owned()),
        };
        let Some(order_id) = order_id else {
            return;
        };
        let currency = self.random.pick(&["EUR", "EUR", "USD", "JPY"]);
        let other = self.random.maybe(2, |_| "GBP").unwrap_or(currency);
        let mut lines = Vec::new();
        let mut contents = vec![BTreeMap::<i32, i32>::new(); 3];
        for line_number in 1..=self.random.number(1, 3) {
            let quantity = self.random.number(1, 4);
            for _ in 0..quantity {
                let shipment = self.random.below(contents.len());
                let line_number = i32::try_from(line_number).expect("a small number");
                *contents[shipment].entry(line_number).or_default() += 1;
            }
            let goods = i64::from(self.random.number(1, 5_000));
            let discounts = [goods / 3, goods / 3, goods / 3, goods + 1];
            let discount = self.random.maybe(10, |random| random.pick(&discounts));
            lines.push(pb::NewLine {
                sku: self.random.pick(SKUS).to_owned(),
                title: "A thing".to_owned(),
                quantity: i32::try_from(quantity).expect("a small number"),
                goods: money(currency, goods),
                discount: discount.and_then(|discount| money(currency, discount)),
                tax: money(other, goods / 5),
            });
        }
        let shipments = contents.into_iter().filter(|content| !content.is_empty());
        let mut planned = Vec::new();
        for content in shipments {
            let warehouse = self
                .random
                .pick(&[WAREHOUSES, WAREHOUSES, &["nowhere"]].concat());
            let carrier = self
                .random
                .pick(&[CARRIERS, CARRIERS, CARRIERS, &["pigeon"]].concat());
            let is_known = self.random.chance(80);
            let content =
                content
                    .into_iter()
                    .map(|(line_number, quantity)| pb::NewShipmentContent {
                        line_number,
                        quantity,
                    });
            planned.push(pb::NewShipment {
                warehouse_id: if is_known { "main" } else { warehouse }.to_owned(),
                carrier_id: if is_known { "express" } else { carrier }.to_owned(),
                contents: content.collect(),
            });
        }
        let caller = self.perhaps(Caller::new("storefront", "web"));
        if self.random.chance(35) {
            planned.clear();
        }
        let name = self.random.pick(BUYERS);
        let buyer = pb::Buyer {
            id: name.to_owned(),
            email: self
                .random
                .maybe(70, |_| format!("{name}@example.org"))
                .unwrap_or_default(),
            username: self
                .random
                .maybe(30, |_| format!("{name}-1"))
                .unwrap_or_default(),
        };
        let destination = pb::Destination {
            country_code: self.random.pick(&["DE", "DE", "US", "CN", "Q"]).to_owned(),
            region: String::new(),
            city: self.random.pick(&["", "Berlin"]).to_owned(),
        };
        let shipping = self.random.maybe(70, |_| pb::ShippingCharge {
            amount: money(currency, 490),
            tax: money(currency, 93),
        });
        let request = pb::CreateOrderRequest {
            store_id: store.clone(),
            order_id: order_id.clone(),
            buyer: Some(buyer),
            seller_id: self.random.pick(SELLERS).to_owned(),
            destination: Some(destination),
            lines,
            shipping,
            shipments: planned,
            metadata: self.metadata(),
            external_references: self.external_references(),
            ..Default::default()
        };
        let created = self.command((store, order_id), caller, request).await;
        if let Some(order) = created.and_then(|created| created.order)
            && self.random.chance(65)
        {
            self.pay(&order, true).await;
        }
    }

    async fn pay(&mut self, order: &pb::Order, in_full: bool) {
        use pb::PaymentFact as Fact;

        let all = [
            Fact::Attempted,
            Fact::Authorized,
            Fact::Captured,
            Fact::Declined,
            Fact::Voided,
            Fact::RefundedOutside,
            Fact::Chargeback,
            Fact::ChargebackReversed,
        ];
        let plain = [Fact::Captured, Fact::Captured, Fact::Authorized];
        let fact = self.random.pick(if in_full { &plain } else { &all });
        let has_money = match fact {
            Fact::Authorized
            | Fact::Captured
            | Fact::RefundedOutside
            | Fact::Chargeback
            | Fact::ChargebackReversed => !self.random.chance(2),
            Fact::Attempted | Fact::Declined | Fact::Voided | Fact::Unspecified => {
                self.random.chance(2)
            }
        };
        let totals = order.totals.clone().unwrap_or_default();
        let total = totals.total.unwrap_or_default();
        let percent = self.random.pick(&[30, 50, 100, 120]);
        let percent = if in_full { 100 } else { percent };
        let other = self.random.maybe(4, |_| "GBP");
        let amount = has_money
            .then(|| {
                let currency = other.unwrap_or(&total.currency_code);
                money(currency, total.minor_units * percent / 100)
            })
            .flatten();
        let event = if self.random.chance(5) {
            self.random.below(4)
        } else {
            self.random.below(1_000_000)
        };
        let refund = order.refunds.last().filter(|_| self.random.chance(40));
        let is_outside = fact == Fact::RefundedOutside;
        let request = pb::RecordPaymentRequest {
            store_id: order.store_id.clone(),
            order_id: self.spoil(order.order_id.clone(), 1),
            provider_payment_id: format!("pay-{}", self.random.below(3)),
            provider_event_id: format!("event-{event}"),
            fact: fact.into(),
            amount,
            method: self
                .random
                .pick(&["CREDIT_CARD", "PAYPAL", "COD", ""])
                .to_owned(),
            occurred_time: if self.random.chance(30) {
                self.near()
            } else {
                None
            },
            movement_id: self
                .random
                .maybe(30, |random| format!("move-{}", random.below(4)))
                .unwrap_or_default(),
            refund_id: refund
                .filter(|_| is_outside)
                .map_or_else(String::new, |refund| refund.refund_id.clone()),
            ..Default::default()
        };
        let caller = self.perhaps(Caller::new("payments", "psp"));
        self.command(named(order), caller, request).await;
    }

    /// Some quantities of these, at least one, seldom more than there is.
    fn some_lines(&mut self, of: &[(String, i32)]) -> Vec<pb::LineQuantity> {
        let mut lines = Vec::new();
        for (line_id, count) in of {
            let most = u32::try_from(*count).unwrap_or(0) + u32::from(self.random.chance(4));
            if most > 0 && self.random.chance(65) {
                lines.push(pb::LineQuantity {
                    line_id: line_id.clone(),
                    quantity: i32::try_from(self.random.number(1, most)).expect("small"),
                });
            }
        }
        if lines.is_empty() {
            let first = of.first().map(|(line_id, _)| line_id.clone());
            lines.push(pb::LineQuantity {
                line_id: self.spoil(first.unwrap_or_default(), 5),
                quantity: 1,
            });
        }
        lines
    }

    fn shipment(&mut self, order: &pb::Order) -> pb::Shipment {
        let index = self.random.below(order.shipments.len());
        order.shipments.get(index).cloned().unwrap_or_default()
    }

    /// Mostly an order of which something is being packed or on its way: there is something to ask.
    fn order_on_its_way(&mut self, or: &pb::Order) -> pb::Order {
        use pb::ShipmentStage as Stage;

        let stages = [
            Stage::Preparing,
            Stage::Ready,
            Stage::InTransit,
            Stage::Delivered,
        ];
        let is_on_its_way = |order: &&pb::Order| {
            let mut shipments = order.shipments.iter();
            shipments.any(|shipment| stages.contains(&shipment.stage()))
        };
        let found: Vec<&pb::Order> = self.orders.iter().filter(is_on_its_way).collect();
        if found.is_empty() || self.random.chance(35) {
            return or.clone();
        }
        self.random.pick(&found).clone()
    }

    /// A request and who makes it.
    fn cancellation(&mut self, order: &pb::Order) -> (Caller, pb::RequestCancellationRequest) {
        use pb::CancellationPath as Path;

        let (role, by) = self.random.pick(&[
            ("storefront", Role::Buyer),
            ("storefront", Role::Buyer),
            ("seller", Role::Seller),
            ("storefront", Role::Buyer),
            ("seller", Role::Seller),
            ("support", Role::Support),
            ("warehouse", Role::Warehouse),
            ("carrier", Role::Carrier),
        ]);
        let shipment = self.shipment(order);
        let stage = shipment.stage();
        let caller = self.of_shipment(role, order, &shipment);
        let of_lines: Vec<(String, i32)> = order
            .lines
            .iter()
            .map(|line| {
                let left = line.quantity - line.cancelled_quantity - line.pending_quantity;
                (line.line_id.clone(), left)
            })
            .collect();
        let selection = match self.random.below(10) {
            0..2 => Some(Selection::All(pb::AllUnits {})),
            2..6 => Some(Selection::ShipmentId(self.spoil(shipment.shipment_id, 5))),
            6 if self.random.chance(20) => None,
            _ => Some(Selection::Lines(pb::LineSelection {
                lines: self.some_lines(&of_lines),
            })),
        };
        let store = self.stores.iter().find(|store| store.id == order.store_id);
        let reasons = store.map(|store| store.reasons.clone()).unwrap_or_default();
        let of_role: Vec<_> = reasons
            .iter()
            .filter(|reason| reason.1.contains(&by))
            .collect();
        let pool: Vec<_> = if of_role.is_empty() || self.random.chance(6) {
            reasons.iter().collect()
        } else {
            of_role
        };
        let (mut reason, mut channels) = (String::new(), Vec::new());
        if !pool.is_empty() && self.random.chance(90) {
            let picked = self.random.pick(&pool);
            (reason, channels) = (picked.0.clone(), picked.2.clone());
        } else if self.random.chance(30) {
            reason = "NO_SUCH_REASON".to_owned();
        }
        let channel = channels.first().map_or("CHAT", String::as_str);
        let paths = [
            vec![],
            vec![Path::Cancel],
            vec![Path::Cancel, Path::Intercept],
            vec![Path::Intercept, Path::RefuseDelivery],
            vec![Path::ReturnUnopened],
            vec![Path::ReturnOpened, Path::Cancel],
        ];
        // Mostly such that lead somewhere from where it is.
        let paths = match stage {
            pb::ShipmentStage::InTransit if self.random.chance(75) => &paths[2..4],
            pb::ShipmentStage::Delivered if self.random.chance(75) => &paths[4..],
            pb::ShipmentStage::Preparing | pb::ShipmentStage::Ready if self.random.chance(75) => {
                &paths[..2]
            }
            _ => &paths[..],
        };
        let paths = self.random.pick(paths).into_iter().map(i32::from);
        let mut behalf = None;
        if role == "support" && self.random.chance(50) {
            let name = order.buyer.as_ref().map_or("ann", |buyer| &buyer.id);
            let of = self.random.pick(&[name, name, "eve"]);
            behalf = Some(pb::OnBehalfOf {
                buyer: Some(if self.random.chance(70) {
                    pb::on_behalf_of::Buyer::BuyerEmail(format!("{of}@example.org"))
                } else {
                    pb::on_behalf_of::Buyer::BuyerUsername(format!("{of}-1"))
                }),
            });
        }
        let request = pb::RequestCancellationRequest {
            store_id: order.store_id.clone(),
            order_id: self.spoil(order.order_id.clone(), 1),
            etag: self.etag(&order.etag),
            selection,
            reason,
            note: self
                .random
                .maybe(85, |_| "As agreed.".to_owned())
                .unwrap_or_default(),
            evidence: self
                .random
                .maybe(85, |_| vec![format!("{channel}:1")])
                .unwrap_or_default(),
            paths: paths.collect(),
            on_ineligible_units: self
                .random
                .maybe(50, |random| i32::try_from(random.number(1, 3)).unwrap_or(0))
                .unwrap_or_default(),
            on_behalf_of: behalf,
            metadata: self.metadata(),
            external_references: self.external_references(),
            ..Default::default()
        };
        (self.perhaps(caller), request)
    }

    async fn request(&mut self, order: &pb::Order) {
        let order = self.order_on_its_way(order);
        let (mut caller, mut request) = self.cancellation(&order);
        let is_quoted = !self.quotes.is_empty() && self.random.chance(25);
        if is_quoted {
            let (by, quoted) = self.random.pick(&self.quotes.clone());
            if self.random.chance(85) {
                (caller, request) = (by, quoted);
            } else {
                request.quote = quoted.quote;
            }
        }
        let order = (request.store_id.clone(), request.order_id.clone());
        self.command(order, caller, request).await;
    }

    async fn preview(&mut self, order: &pb::Order) {
        use pb::list_reasons_request::Selection as Listed;
        use pb::preview_cancellation_request::Selection as Previewed;

        let order = self.order_on_its_way(order);
        let (caller, request) = self.cancellation(&order);
        let selection = request.selection.clone().map(|selection| match selection {
            Selection::All(all) => Previewed::All(all),
            Selection::Lines(lines) => Previewed::Lines(lines),
            Selection::ShipmentId(id) => Previewed::ShipmentId(id),
        });
        let asked = pb::PreviewCancellationRequest {
            store_id: request.store_id.clone(),
            order_id: request.order_id.clone(),
            selection,
            reason: request.reason.clone(),
            paths: request.paths.clone(),
            on_ineligible_units: request.on_ineligible_units,
            on_behalf_of: request.on_behalf_of.clone(),
            at_time: if self.random.chance(15) {
                self.near()
            } else {
                None
            },
        };
        if caller.role == "seller" {
            // It shows the seller's quality.
            self.pair.projected().await;
        }
        let listed = pb::ListReasonsRequest {
            store_id: asked.store_id.clone(),
            order_id: asked.order_id.clone(),
            selection: asked.selection.clone().map(|selection| match selection {
                Previewed::All(all) => Listed::All(all),
                Previewed::Lines(lines) => Listed::Lines(lines),
                Previewed::ShipmentId(id) => Listed::ShipmentId(id),
            }),
            paths: asked.paths.clone(),
            on_ineligible_units: asked.on_ineligible_units,
            on_behalf_of: asked.on_behalf_of.clone(),
            languages: vec!["de-AT".to_owned()],
        };
        _ = self.pair.ask(&caller, listed).await;
        let Ok(preview) = self.pair.ask(&caller, asked).await else {
            return;
        };
        if !preview.quote.is_empty() {
            let quote = preview.quote;
            self.quotes
                .push((caller, pb::RequestCancellationRequest { quote, ..request }));
            let oldest = self.quotes.len().saturating_sub(6);
            self.quotes.drain(..oldest);
        }
    }

    /// Who has to do with a shipment in this role.
    fn of_shipment(
        &mut self,
        role: &'static str,
        order: &pb::Order,
        shipment: &pb::Shipment,
    ) -> Caller {
        let actor = match role {
            "seller" => order.seller_id.as_str(),
            "warehouse" => shipment.warehouse_id.as_str(),
            "carrier" => shipment.carrier_id.as_str(),
            "support" => "sam",
            "operator" => "ops",
            _ => "web",
        };
        Caller::new(role, actor)
    }

    /// What warehouses, carriers and sellers do.
    async fn fulfil(&mut self, order: &pb::Order) {
        let shipment = self.shipment(order);
        let (store_id, at) = (order.store_id.clone(), named(order));
        let shipment_id = self.spoil(shipment.shipment_id.clone(), 2);
        let etag = self.etag(&order.etag);
        let right = if self.random.chance(8) {
            shipment.fence - 1
        } else {
            shipment.fence
        };
        let fence = if self.random.chance(50) { right } else { 0 };
        let role = self
            .random
            .pick(&["warehouse", "warehouse", "seller", "operator"]);
        let by = self.of_shipment(role, order, &shipment);
        let by = self.perhaps(by);
        macro_rules! send {
            ($by:expr, $Request:ident { $($rest:tt)* }) => {{
                let request = pb::$Request { store_id, shipment_id, $($rest)*, ..Default::default() };
                self.command(at, $by, request).await;
            }};
        }
        // Mostly what comes next.
        let any = self.random.below(22);
        let next = match shipment.stage() {
            pb::ShipmentStage::Planned => 0,
            pb::ShipmentStage::Preparing => 3,
            pb::ShipmentStage::Ready => 6,
            pb::ShipmentStage::InTransit | pb::ShipmentStage::Returning => 11,
            _ => any,
        };
        let is_next = self.random.chance(35);
        match if is_next { next } else { any } {
            0..3 => send!(by, StartPreparationRequest { fence, etag }),
            3..6 => send!(by, MarkReadyRequest { fence, etag }),
            6..11 => {
                let tracking_number = self.random.pick(&["", "T-1"]).to_owned();
                send!(
                    by,
                    DispatchShipmentRequest {
                        fence: right,
                        etag,
                        tracking_number
                    }
                );
            }
            11..15 => {
                let carrier = self.of_shipment("carrier", order, &shipment);
                let by = self.perhaps(carrier);
                let carrier_event_id = format!("scan-{}", self.random.below(400));
                let facts = [1, 2, 3, 3, 3, 4, 5, 6];
                let fact = self.random.pick(&facts);
                let occurred_time = if self.random.chance(30) {
                    self.near()
                } else {
                    None
                };
                send!(
                    by,
                    RecordTrackingRequest {
                        carrier_event_id,
                        fact,
                        occurred_time
                    }
                );
            }
            15 => {
                let seller = self.of_shipment("seller", order, &shipment);
                let by = self.perhaps(seller);
                let micros = i64::from(self.random.number(1, 1_000_000_000));
                let until = self.pair.now + SignedDuration::from_micros(micros * 200);
                let hold_until = self
                    .random
                    .pick(&[Some(stamp(until)), Some(stamp(until)), None]);
                let hold_until = if self.random.chance(8) {
                    self.near()
                } else {
                    hold_until
                };
                send!(
                    by,
                    HoldShipmentRequest {
                        fence,
                        etag,
                        hold_until,
                        note: "Wait.".to_owned()
                    }
                );
            }
            16 => {
                let seller = self.of_shipment("seller", order, &shipment);
                let by = self.perhaps(seller);
                send!(by, ReleaseHoldRequest { fence, etag });
            }
            17..19 => {
                let mut parcels = vec![pb::Parcel::default(); 2];
                for content in &shipment.contents {
                    let live = content.quantity - content.cancelled_quantity;
                    let first = self.random.number(0, u32::try_from(live).unwrap_or(0));
                    let first = i32::try_from(first).expect("a small number");
                    for (parcel, quantity) in parcels.iter_mut().zip([first, live - first]) {
                        let line_id = content.line_id.clone();
                        let some = pb::LineQuantity { line_id, quantity };
                        parcel.contents.extend((quantity > 0).then_some(some));
                    }
                }
                send!(
                    by,
                    SplitShipmentRequest {
                        fence,
                        etag,
                        parcels
                    }
                );
            }
            _ => {
                let out: Vec<(String, i32)> = shipment
                    .contents
                    .iter()
                    .map(|content| {
                        let out = content.dispatched_quantity - content.received_quantity;
                        (content.line_id.clone(), out.max(1))
                    })
                    .collect();
                let quantities = if self.random.chance(60) {
                    self.some_lines(&out)
                } else {
                    Vec::new()
                };
                let condition = i32::try_from(self.random.number(0, 3)).expect("a small number");
                let receipt_id = self.random.pick(&["", "box-1", "box-2"]).to_owned();
                let receive_time = if self.random.chance(20) {
                    self.near()
                } else {
                    None
                };
                send!(
                    by,
                    ReceiveParcelRequest {
                        condition: condition.max(i32::from(!self.random.chance(4))),
                        quantities,
                        receive_time,
                        note: String::new(),
                        receipt_id
                    }
                );
            }
        }
    }

    /// Mostly what a waiting cancellation waits for.
    async fn answer(&mut self, order: &pb::Order) {
        let is_pending = |order: &&pb::Order| {
            let mut cancellations = order.cancellations.iter();
            cancellations.any(|of| of.state() == pb::CancellationState::Pending)
        };
        let pending: Vec<&pb::Order> = self.orders.iter().filter(is_pending).collect();
        let other = (!pending.is_empty()).then(|| self.random.pick(&pending).clone());
        let order = &other.unwrap_or_else(|| order.clone());
        let mut open = Vec::new();
        for cancellation in &order.cancellations {
            for part in &cancellation.parts {
                let gates = part.gates.iter();
                let gates = gates.filter(|gate| gate.state() == pb::GateState::Open);
                open.extend(gates.map(|gate| (cancellation, part, gate.kind())));
            }
        }
        let kinds = [
            pb::GateKind::SellerConsent,
            pb::GateKind::SupportReview,
            pb::GateKind::WarehouseStop,
            pb::GateKind::CarrierIntercept,
            pb::GateKind::ParcelReceipt,
        ];
        let (mut cancellation_id, mut shipment) =
            (format!("{}:c1", order.order_id), self.shipment(order));
        let mut kind = self.random.pick(&kinds);
        if !open.is_empty() && !self.random.chance(8) {
            let (cancellation, part, of) = self.random.pick(&open);
            cancellation_id.clone_from(&cancellation.cancellation_id);
            let found = order
                .shipments
                .iter()
                .find(|it| it.shipment_id == part.shipment_id);
            shipment = found.cloned().unwrap_or_default();
            kind = of;
        }
        let (store_id, at) = (order.store_id.clone(), named(order));
        let cancellation_id = self.spoil(cancellation_id, 2);
        let etag = self.etag(&order.etag);
        if self.random.chance(15) {
            let role = self
                .random
                .pick(&["storefront", "storefront", "seller", "support"]);
            let by = self.of_shipment(role, order, &shipment);
            let caller = self.perhaps(by);
            let request = pb::WithdrawCancellationRequest {
                store_id,
                cancellation_id,
                etag,
                ..Default::default()
            };
            self.command(at, caller, request).await;
            return;
        }
        let shipment_id = self.spoil(shipment.shipment_id.clone(), 2);
        let note = self.random.pick(&["", "Seen."]).to_owned();
        let is_yes = self.random.chance(70);
        let role = match kind {
            pb::GateKind::SellerConsent => "seller",
            pb::GateKind::CarrierIntercept => "carrier",
            pb::GateKind::WarehouseStop | pb::GateKind::ParcelReceipt => "warehouse",
            pb::GateKind::SupportReview
            | pb::GateKind::LossConfirmation
            | pb::GateKind::Unspecified => "support",
        };
        let by = self.of_shipment(role, order, &shipment);
        let caller = self.perhaps(by);
        let code = self
            .random
            .pick(&["SHIPPED_ALREADY", "TOO_LATE", ""])
            .to_owned();
        let of_shipment: Vec<(String, i32)> = shipment
            .contents
            .iter()
            .map(|content| {
                (
                    content.line_id.clone(),
                    content.quantity - content.cancelled_quantity,
                )
            })
            .collect();
        match kind {
            pb::GateKind::WarehouseStop => {
                use pb::answer_stop_request::Answer;
                let quantities = if self.random.chance(30) {
                    self.some_lines(&of_shipment)
                } else {
                    Vec::new()
                };
                let put_back = if self.random.chance(20) {
                    self.some_lines(&of_shipment)
                } else {
                    Vec::new()
                };
                let stopped = pb::Stopped {
                    quantities,
                    stage_seen: self.random.pick(&[0, 3, 4, 5]),
                    put_back,
                };
                let request = pb::AnswerStopRequest {
                    store_id,
                    shipment_id,
                    cancellation_id: if self.random.chance(40) {
                        cancellation_id
                    } else {
                        String::new()
                    },
                    answer: Some(if is_yes {
                        Answer::Stopped(stopped)
                    } else {
                        Answer::CannotStop(pb::CannotStop { code })
                    }),
                    note,
                    ..Default::default()
                };
                self.command(at, caller, request).await;
            }
            pb::GateKind::CarrierIntercept => {
                use pb::answer_intercept_request::Answer;
                let request = pb::AnswerInterceptRequest {
                    store_id,
                    shipment_id,
                    answer: Some(if is_yes {
                        Answer::Confirmed(pb::InterceptConfirmed {})
                    } else {
                        Answer::CannotIntercept(pb::CannotIntercept { code })
                    }),
                    note,
                    ..Default::default()
                };
                self.command(at, caller, request).await;
            }
            pb::GateKind::ParcelReceipt => {
                let condition = i32::try_from(self.random.number(1, 3)).expect("a small number");
                let request = pb::ReceiveParcelRequest {
                    store_id,
                    shipment_id,
                    condition,
                    note,
                    ..Default::default()
                };
                self.command(at, caller, request).await;
            }
            _ if is_yes => {
                let request = pb::ApproveCancellationRequest {
                    store_id,
                    cancellation_id,
                    etag,
                    note,
                    ..Default::default()
                };
                self.command(at, caller, request).await;
            }
            _ => {
                let request = pb::RejectCancellationRequest {
                    store_id,
                    cancellation_id,
                    etag,
                    code,
                    note,
                    ..Default::default()
                };
                self.command(at, caller, request).await;
            }
        }
    }

    /// A worker takes refunds. That has no request id: it is done anew each time.
    pub(crate) async fn claim(&mut self, store_id: &str) {
        let lease = self.random.maybe(60, |random| prost_types::Duration {
            seconds: i64::from(random.pick(&[5_u32, 10, 60, 900])),
            nanos: 1_000 * i32::try_from(random.number(0, 999_999)).expect("a small number"),
        });
        // Of several orders of one partition, which comes first is nobody's promise.
        let most = if self.is_still { 1 } else { 4 };
        let request = pb::ClaimRefundsRequest {
            store_id: store_id.to_owned(),
            worker_id: self.random.pick(&["w-1", "w-2", "no id!"]).to_owned(),
            max_refunds: i32::try_from(self.random.number(1, most)).expect("a small number"),
            lease,
        };
        let caller = self.perhaps(Caller::new("payments", "psp"));
        let claimed = self.pair.ask(&caller, request).await;
        self.pair.wrote();
        self.pair.settled().await;
        for refund in claimed.map(|claimed| claimed.refunds).unwrap_or_default() {
            self.look_at(store_id, &refund.order_id).await;
            self.claimed.push((store_id.to_owned(), refund));
        }
    }

    async fn refund_result(&mut self, order: &pb::Order) {
        let of_order = order
            .refunds
            .last()
            .map(|refund| (order.store_id.clone(), refund.clone()));
        let claimed = self.claimed.pop();
        let found = if self.random.chance(85) {
            claimed.or(of_order)
        } else {
            of_order
        };
        let Some((store_id, refund)) = found else {
            return self.claim(&order.store_id).await;
        };
        let total = refund
            .amount
            .clone()
            .unwrap_or_default()
            .total
            .unwrap_or_default();
        let result = self.random.pick(&[1, 1, 1, 2, 3]);
        let amounts = [
            total.minor_units,
            total.minor_units,
            total.minor_units / 2,
            0,
        ];
        let other = self.random.maybe(3, |_| "GBP");
        let amount = money(
            other.unwrap_or(&total.currency_code),
            self.random.pick(&amounts),
        );
        let request = pb::RecordRefundResultRequest {
            store_id: store_id.clone(),
            refund_id: self.spoil(refund.refund_id, 3),
            result,
            amount: amount.filter(|_| self.random.chance(40)),
            failure_code: if result == 2 {
                "insufficient funds".to_owned()
            } else {
                String::new()
            },
            provider_refund_id: self.random.pick(&["", "re-1"]).to_owned(),
            occurred_time: if self.random.chance(20) {
                self.near()
            } else {
                None
            },
            ..Default::default()
        };
        let caller = self.perhaps(Caller::new("payments", "psp"));
        self.command((store_id, refund.order_id), caller, request)
            .await;
    }

    async fn resolve(&mut self, order: &pb::Order) {
        let with: Vec<&pb::Order> = self
            .orders
            .iter()
            .filter(|it| !it.incidents.is_empty())
            .collect();
        let order = if with.is_empty() {
            order.clone()
        } else {
            self.random.pick(&with).clone()
        };
        let index = self.random.below(order.incidents.len());
        let incident = order.incidents.get(index).cloned().unwrap_or_default();
        let allowed = incident.allowed_resolutions.first().copied();
        let any = i32::try_from(self.random.number(1, 4)).expect("a small number");
        let is_allowed = self.random.chance(70);
        let request = pb::ResolveIncidentRequest {
            store_id: order.store_id.clone(),
            incident_id: self.spoil(incident.incident_id, 3),
            etag: self.etag(&order.etag),
            resolution: allowed.filter(|_| is_allowed).unwrap_or(any),
            note: self.random.pick(&["", "Looked into."]).to_owned(),
            ..Default::default()
        };
        let caller = self.perhaps(Caller::new("support", "sam"));
        self.command(named(&order), caller, request).await;
    }
}
