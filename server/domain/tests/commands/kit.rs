//! An order to try commands on, so that a case costs a line or two.
//!
//! Every command goes through [`Case::run`], which also holds each decision against what is true of
//! all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::Annotations;
use belay_domain::calendar::Calendar;
use belay_domain::cancellation::{Cancellation, Part, PartState};
use belay_domain::commands::{
    self, Command, CreateOrder, DispatchShipment, Identity, IneligibleUnits, LeaseRefunds,
    MarkReady, Matching, NewLine, NewShipment, RecordPayment, RecordRefundResult, RecordTracking,
    RefundResult, RequestCancellation, Selection, StartPreparation,
};
use belay_domain::context::{CarrierProfile, Context, StoreConfig, WarehouseProfile};
use belay_domain::decision::{Answer, Decision};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::{Event, EventType};
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, OrderId, SellerId, Sku, StoreId, WarehouseId, WorkerId,
};
use belay_domain::incident::{IncidentKind, IncidentState};
use belay_domain::ledger::Promise;
use belay_domain::money::{Amounts, Currency, Money};
use belay_domain::order::{Buyer, Destination, Order, OrderState};
use belay_domain::payment::PaymentFact;
use belay_domain::policy::{self, Policies, Policy};
use belay_domain::refund::RefundState;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use belay_domain::shipment::{Shipment, Stage, TrackingFact};
use belay_domain::terms::Path;
use belay_domain::units::{LineQuantity, UnitSet};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::states;

/// When every order of these tests is placed: a Monday, midnight UTC.
pub(crate) const PLACED: Timestamp = Timestamp::constant(1_767_571_200, 0);
pub(crate) const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);
/// The test policy's `unpaid.expire_after` and `unpaid.in_flight_grace`.
pub(crate) const EXPIRE_AFTER: SignedDuration = SignedDuration::from_hours(24);
pub(crate) const GRACE: SignedDuration = SignedDuration::from_mins(15);
/// How long the worker of these tests may keep a refund.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(5);

pub(crate) const EMAIL_HASH: [u8; 32] = [7; 32];
pub(crate) const USERNAME_HASH: [u8; 32] = [8; 32];

/// Cancels what has not left, for anybody.
pub(crate) const PLAIN: &str = "
  - {id: inside, when: {stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}, allow: {refund: FULL}}
  - {id: shipped, when: {stage: IN_TRANSIT, path: CANCEL}, deny: {code: SHIPPED, next_actions: [CONTACT_SUPPORT]}}
  - {id: delivered, when: {stage: DELIVERED, path: CANCEL}, deny: {code: DELIVERED}}";

/// Parses a policy with these rules; each `(from, to)` is replaced in the document.
pub(crate) fn policy_with(rules: &str, changes: &[(&str, &str)]) -> Policy {
    let mut document = format!(
        "
name: test
unpaid: {{expire_after: 24h, in_flight_grace: 15m}}
notify: [CANCELLATION_REQUESTED]
reason_required: [BUYER]
reasons:
  - {{code: CHANGED_MIND, actors: [BUYER, SUPPORT], fault: BUYER, effects: [RESTOCK]}}
  - {{code: OUT_OF_STOCK, actors: [SELLER], fault: SELLER, counted: true, effects: [ZERO_STOCK]}}
  - {{code: BROKEN, actors: [BUYER], fault: SELLER, note_required: true, evidence_required: true}}
  - {{code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}}
rules:{rules}
refunds:
  due: IMMEDIATE
  shipping: WHEN_SHIPMENT_WHOLLY_CANCELLED
"
    );
    for (from, to) in changes {
        assert!(document.contains(from), "the document has no {from:?}");
        document = document.replace(from, to);
    }
    parse(&document)
}

pub(crate) fn policy(rules: &str) -> Policy {
    policy_with(rules, &[])
}

pub(crate) fn independent_site() -> Policy {
    parse(include_str!("../../../presets/independent-site.yaml"))
}

pub(crate) fn cross_border() -> Policy {
    parse(include_str!(
        "../../../presets/cross-border-declaration.yaml"
    ))
}

fn parse(document: &str) -> Policy {
    policy::parse(document).unwrap_or_else(|faults| panic!("{document} has faults: {faults:#?}"))
}

/// The goods that are bought. Lines and shipments are numbered from 1 as they are added.
#[derive(Debug, Clone)]
pub(crate) struct Cart(pub(crate) CreateOrder);

impl Cart {
    /// Lines of `(quantity, goods)` in minor units; one shipment unless `split`.
    pub(crate) fn of(lines: &[(u32, i64)]) -> Self {
        let line = |(quantity, goods): &(u32, i64)| NewLine {
            sku: Sku::parse("SKU-1").unwrap(),
            title: "A thing".to_owned(),
            quantity: *quantity,
            goods: *goods,
            discount: 0,
            tax: 0,
        };
        Self(CreateOrder {
            id: OrderId::parse("A-1").unwrap(),
            buyer: Buyer {
                id: BuyerId::parse("buyer-1").unwrap(),
                email_hash: Some(EMAIL_HASH),
                username_hash: Some(USERNAME_HASH),
            },
            seller: SellerId::parse("seller-1").unwrap(),
            destination: Destination {
                country_code: "DE".to_owned(),
                region: String::new(),
                city: String::new(),
            },
            currency: Currency::parse("EUR").unwrap(),
            lines: lines.iter().map(line).collect(),
            shipping: 0,
            shipping_tax: 0,
            shipments: Vec::new(),
            annotations: Annotations::default(),
        })
    }

    /// Shipments as lists of `(line, quantity)`.
    pub(crate) fn split(mut self, shipments: &[&[(u32, u32)]]) -> Self {
        let shipment = |contents: &&[(u32, u32)]| NewShipment {
            warehouse: WarehouseId::parse("main").ok(),
            carrier: CarrierId::parse("post").ok(),
            contents: contents.to_vec(),
        };
        self.0.shipments = shipments.iter().map(shipment).collect();
        self
    }

    pub(crate) fn shipping(mut self, shipping: i64, tax: i64) -> Self {
        (self.0.shipping, self.0.shipping_tax) = (shipping, tax);
        self
    }

    /// Of the last line.
    pub(crate) fn discount_and_tax(mut self, discount: i64, tax: i64) -> Self {
        let line = self.0.lines.last_mut().expect("a cart has lines");
        (line.discount, line.tax) = (discount, tax);
        self
    }

    pub(crate) fn place(&self) -> Case {
        self.place_under(policy(PLAIN))
    }

    pub(crate) fn place_under(&self, policy: Policy) -> Case {
        self.place_in(store(policy))
    }

    pub(crate) fn place_in(&self, store: StoreConfig) -> Case {
        let caller = Actor::new(Role::Storefront, "shop");
        let decision = self
            .decide(&store, &caller)
            .unwrap_or_else(|refused| panic!("refused: {refused:?}"));
        let history = decision.events.clone();
        Case {
            order: decision.order.clone(),
            store,
            now: PLACED,
            caller,
            last: decision,
            history,
            counter: 0,
        }
    }

    pub(crate) fn decide(
        &self,
        store: &StoreConfig,
        caller: &Actor,
    ) -> Result<Decision, Rejection> {
        commands::create(
            &self.0,
            [1; 32],
            &Context {
                now: PLACED,
                caller,
                scope: &Scope::EVERYTHING,
                request_id: Uuid::nil(),
                store,
            },
        )
    }

    /// Placed and paid in full.
    pub(crate) fn paid(&self) -> Case {
        self.paid_under(policy(PLAIN))
    }

    pub(crate) fn paid_under(&self, policy: Policy) -> Case {
        let mut case = self.place_under(policy);
        case.capture("p1", case.order.total().total());
        case
    }
}

/// A store with this policy as its version 1, one warehouse and one carrier.
pub(crate) fn store(policy: Policy) -> StoreConfig {
    let (warehouse, carrier) = (
        WarehouseId::parse("main").unwrap(),
        CarrierId::parse("post").unwrap(),
    );
    StoreConfig {
        id: StoreId::parse("store-1").unwrap(),
        policies: Policies::new(BTreeMap::from([(1, Arc::new(policy))]), vec![(PLACED, 1)]),
        time_zone: TimeZone::UTC,
        carriers: BTreeMap::from([(
            carrier.clone(),
            CarrierProfile {
                in_transit_cancel: true,
                ..CarrierProfile::default()
            },
        )]),
        warehouses: BTreeMap::from([(
            warehouse.clone(),
            WarehouseProfile {
                country_code: Some("DE".to_owned()),
                calendar: Calendar::monday_to_friday(),
            },
        )]),
        default_route: Some((warehouse, carrier)),
        storefront_records_payments: false,
    }
}

/// A request to cancel, the buyer's unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct CancellationRequest {
    pub(crate) by: Role,
    pub(crate) request: RequestCancellation,
}

impl CancellationRequest {
    fn of(selection: Selection) -> Self {
        let request = RequestCancellation {
            selection,
            reason: Some("CHANGED_MIND".to_owned()),
            note: None,
            evidence: Vec::new(),
            paths: vec![Path::Cancel],
            on_ineligible_units: IneligibleUnits::Refuse,
            on_behalf_of: None,
            formerly_on_behalf_of: Box::default(),
            quote: None,
            annotations: Box::default(),
        };
        Self {
            by: Role::Storefront,
            request,
        }
    }

    pub(crate) fn all() -> Self {
        Self::of(Selection::All)
    }

    pub(crate) fn shipment(number: u32) -> Self {
        Self::of(Selection::Shipment(number))
    }

    /// `(line, quantity)` each.
    pub(crate) fn lines(lines: &[(u32, u32)]) -> Self {
        let quantity = |&(line, quantity): &(u32, u32)| LineQuantity { line, quantity };
        Self::of(Selection::Lines(lines.iter().map(quantity).collect()))
    }

    pub(crate) fn matching(matching: Matching) -> Self {
        Self::of(Selection::Matching(Box::new(matching)))
    }

    pub(crate) fn leave_out(mut self) -> Self {
        self.request.on_ineligible_units = IneligibleUnits::LeaveOut;
        self
    }

    pub(crate) fn paths(mut self, paths: &[Path]) -> Self {
        self.request.paths = paths.to_vec();
        self
    }

    /// For the seller's own reason.
    pub(crate) fn by_seller(mut self) -> Self {
        self.by = Role::Seller;
        self.because("OUT_OF_STOCK")
    }

    pub(crate) fn by_support_for(mut self, identity: Identity) -> Self {
        self.by = Role::Support;
        self.request.on_behalf_of = Some(identity);
        self
    }

    pub(crate) fn because(mut self, reason: &str) -> Self {
        self.request.reason = Some(reason.to_owned());
        self
    }
}

/// One order and the time.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) order: Order,
    pub(crate) store: StoreConfig,
    pub(crate) now: Timestamp,
    pub(crate) last: Decision,
    /// All events, from the first.
    pub(crate) history: Vec<Event>,
    caller: Actor,
    counter: u32,
}

impl Case {
    /// Decides and takes the order over. What is true of every decision is checked here.
    pub(crate) fn run(
        &mut self,
        by: Role,
        expected_version: Option<u64>,
        command: Command,
    ) -> Result<Answer, Rejection> {
        self.caller = Actor::new(by, "someone");
        let before = self.order.clone();
        let decision = commands::decide(&before, &command, expected_version, &self.context());
        let after = &decision.order;
        assert_eq!(
            after.version,
            before.version + u64::from(*after != before),
            "one step for a change, none for none"
        );
        assert_eq!(
            decision.events.is_empty(),
            *after == before,
            "{command:?}: {:?}",
            decision.events
        );
        assert_eq!(after.state, after.derive_state());
        assert!(
            after.next_due().is_none_or(|due| due > self.now),
            "{command:?}: due at {:?}",
            after.next_due()
        );
        let was_due = commands::settled(&before, &self.context());
        states::check_step(&before, &was_due);
        states::check_step(&was_due, after);
        self.order = after.clone();
        self.history.extend(decision.events.iter().cloned());
        self.last = decision;
        self.last.result.clone()
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now: self.now,
            caller: &self.caller,
            scope: &Scope::EVERYTHING,
            request_id: Uuid::nil(),
            store: &self.store,
        }
    }

    pub(crate) fn wait(&mut self, time: SignedDuration) -> &mut Self {
        self.now += time;
        self
    }

    pub(crate) fn wait_until(&mut self, time: Timestamp) -> &mut Self {
        self.now = time;
        self
    }

    pub(crate) fn settle(&mut self) -> &mut Self {
        self.run(Role::System, None, Command::Settle).unwrap();
        self
    }

    pub(crate) fn fact(
        &mut self,
        payment: &str,
        fact: PaymentFact,
        amount: i64,
    ) -> Result<Answer, Rejection> {
        self.told(fact, amount, |command| {
            command.provider_payment_id = ExternalId::parse(payment).unwrap()
        })
    }

    /// What the cancellation of this number gives back.
    pub(crate) fn promise(&self, number: u32) -> Promise {
        self.order.promise(
            self.order
                .cancellation(number)
                .expect("there is such a cancellation"),
        )
    }

    /// A fact of payment `p1` that names what `change` adds.
    pub(crate) fn told(
        &mut self,
        fact: PaymentFact,
        amount: i64,
        change: impl FnOnce(&mut RecordPayment),
    ) -> Result<Answer, Rejection> {
        self.counter += 1;
        let mut command = RecordPayment {
            provider_payment_id: ExternalId::parse("p1").unwrap(),
            provider_event_id: ExternalId::parse(format!("event-{}", self.counter)).unwrap(),
            fact,
            amount: (amount != 0).then(|| eur(amount)),
            movement: None,
            refund: None,
            method: Some("CREDIT_CARD".to_owned()),
            occurred_time: None,
        };
        change(&mut command);
        self.run(Role::Payments, None, Command::RecordPayment(command))
    }

    pub(crate) fn capture(&mut self, payment: &str, amount: i64) -> &mut Self {
        self.fact(payment, PaymentFact::Captured, amount).unwrap();
        self
    }

    pub(crate) fn authorize(&mut self, payment: &str, amount: i64) -> &mut Self {
        self.fact(payment, PaymentFact::Authorized, amount).unwrap();
        self
    }

    pub(crate) fn cancel(&mut self, cancel_request: CancellationRequest) -> Result<u32, Rejection> {
        match self.run(
            cancel_request.by,
            None,
            Command::RequestCancellation(cancel_request.request),
        )? {
            Answer::Cancellation(number) => Ok(number),
            other @ (Answer::Order
            | Answer::Shipment(_)
            | Answer::Refund(_)
            | Answer::Refunds(_)
            | Answer::Incident(_)
            | Answer::Note(_)
            | Answer::Nothing) => {
                panic!("a cancellation is answered by its number, not by {other:?}")
            }
        }
    }

    /// Cancels what must be cancellable.
    pub(crate) fn cancelled(&mut self, cancel_request: CancellationRequest) -> &mut Self {
        self.cancel(cancel_request).unwrap();
        self
    }

    /// The name of the rejection, `OK` where there is none: what a row of a table says.
    pub(crate) fn try_cancel(&mut self, cancel_request: CancellationRequest) -> &'static str {
        self.cancel(cancel_request)
            .map_or_else(|refused| refused.reason().name(), |_| "OK")
    }

    pub(crate) fn prepare(&mut self, shipment: u32) -> Result<Answer, Rejection> {
        self.run(
            Role::Warehouse,
            None,
            Command::StartPreparation(StartPreparation {
                shipment,
                fence: None,
            }),
        )
    }

    pub(crate) fn ready(&mut self, shipment: u32) -> Result<Answer, Rejection> {
        self.run(
            Role::Warehouse,
            None,
            Command::MarkReady(MarkReady {
                shipment,
                fence: None,
            }),
        )
    }

    /// With the fence as it stands.
    pub(crate) fn dispatch(&mut self, shipment: u32) -> Result<Answer, Rejection> {
        let fence = self
            .order
            .shipment(shipment)
            .map_or(1, |shipment| shipment.fence);
        self.dispatch_seen(shipment, fence)
    }

    pub(crate) fn dispatch_seen(&mut self, shipment: u32, fence: u32) -> Result<Answer, Rejection> {
        let command = DispatchShipment {
            shipment,
            fence,
            tracking_number: None,
        };
        self.run(Role::Warehouse, None, Command::DispatchShipment(command))
    }

    pub(crate) fn scan(&mut self, shipment: u32, fact: TrackingFact) -> Result<Answer, Rejection> {
        self.scan_at(shipment, fact, self.now)
    }

    pub(crate) fn scan_at(
        &mut self,
        shipment: u32,
        fact: TrackingFact,
        at: Timestamp,
    ) -> Result<Answer, Rejection> {
        self.counter += 1;
        let command = RecordTracking {
            shipment,
            carrier_event_id: ExternalId::parse(format!("scan-{}", self.counter)).unwrap(),
            fact,
            occurred_time: Some(at),
        };
        self.run(Role::Carrier, None, Command::RecordTracking(command))
    }

    /// Takes a shipment to a stage by what really leads there.
    pub(crate) fn bring_to(&mut self, shipment: u32, stage: Stage) -> &mut Self {
        match stage {
            Stage::Unreleased | Stage::Planned => Ok(Answer::Nothing),
            Stage::Preparing => self.prepare(shipment),
            Stage::Ready => self.ready(shipment),
            Stage::InTransit => self.scan(shipment, TrackingFact::PickedUp),
            Stage::Delivered => self.scan(shipment, TrackingFact::Delivered),
            Stage::Cancelled => self
                .cancel(CancellationRequest::shipment(shipment))
                .map(Answer::Cancellation),
            Stage::Lost => self
                .bring_to(shipment, Stage::InTransit)
                .scan(shipment, TrackingFact::Lost),
            Stage::Returning => self
                .bring_to(shipment, Stage::InTransit)
                .scan(shipment, TrackingFact::Returning),
            Stage::Returned => self
                .bring_to(shipment, Stage::InTransit)
                .scan(shipment, TrackingFact::Returned),
            Stage::Split => self.split(shipment, &[&[(1, 1)], &[(1, 1)]]),
        }
        .unwrap();
        assert_eq!(self.stage(shipment), stage);
        self
    }

    pub(crate) fn lease(&mut self, refunds: &[u32]) -> Vec<u32> {
        let worker = WorkerId::parse("worker-1").unwrap();
        let command = LeaseRefunds {
            refunds: refunds.to_vec(),
            worker,
            lease: LEASE,
        };
        match self.run(Role::Payments, None, Command::LeaseRefunds(command)) {
            Ok(Answer::Refunds(leased)) => leased,
            other => panic!("leasing is answered by refunds, not by {other:?}"),
        }
    }

    pub(crate) fn result(
        &mut self,
        refund: u32,
        result: RefundResult,
    ) -> Result<Answer, Rejection> {
        self.run(
            Role::Payments,
            None,
            Command::RecordRefundResult(RecordRefundResult { refund, result }),
        )
    }

    pub(crate) fn shipment(&self, number: u32) -> &Shipment {
        self.order
            .shipment(number)
            .expect("the test knows its shipments")
    }

    pub(crate) fn stage(&self, shipment: u32) -> Stage {
        self.shipment(shipment).stage
    }

    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.order
            .shipments
            .iter()
            .map(|shipment| shipment.stage)
            .collect()
    }

    pub(crate) fn state(&self) -> OrderState {
        self.order.state
    }

    pub(crate) fn cancellation(&self, number: u32) -> &Cancellation {
        self.order
            .cancellation(number)
            .expect("the test knows its cancellations")
    }

    pub(crate) fn part(&self, cancellation: u32, index: usize) -> &Part {
        &self.cancellation(cancellation).parts[index]
    }

    /// State and, where it was refused, why.
    pub(crate) fn parts(&self, cancellation: u32) -> Vec<(PartState, &str)> {
        let parts = self.cancellation(cancellation).parts.iter();
        parts
            .map(|part| {
                (
                    part.state,
                    part.refused_reason.map_or("", ErrorReason::name),
                )
            })
            .collect()
    }

    /// `(payment, total, state)` of every refund, in order.
    pub(crate) fn refunds(&self) -> Vec<(u32, i64, RefundState)> {
        self.order
            .refunds
            .iter()
            .map(|refund| (refund.payment, refund.amounts.total(), refund.state))
            .collect()
    }

    pub(crate) fn incidents(&self) -> Vec<IncidentKind> {
        let open = self
            .order
            .incidents
            .iter()
            .filter(|incident| incident.state == IncidentState::Open);
        open.map(|incident| incident.kind).collect()
    }

    /// Of the last command.
    pub(crate) fn events(&self) -> Vec<EventType> {
        self.last
            .events
            .iter()
            .map(|event| event.detail.event_type())
            .collect()
    }

    pub(crate) fn event(&self, event_type: EventType) -> &Event {
        let found = self
            .last
            .events
            .iter()
            .find(|event| event.detail.event_type() == event_type);
        found.unwrap_or_else(|| panic!("no {event_type} among {:?}", self.events()))
    }
}

/// The units of one line, by index.
pub(crate) fn indexes(units: &UnitSet, line: u32) -> Vec<u32> {
    let ranges = units.ranges().iter().filter(|range| range.line == line);
    ranges
        .flat_map(|range| range.first..range.first + range.count)
        .collect()
}

pub(crate) fn amounts(goods: i64, tax: i64, shipping: i64, excess: i64) -> Amounts {
    Amounts {
        goods,
        tax,
        shipping,
        excess,
    }
}

/// The number of a reason in `ErrorReason`: its rung.
pub(crate) fn rung(reason: &str) -> u32 {
    let proto = include_str!("../../../../proto/belay/v1/error_reason.proto");
    let prefix = format!("ERROR_REASON_{reason} = ");
    let found = proto.lines().find_map(|line| {
        line.trim()
            .strip_prefix(&prefix)?
            .strip_suffix(';')?
            .parse()
            .ok()
    });
    found.unwrap_or_else(|| panic!("ErrorReason has no {reason}"))
}

/// One rung: why the command fails now, and what fixes just that.
pub(crate) type Rung<T> = (&'static str, fn(&mut T));

/// Climbs a ladder: each rung's reason shows until it is fixed, and in the end the command
/// succeeds.
pub(crate) fn climb<T>(
    attempt: &mut T,
    rungs: &[Rung<T>],
    run: impl Fn(&T) -> Result<(), Rejection>,
) {
    let numbers: Vec<u32> = rungs.iter().map(|(reason, _)| rung(reason)).collect();
    assert!(
        numbers.is_sorted(),
        "the rungs stand in the order of ErrorReason: {rungs:?}"
    );
    for (reason, fix) in rungs {
        match run(attempt) {
            Err(refused) => assert_eq!(refused.reason().name(), *reason, "{refused:?}"),
            Ok(()) => panic!("it succeeds although {reason} is not fixed"),
        }
        fix(attempt);
    }
    assert_eq!(run(attempt), Ok(()), "everything is fixed");
}

/// What has not left may be cancelled, but once it is being packed only if the seller agrees within
/// 48 hours.
pub(crate) fn consent_when_preparing() -> Policy {
    gated("PREPARING", &[&gate("SELLER_CONSENT", "REFUSE", "BAR")])
}

/// A gate as a document names it, with 48 hours to answer.
pub(crate) fn gate(kind: &str, on_timeout: &str, on_dispatch: &str) -> String {
    format!(
        "{{kind: {kind}, respond_within: 48h, on_timeout: {on_timeout}, on_dispatch: {on_dispatch}}}"
    )
}

/// `PLAIN`, but at one stage these gates must pass first.
pub(crate) fn gated(stage: &str, gates: &[&str]) -> Policy {
    let gates = gates.join(", ");
    let rule = format!(
        "{{id: gated, when: {{stage: {stage}, path: CANCEL}}, allow: {{gates: [{gates}], refund: FULL}}}}"
    );
    policy(&format!("\n  - {rule}{PLAIN}"))
}

pub(crate) fn eur(minor_units: i64) -> Money {
    Money {
        currency: Currency::parse("EUR").unwrap(),
        minor_units,
    }
}

/// The provider paid this out.
pub(crate) fn settled(amount: i64) -> RefundResult {
    RefundResult::Settled {
        amount: Some(eur(amount)),
        provider_refund_id: None,
        occurred_time: None,
    }
}
