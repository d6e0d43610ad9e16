//! Orders that go their whole way under a preset: what its rules come to once the commands have asked them at every stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{Part, Path};
use belay_domain::commands::{
    self, Answer, AnswerIntercept, AnswerStop, ApproveCancellation, Command, CreateOrder, DispatchShipment,
    IneligibleUnits, InterceptAnswer, MarkReady, NewLine, ReceiveParcel, RecordPayment, RecordTracking,
    RejectCancellation, RequestCancellation, Selection, SplitShipment, StartPreparation, StopAnswer,
};
use belay_domain::context::{Carrier, Context, ReturnLabel, StoreFacts, Warehouse};
use belay_domain::ids::{BuyerId, CarrierId, ExternalId, OrderId, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::money::{Currency, Money};
use belay_domain::order::{Buyer, Destination, Order, OrderState};
use belay_domain::payment::PaymentFact;
use belay_domain::policy::{Calendar, GoodsCondition, Policies, Weekday};
use belay_domain::rejection::{LineQuantity, Rejection};
use belay_domain::shipment::{Stage, TrackingFact};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::support::{hours, preset};

/// A Friday, 10:00 UTC.
const PLACED: &str = "2026-11-06T10:00:00Z";

/// One order of `units` things at 10.00 and 5.00 for shipping, from a warehouse in Shenzhen to Germany, and the time.
struct Journey {
    order: Order,
    store: StoreFacts,
    now: Timestamp,
    counter: u32,
}

fn able() -> Carrier {
    Carrier { in_transit_cancel: true, ..Carrier::default() }
}

fn partner() -> Carrier {
    Carrier { partner_delivery: true, ..able() }
}

fn labelled(carrier: Carrier) -> Carrier {
    let price = Money { currency: Currency::parse("EUR").unwrap(), minor_units: 300 };
    Carrier { return_labels: BTreeMap::from([("DE".to_owned(), ReturnLabel { price: Some(price) })]), ..carrier }
}

impl Journey {
    fn place(preset_name: &str, units: u32, carrier: Carrier) -> Self {
        let now: Timestamp = PLACED.parse().unwrap();
        let (warehouse, post) = (WarehouseId::parse("shenzhen").unwrap(), CarrierId::parse("post").unwrap());
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let calendar = Calendar::new(zone, [Weekday::Saturday, Weekday::Sunday].into(), [].into()).unwrap();
        let store = StoreFacts {
            id: StoreId::parse("store-1").unwrap(),
            policies: Policies::new(BTreeMap::from([(1, Arc::new(preset(preset_name)))]), vec![(now, 1)]),
            time_zone: TimeZone::get("Asia/Jakarta").unwrap(),
            carriers: BTreeMap::from([(post.clone(), carrier)]),
            warehouses: BTreeMap::from([(
                warehouse.clone(),
                Warehouse { country_code: Some("CN".to_owned()), calendar },
            )]),
            default_route: Some((warehouse, post)),
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
            buyer: Buyer { id: BuyerId::parse("buyer-1").unwrap(), email_hash: None, username_hash: None },
            seller: SellerId::parse("seller-1").unwrap(),
            destination: Destination { country_code: "DE".to_owned(), region: String::new(), city: String::new() },
            currency: Currency::parse("EUR").unwrap(),
            lines: vec![line],
            shipping: 500,
            shipping_tax: 0,
            shipments: Vec::new(),
        };
        let caller = Actor::new(Role::Storefront, "shop");
        let context = Context { now, caller: &caller, request_id: Uuid::nil(), store: &store };
        let order = commands::create(&create, [0; 32], &context).unwrap().order;
        Self { order, store, now, counter: 0 }
    }

    fn paid(preset_name: &str, units: u32, carrier: Carrier) -> Self {
        let mut journey = Self::place(preset_name, units, carrier);
        journey.pay("WALLET");
        journey
    }

    fn run(&mut self, by: Role, command: Command) -> Result<Answer, Rejection> {
        let caller = Actor::new(by, "someone");
        let context = Context { now: self.now, caller: &caller, request_id: Uuid::nil(), store: &self.store };
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
            amount: Some(Money { currency: self.order.currency, minor_units: self.order.total().total() }),
            method: Some(method.to_owned()),
            occurred_time: None,
        };
        self.run(Role::Payments, Command::RecordPayment(command)).unwrap();
    }

    /// Time goes by, and what is due by then happens.
    fn wait(&mut self, time: SignedDuration) {
        self.now += time;
        self.run(Role::System, Command::Settle).unwrap();
    }

    fn prepare(&mut self) {
        let command = StartPreparation { shipment: 1, fence: None };
        self.run(Role::Warehouse, Command::StartPreparation(command)).unwrap();
    }

    fn dispatch(&mut self) -> Result<Answer, Rejection> {
        let fence = self.order.shipment(1).unwrap().fence;
        let ready = MarkReady { shipment: 1, fence: None };
        self.run(Role::Warehouse, Command::MarkReady(ready))?;
        let command = DispatchShipment { shipment: 1, fence, tracking_number: None };
        self.run(Role::Warehouse, Command::DispatchShipment(command))
    }

    fn scan(&mut self, fact: TrackingFact) {
        let command = RecordTracking { shipment: 1, carrier_event_id: self.unique_id(), fact, occurred_time: None };
        self.run(Role::Carrier, Command::RecordTracking(command)).unwrap();
    }

    fn receive(&mut self, condition: GoodsCondition) {
        let command = ReceiveParcel { shipment: 1, condition, quantities: Vec::new(), receive_time: None, note: None };
        self.run(Role::Warehouse, Command::ReceiveParcel(command)).unwrap();
    }

    fn stop(&mut self, answer: StopAnswer) {
        let command = AnswerStop { shipment: 1, cancellation: None, answer, note: None };
        self.run(Role::Warehouse, Command::AnswerStop(command)).unwrap();
    }

    fn intercept(&mut self, answer: InterceptAnswer) {
        let command = AnswerIntercept { shipment: 1, answer, note: None };
        self.run(Role::Carrier, Command::AnswerIntercept(command)).unwrap();
    }

    fn approve(&mut self, by: Role) -> Result<Answer, Rejection> {
        self.run(by, Command::ApproveCancellation(ApproveCancellation { cancellation: 1, note: None }))
    }

    fn reject(&mut self, by: Role) {
        let (code, note) = ("NO".to_owned(), None);
        let command = RejectCancellation { cancellation: 1, code, note, evidence: Vec::new() };
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
            quote: None,
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
                [violations[0].code.to_string()].into_iter().chain(actions).collect::<Vec<_>>().join(", ")
            }
            Err(other) => other.reason().to_owned(),
            Ok(_) => panic!("it is not refused"),
        }
    }

    fn part(&self) -> &Part {
        &self.order.cancellations.last().expect("a cancellation").parts[0]
    }

    /// How the last cancellation stands.
    fn stands(&self) -> String {
        let part = self.part();
        let detail = part.open_gate().map(|gate| gate.spec.kind.name()).or(part.refused_reason.as_deref());
        [Some(part.state.name()), detail].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn stage(&self) -> Stage {
        self.order.shipment(1).unwrap().stage
    }

    /// What goes back, in all.
    fn refunded(&self) -> i64 {
        self.order.refunds.iter().map(|refund| refund.amounts.total()).sum()
    }
}

const STOPPED: StopAnswer = StopAnswer::Stopped { quantities: Vec::new(), stage_seen: None, put_back: Vec::new() };
const CANNOT_STOP: StopAnswer = StopAnswer::CannotStop { code: None };
const CANNOT_INTERCEPT: InterceptAnswer = InterceptAnswer::CannotIntercept { code: None };

mod independent_site {
    use super::*;

    fn shipped(carrier: Carrier) -> Journey {
        let mut journey = Journey::paid("independent-site", 2, carrier);
        journey.dispatch().unwrap();
        journey
    }

    #[test]
    fn s000_12_and_13_what_is_intercepted_is_paid_back_once_it_is_home() {
        let mut journey = shipped(able());
        let refused = journey.refused(Role::Storefront, "FOUND_BETTER", Path::Cancel);
        assert_eq!(refused, "SHIPPED, INTERCEPT, CONTACT_SUPPORT");
        journey.asks(Role::Storefront, "FOUND_BETTER", Path::Intercept);
        assert_eq!(journey.stands(), "WAITING CARRIER_INTERCEPT");
        journey.intercept(InterceptAnswer::Confirmed);
        journey.scan(TrackingFact::Returning);
        journey.scan(TrackingFact::Returned);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("WAITING PARCEL_RECEIPT", 0));
        journey.receive(GoodsCondition::Unopened);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 2000));
    }

    #[test]
    fn s000_14_what_cannot_be_intercepted_is_delivered_and_returned() {
        let mut journey = shipped(able());
        journey.asks(Role::Storefront, "FOUND_BETTER", Path::Intercept);
        journey.intercept(CANNOT_INTERCEPT);
        assert_eq!(journey.stands(), "REFUSED NOT_INTERCEPTABLE");
        assert_eq!(journey.part().next_actions[0].name(), "RETURN_UNOPENED");
        journey.scan(TrackingFact::Delivered);
        journey.asks(Role::Storefront, "FOUND_BETTER", Path::ReturnUnopened);
        journey.receive(GoodsCondition::Unopened);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 2000));
    }

    #[test]
    fn a_parcel_that_nobody_took_comes_home_and_one_that_is_lost_is_paid_for() {
        let mut home = shipped(able());
        home.scan(TrackingFact::Returning);
        assert_eq!(home.stands(), "WAITING PARCEL_RECEIPT");
        home.receive(GoodsCondition::Unopened);
        assert_eq!((home.stands().as_str(), home.refunded()), ("CANCELLED", 2000));
        let mut lost = shipped(able());
        lost.scan(TrackingFact::Lost);
        lost.asks(Role::Support, "LOST_IN_TRANSIT", Path::Cancel);
        assert_eq!((lost.stands().as_str(), lost.refunded()), ("CANCELLED", 2500));
    }
}

mod cross_border_declaration {
    use super::*;

    const PRESET: &str = "cross-border-declaration";

    #[test]
    fn s001_01_to_03_unpaid_orders_close_themselves_after_24_hours() {
        let mut journey = Journey::place(PRESET, 2, able());
        let refused = journey.refused(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
        assert_eq!(refused, "UNPAID_CLOSES_ITSELF, PAY, WAIT");
        let mut in_time = Journey::place(PRESET, 2, able());
        in_time.wait(hours(24) - SignedDuration::from_secs(1));
        in_time.pay("WALLET");
        assert_eq!(in_time.order.state, OrderState::ToShip);
        journey.wait(hours(24));
        assert_eq!(journey.order.state, OrderState::ClosedUnpaid);
        journey.pay("WALLET");
        assert_eq!((journey.order.state, journey.refunded()), (OrderState::ClosedUnpaid, 2500));
        assert_eq!(journey.ask(Role::Storefront, "WRONG_PURCHASE", Path::Cancel), Ok(Answer::Cancellation(1)));
    }

    #[test]
    fn s001_04_and_05_an_application_is_reviewed_while_there_is_a_button() {
        let apply = || {
            let mut journey = Journey::paid(PRESET, 2, able());
            journey.wait(hours(12) - SignedDuration::from_secs(1));
            journey.asks(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
            assert_eq!(journey.stands(), "WAITING SUPPORT_REVIEW");
            journey
        };
        let mut approved = apply();
        approved.wait(hours(1));
        approved.approve(Role::Support).unwrap();
        assert_eq!((approved.stands().as_str(), approved.refunded()), ("CANCELLED", 2500));
        let mut rejected = apply();
        rejected.reject(Role::Support);
        assert_eq!(rejected.stands(), "REFUSED CONSENT_REFUSED");
        let mut late = Journey::paid(PRESET, 2, able());
        late.wait(hours(12));
        assert!(late.order.shipment(1).unwrap().preparation_overdue);
        let refused = late.refused(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
        assert_eq!(refused, "REFUND_NOT_OFFERED, CONTACT_SUPPORT");
    }

    #[test]
    fn s001_07_to_09_an_application_that_is_overtaken_by_the_preparation_becomes_a_stop() {
        let stop = || {
            let mut journey = Journey::paid(PRESET, 2, able());
            journey.asks(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
            journey.prepare();
            journey.approve(Role::Support).unwrap();
            assert_eq!(journey.stands(), "WAITING WAREHOUSE_STOP");
            // Monday is over in Shenzhen.
            let respond_by = journey.part().open_gate().unwrap().respond_by;
            assert_eq!(respond_by, Some("2026-11-09T16:00:00Z".parse().unwrap()));
            journey
        };
        let mut stopped = stop();
        assert_eq!(stopped.dispatch().unwrap_err().reason(), "SHIPMENT_BARRED");
        stopped.stop(STOPPED);
        assert_eq!((stopped.stands().as_str(), stopped.stage()), ("CANCELLED", Stage::Cancelled));
        let mut going = stop();
        going.stop(CANNOT_STOP);
        assert_eq!(going.stands(), "REFUSED WAREHOUSE_CANNOT_STOP");
        going.dispatch().unwrap();
        let mut silent = stop();
        silent.wait(hours(100));
        assert_eq!(silent.stands(), "REFUSED GATE_TIMED_OUT");
    }

    fn delivered(carrier: Carrier) -> Journey {
        let mut journey = Journey::paid(PRESET, 2, carrier);
        journey.dispatch().unwrap();
        journey.scan(TrackingFact::Delivered);
        journey
    }

    #[test]
    fn s001_11_refused_parcels_come_home_whether_anybody_asked_or_not() {
        for asks in [true, false] {
            let mut journey = Journey::paid(PRESET, 2, Carrier::default());
            journey.dispatch().unwrap();
            if asks {
                journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::RefuseDelivery);
            }
            journey.scan(TrackingFact::Returning);
            assert_eq!(journey.stands(), "WAITING PARCEL_RECEIPT");
            journey.scan(TrackingFact::Returned);
            journey.receive(GoodsCondition::Unopened);
            assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 2000));
        }
        let mut signed = Journey::paid(PRESET, 2, Carrier::default());
        signed.dispatch().unwrap();
        signed.asks(Role::Storefront, "NO_LONGER_WANTED", Path::RefuseDelivery);
        signed.scan(TrackingFact::Delivered);
        assert_eq!(signed.stands(), "REFUSED DELIVERED");
    }

    #[test]
    fn s001_12_and_13_the_buyer_bears_both_ways_where_there_is_a_label() {
        let mut journey = delivered(labelled(able()));
        journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnUnopened);
        let deductions = journey.part().deductions;
        assert_eq!((deductions.outbound_shipping, deductions.return_shipping), (500, 300));
        journey.receive(GoodsCondition::Unopened);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 1700));
        let mut not_as_described = delivered(labelled(able()));
        not_as_described.asks(Role::Storefront, "NOT_AS_DESCRIBED", Path::ReturnUnopened);
        not_as_described.receive(GoodsCondition::Unopened);
        assert_eq!(not_as_described.refunded(), 2500);
        let mut without = delivered(able());
        let refused = without.refused(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnUnopened);
        assert_eq!(refused, "LABEL_UNAVAILABLE_IN_REGION, CONTACT_SUPPORT");
        without.asks(Role::Support, "NO_LONGER_WANTED", Path::ReturnUnopened);
        assert_eq!(without.stands(), "WAITING PARCEL_RECEIPT");
    }

    #[test]
    fn s001_14_and_16_what_was_opened_is_talked_about_first_and_not_sold_again() {
        let mut journey = delivered(labelled(able()));
        journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnOpened);
        assert_eq!(journey.stands(), "WAITING SUPPORT_REVIEW");
        journey.approve(Role::Support).unwrap();
        assert_eq!(journey.stands(), "WAITING PARCEL_RECEIPT");
        journey.scan(TrackingFact::Returning);
        journey.wait(hours(24));
        journey.receive(GoodsCondition::Opened);
        // 60 % of the price, less the label; the way out is spent.
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 900));
        assert_eq!(journey.part().effects, []);
        // 3 working days of Germany after Saturday.
        assert_eq!(journey.order.refunds[0].due_by, "2026-11-11T23:00:00Z".parse().unwrap());
        assert_eq!(journey.order.refunds[0].overdue_at, journey.order.refunds[0].due_by);
    }
}

mod supplier_agreement {
    use super::*;

    fn asked() -> Journey {
        let mut journey = Journey::paid("supplier-agreement", 2, able());
        journey.asks(Role::Storefront, "", Path::Cancel);
        assert_eq!(journey.stands(), "WAITING SELLER_CONSENT");
        assert_eq!(journey.order.state, OrderState::ToShip);
        journey
    }

    #[test]
    fn s002_01_to_04_agreed_not_agreed_silent_and_shipped() {
        let mut agreed = asked();
        agreed.approve(Role::Seller).unwrap();
        assert_eq!((agreed.stands().as_str(), agreed.stage()), ("CANCELLED", Stage::Cancelled));
        let mut disagreed = asked();
        disagreed.reject(Role::Seller);
        assert_eq!(disagreed.stands(), "REFUSED CONSENT_REFUSED");
        disagreed.dispatch().unwrap();
        let mut silent = asked();
        silent.wait(hours(7 * 24));
        assert_eq!(silent.stands(), "REFUSED GATE_TIMED_OUT");
        let mut shipped = asked();
        shipped.prepare();
        shipped.dispatch().unwrap();
        assert_eq!(shipped.stands(), "REFUSED NO_AGREEMENT");
        assert_eq!(shipped.refused(Role::Storefront, "", Path::Cancel), "SHIPPED, CONTACT_SELLER");
    }

    #[test]
    fn s002_06_cards_are_verified_for_24_hours() {
        let mut journey = Journey::place("supplier-agreement", 2, able());
        journey.pay("CREDIT_CARD");
        journey.wait(hours(24) - SignedDuration::from_secs(1));
        let refused = journey.refused(Role::Storefront, "", Path::Cancel);
        assert_eq!(refused, "PAYMENT_VERIFYING, WAIT, CONTACT_SELLER");
        journey.wait(SignedDuration::from_secs(1));
        journey.asks(Role::Storefront, "", Path::Cancel);
        journey.prepare();
        journey.approve(Role::Seller).unwrap();
        assert_eq!(journey.stands(), "CANCELLED");
    }

    #[test]
    fn s002_09_and_10_unpaid_orders_close_themselves_after_20_days() {
        let mut journey = Journey::place("supplier-agreement", 2, able());
        let refused = journey.refused(Role::Storefront, "", Path::Cancel);
        assert_eq!(refused, "UNPAID_CLOSES_ITSELF, PAY, WAIT");
        journey.wait(hours(20 * 24) - SignedDuration::from_secs(1));
        assert_eq!(journey.order.state, OrderState::AwaitingPayment);
        journey.wait(SignedDuration::from_secs(1));
        assert_eq!(journey.order.state, OrderState::ClosedUnpaid);
    }
}

mod seller_warehouse {
    use super::*;

    fn shipped(carrier: Carrier) -> Journey {
        let mut journey = Journey::paid("seller-warehouse", 3, carrier);
        journey.dispatch().unwrap();
        journey
    }

    #[test]
    fn s003_03_and_04_a_partner_confirms_or_cannot() {
        let mut confirmed = shipped(partner());
        confirmed.asks(Role::Seller, "OTHER", Path::Cancel);
        assert_eq!((confirmed.stands().as_str(), confirmed.stage()), ("WAITING CARRIER_INTERCEPT", Stage::InTransit));
        confirmed.intercept(InterceptAnswer::Confirmed);
        assert_eq!((confirmed.stands().as_str(), confirmed.refunded()), ("CANCELLED", 3500));
        let mut cannot = shipped(partner());
        cannot.asks(Role::Seller, "OTHER", Path::Cancel);
        cannot.intercept(CANNOT_INTERCEPT);
        assert_eq!((cannot.stands().as_str(), cannot.refunded()), ("REFUSED CARRIER_REFUSED", 0));
        let mut returning = shipped(partner());
        returning.asks(Role::Seller, "OTHER", Path::Cancel);
        returning.scan(TrackingFact::Returning);
        returning.receive(GoodsCondition::Unopened);
        assert_eq!(returning.stands(), "CANCELLED");
    }

    #[test]
    fn s003_05_and_06_china_post_is_not_asked_and_what_has_arrived_stays() {
        let mut journey = shipped(Carrier { partner_delivery: true, ..Carrier::default() });
        assert_eq!(journey.refused(Role::Seller, "OTHER", Path::Cancel), "NOT_INTERCEPTABLE, CONTACT_SUPPORT");
        journey.scan(TrackingFact::Delivered);
        assert_eq!(journey.refused(Role::Seller, "OTHER", Path::Cancel), "DELIVERED, CONTACT_SUPPORT");
    }

    #[test]
    fn s003_08_and_11_a_reason_is_named_and_evidence_comes_from_a_channel() {
        let mut journey = Journey::paid("seller-warehouse", 3, partner());
        assert_eq!(journey.refused(Role::Seller, "", Path::Cancel), "REASON_REQUIRED");
        journey.asks(Role::Seller, "BUYER_ASKED", Path::Cancel);
        assert!(journey.order.cancellations[0].counted);
        assert_eq!(journey.stands(), "CANCELLED");
        assert_eq!(shipped(partner()).refused(Role::Seller, "BUYER_ASKED", Path::Cancel), "SHIPPED, CONTACT_SUPPORT");
    }

    #[test]
    fn s003_12_to_14_four_of_a_kind_are_flagged_and_split_by_who_delivers_alone() {
        let flag = |journey: &Journey, number| journey.order.shipment(number).unwrap().customs_flag.is_some();
        assert!(!flag(&Journey::paid("seller-warehouse", 3, partner()), 1));
        let split = |journey: &mut Journey| {
            let parcels = vec![vec![LineQuantity { line: 1, quantity: 2 }]; 2];
            journey.run(Role::Seller, Command::SplitShipment(SplitShipment { shipment: 1, fence: None, parcels }))
        };
        let mut own = Journey::paid("seller-warehouse", 4, able());
        assert!(flag(&own, 1));
        split(&mut own).unwrap();
        assert!(!flag(&own, 2) && !flag(&own, 3) && own.order.cancellations.is_empty());
        let mut partners = Journey::paid("seller-warehouse", 4, partner());
        assert_eq!(split(&mut partners).unwrap_err().reason(), "SPLIT_NOT_ALLOWED");
        partners.asks(Role::Seller, "BUYER_ASKED", Path::Cancel);
        assert_eq!(partners.stands(), "CANCELLED");
    }

    #[test]
    fn s003_15_the_carrier_confirms_a_loss() {
        let mut journey = shipped(able());
        journey.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
        assert_eq!(journey.stands(), "WAITING LOSS_CONFIRMATION");
        assert!(journey.order.shipment(1).unwrap().intercept.is_none());
        journey.scan(TrackingFact::Lost);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 3500));
        let mut found = shipped(able());
        found.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
        found.scan(TrackingFact::Delivered);
        assert_eq!(found.stands(), "REFUSED DELIVERED");
        let mut silent = shipped(able());
        silent.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
        silent.wait(hours(10 * 24));
        assert_eq!(silent.stands(), "WAITING SUPPORT_REVIEW");
        silent.approve(Role::Support).unwrap();
        assert_eq!(silent.stands(), "CANCELLED");
        let mut known = shipped(able());
        known.scan(TrackingFact::Lost);
        known.asks(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel);
        assert_eq!(known.stands(), "CANCELLED");
        let mut inside = Journey::paid("seller-warehouse", 3, able());
        assert_eq!(inside.refused(Role::Seller, "LOST_IN_TRANSIT", Path::Cancel), "NOT_ALLOWED");
    }

    #[test]
    fn s003_18_a_partner_cancels_on_its_own_account() {
        let mut journey = shipped(partner());
        journey.asks(Role::Carrier, "DELIVERY_PROBLEM", Path::Cancel);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 3500));
        let cancellation = &journey.order.cancellations[0];
        assert_eq!((cancellation.requester.role, cancellation.counted), (Role::Carrier, false));
        assert_eq!(cancellation.fault.name(), "CARRIER");
    }
}

mod seller_center {
    use super::*;

    fn requested() -> Journey {
        let mut journey = Journey::paid("seller-center", 2, able());
        journey.prepare();
        journey.asks(Role::Storefront, "FOUND_BETTER", Path::Cancel);
        assert_eq!(journey.stands(), "WAITING SELLER_CONSENT");
        journey
    }

    #[test]
    fn s004_01_and_03_what_nobody_packs_yet_is_approved_at_once() {
        let mut journey = Journey::paid("seller-center", 2, able());
        journey.asks(Role::Storefront, "FOUND_BETTER", Path::Cancel);
        assert_eq!((journey.stands().as_str(), journey.refunded()), ("CANCELLED", 2500));
        assert!(journey.order.cancellations[0].is_auto_approved());
    }

    #[test]
    fn s004_04_to_06_a_request_has_two_calendar_days_and_silence_is_a_yes() {
        let mut journey = requested();
        let respond_by = journey.part().open_gate().unwrap().respond_by.unwrap();
        assert_eq!(respond_by, "2026-11-08T10:00:00Z".parse().unwrap());
        assert_eq!(journey.dispatch().unwrap_err().reason(), "SHIPMENT_BARRED");
        let mut in_time = requested();
        in_time.wait(hours(48) - SignedDuration::from_secs(1));
        in_time.approve(Role::Seller).unwrap();
        assert!(!in_time.order.cancellations[0].is_auto_approved());
        journey.wait(hours(48));
        assert_eq!(journey.stands(), "CANCELLED");
        let answer = journey.part().gates[0].answer.as_ref().unwrap();
        assert_eq!(answer.by.role, Role::System);
        assert_eq!(journey.approve(Role::Seller).unwrap_err().reason(), "GATE_TIMED_OUT");
    }

    #[test]
    fn s004_07_and_12_the_seller_cancels_before_shipped_and_support_never() {
        let mut journey = Journey::paid("seller-center", 2, able());
        assert_eq!(journey.refused(Role::Support, "", Path::Cancel), "NOT_ALLOWED");
        assert_eq!(journey.refused(Role::Support, "PRICING_ERROR", Path::Cancel), "REASON_NOT_ALLOWED");
        journey.dispatch().unwrap();
        assert_eq!(journey.refused(Role::Seller, "PRICING_ERROR", Path::Cancel), "SHIPPED, CONTACT_SUPPORT");
        let mut packed = requested();
        packed.reject(Role::Seller);
        packed.asks(Role::Seller, "PRICING_ERROR", Path::Cancel);
        assert_eq!((packed.stands().as_str(), packed.order.cancellations[1].counted), ("CANCELLED", true));
    }
}
