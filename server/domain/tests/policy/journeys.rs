//! Orders that go their whole way under a preset: what its rules come to once the commands have
//! asked them at every stage.

mod cross_border_declaration;
mod independent_site;
mod seller_center;
mod seller_warehouse;
mod supplier_agreement;

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::Annotations;
use belay_domain::calendar::{Calendar, Weekday};
use belay_domain::cancellation::Part;
use belay_domain::commands::{
    self, AnswerIntercept, AnswerStop, ApproveCancellation, Command, CreateOrder, DispatchShipment,
    IneligibleUnits, InterceptAnswer, MarkReady, NewLine, ReceiveParcel, RecordPayment,
    RecordTracking, RejectCancellation, RequestCancellation, Selection, SplitShipment,
    StartPreparation, StopAnswer,
};
use belay_domain::context::{CarrierProfile, Context, ReturnLabel, StoreConfig, WarehouseProfile};
use belay_domain::decision::Answer;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, OrderId, SellerId, Sku, StoreId, WarehouseId,
};
use belay_domain::money::{Currency, Money};
use belay_domain::order::{Buyer, Destination, Order, OrderState};
use belay_domain::payment::PaymentFact;
use belay_domain::policy::Policies;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use belay_domain::units::LineQuantity;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::support::{hours, preset};

/// A Friday, 10:00 UTC.
const PLACED: &str = "2026-11-06T10:00:00Z";

/// One order of `units` things at 10.00 and 5.00 for shipping, from a warehouse in Shenzhen to
/// Germany, and the time.
struct Journey {
    order: Order,
    store: StoreConfig,
    now: Timestamp,
    counter: u32,
}

fn able() -> CarrierProfile {
    CarrierProfile {
        in_transit_cancel: true,
        ..CarrierProfile::default()
    }
}

fn partner() -> CarrierProfile {
    CarrierProfile {
        partner_delivery: true,
        ..able()
    }
}

fn labelled(carrier: CarrierProfile) -> CarrierProfile {
    let price = Money {
        currency: Currency::parse("EUR").unwrap(),
        minor_units: 300,
    };
    CarrierProfile {
        return_labels: BTreeMap::from([("DE".to_owned(), ReturnLabel { price: Some(price) })]),
        ..carrier
    }
}

impl Journey {
    fn place(preset_name: &str, units: u32, carrier: CarrierProfile) -> Self {
        let now: Timestamp = PLACED.parse().unwrap();
        let (warehouse, post) = (
            WarehouseId::parse("shenzhen").unwrap(),
            CarrierId::parse("post").unwrap(),
        );
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let calendar =
            Calendar::new(zone, [Weekday::Saturday, Weekday::Sunday].into(), [].into()).unwrap();
        let store = StoreConfig {
            id: StoreId::parse("store-1").unwrap(),
            policies: Policies::new(
                BTreeMap::from([(1, Arc::new(preset(preset_name)))]),
                vec![(now, 1)],
            ),
            time_zone: TimeZone::get("Asia/Jakarta").unwrap(),
            carriers: BTreeMap::from([(post.clone(), carrier)]),
            warehouses: BTreeMap::from([(
                warehouse.clone(),
                WarehouseProfile {
                    country_code: Some("CN".to_owned()),
                    calendar,
                },
            )]),
            default_route: Some((warehouse, post)),
            storefront_records_payments: false,
        };
        let line = NewLine {
            sku: Sku::parse("SKU-1").unwrap(),
            title: "A thing".to_owned(),
            quantity: units,
            goods: i64::from(units) * 1000,
            discount: 0,
            tax: 0,
        };
        let create = CreateOrder {
            id: OrderId::parse("A-1").unwrap(),
            buyer: Buyer {
                id: BuyerId::parse("buyer-1").unwrap(),
                email_hash: None,
                username_hash: None,
            },
            seller: SellerId::parse("seller-1").unwrap(),
            destination: Destination {
                country_code: "DE".to_owned(),
                region: String::new(),
                city: String::new(),
            },
            currency: Currency::parse("EUR").unwrap(),
            lines: vec![line],
            shipping: 500,
            shipping_tax: 0,
            shipments: Vec::new(),
            annotations: Annotations::default(),
        };
        let caller = Actor::new(Role::Storefront, "shop");
        let context = Context {
            now,
            caller: &caller,
            scope: &Scope::EVERYTHING,
            request_id: Uuid::nil(),
            store: &store,
        };
        let order = commands::create(&create, [0; 32], &context).unwrap().order;
        Self {
            order,
            store,
            now,
            counter: 0,
        }
    }

    fn paid(preset_name: &str, units: u32, carrier: CarrierProfile) -> Self {
        let mut journey = Self::place(preset_name, units, carrier);
        journey.pay("WALLET");
        journey
    }

    fn run(&mut self, by: Role, command: Command) -> Result<Answer, Rejection> {
        let caller = Actor::new(by, "someone");
        let context = Context {
            now: self.now,
            caller: &caller,
            scope: &Scope::EVERYTHING,
            request_id: Uuid::nil(),
            store: &self.store,
        };
        let decision = commands::decide(&self.order, &command, None, &context);
        self.order = decision.order;
        decision.result
    }

    fn unique_id(&mut self) -> ExternalId {
        self.counter += 1;
        ExternalId::parse(format!("event-{}", self.counter)).unwrap()
    }

    fn pay(&mut self, method: &str) {
        let command = RecordPayment {
            provider_payment_id: ExternalId::parse("p1").unwrap(),
            provider_event_id: self.unique_id(),
            fact: PaymentFact::Captured,
            amount: Some(Money {
                currency: self.order.currency,
                minor_units: self.order.total().total(),
            }),
            movement: None,
            refund: None,
            method: Some(method.to_owned()),
            occurred_time: None,
        };
        self.run(Role::Payments, Command::RecordPayment(command))
            .unwrap();
    }

    /// Time goes by, and what is due by then happens.
    fn wait(&mut self, time: SignedDuration) {
        self.now += time;
        self.run(Role::System, Command::Settle).unwrap();
    }

    fn prepare(&mut self) {
        let command = StartPreparation {
            shipment: 1,
            fence: None,
        };
        self.run(Role::Warehouse, Command::StartPreparation(command))
            .unwrap();
    }

    fn dispatch(&mut self) -> Result<Answer, Rejection> {
        let fence = self.order.shipment(1).unwrap().fence;
        let ready = MarkReady {
            shipment: 1,
            fence: None,
        };
        self.run(Role::Warehouse, Command::MarkReady(ready))?;
        let command = DispatchShipment {
            shipment: 1,
            fence,
            tracking_number: None,
        };
        self.run(Role::Warehouse, Command::DispatchShipment(command))
    }

    fn scan(&mut self, fact: TrackingFact) {
        let command = RecordTracking {
            shipment: 1,
            carrier_event_id: self.unique_id(),
            fact,
            occurred_time: None,
        };
        self.run(Role::Carrier, Command::RecordTracking(command))
            .unwrap();
    }

    fn receive(&mut self, condition: GoodsCondition) {
        let command = ReceiveParcel {
            shipment: 1,
            condition,
            quantities: Vec::new(),
            receipt_id: None,
            receive_time: None,
            note: None,
        };
        self.run(Role::Warehouse, Command::ReceiveParcel(command))
            .unwrap();
    }

    fn stop(&mut self, answer: StopAnswer) {
        let command = AnswerStop {
            shipment: 1,
            cancellation: None,
            answer,
            note: None,
        };
        self.run(Role::Warehouse, Command::AnswerStop(command))
            .unwrap();
    }

    fn intercept(&mut self, answer: InterceptAnswer) {
        let command = AnswerIntercept {
            shipment: 1,
            answer,
            note: None,
        };
        self.run(Role::Carrier, Command::AnswerIntercept(command))
            .unwrap();
    }

    fn approve(&mut self, by: Role) -> Result<Answer, Rejection> {
        self.run(
            by,
            Command::ApproveCancellation(ApproveCancellation {
                cancellation: 1,
                note: None,
            }),
        )
    }

    fn reject(&mut self, by: Role) {
        let (code, note) = ("NO".to_owned(), None);
        let command = RejectCancellation {
            cancellation: 1,
            code,
            note,
            evidence: Vec::new(),
        };
        self.run(by, Command::RejectCancellation(command)).unwrap();
    }

    /// Asks for all that is left. The evidence is from a chat.
    fn ask(&mut self, by: Role, reason: &str, path: Path) -> Result<Answer, Rejection> {
        let command = RequestCancellation {
            selection: Selection::All,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            note: Some("a note".to_owned()),
            evidence: vec!["CHAT:1".to_owned()],
            paths: vec![path],
            on_ineligible_units: IneligibleUnits::Refuse,
            on_behalf_of: None,
            formerly_on_behalf_of: Box::default(),
            quote: None,
            annotations: Box::default(),
        };
        self.run(by, Command::RequestCancellation(command))
    }

    fn asks(&mut self, by: Role, reason: &str, path: Path) {
        self.ask(by, reason, path).unwrap();
    }

    /// Why it is refused: code and next actions.
    fn refused(&mut self, by: Role, reason: &str, path: Path) -> String {
        match self.ask(by, reason, path) {
            Err(Rejection::Ineligible { violations, .. }) => {
                let actions = violations[0].next_actions.iter().map(ToString::to_string);
                [violations[0].code.to_string()]
                    .into_iter()
                    .chain(actions)
                    .collect::<Vec<_>>()
                    .join(", ")
            }
            Err(other) => other.reason().to_string(),
            Ok(_) => panic!("it is not refused"),
        }
    }

    fn part(&self) -> &Part {
        &self
            .order
            .cancellations
            .last()
            .expect("a cancellation")
            .parts[0]
    }

    /// How the last cancellation stands.
    fn stands(&self) -> String {
        let part = self.part();
        let detail = part
            .open_gate()
            .map(|gate| gate.spec.kind.name())
            .or(part.refused_reason.map(ErrorReason::name));
        [Some(part.state.name()), detail]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn stage(&self) -> Stage {
        self.order.shipment(1).unwrap().stage
    }

    /// What goes back, in all.
    fn refunded(&self) -> i64 {
        self.order
            .refunds
            .iter()
            .map(|refund| refund.amounts.total())
            .sum()
    }
}

const STOPPED: StopAnswer = StopAnswer::Stopped {
    quantities: Vec::new(),
    stage_seen: None,
    put_back: Vec::new(),
};
const CANNOT_STOP: StopAnswer = StopAnswer::CannotStop { code: None };
const CANNOT_INTERCEPT: InterceptAnswer = InterceptAnswer::CannotIntercept { code: None };
