//! Random stores, policies, orders and commands, all from one seed.
//!
//! This file knows nothing of the tests around it: it needs `belay-domain`'s public API and a seed,
//! so that another crate may include it and drive a server with the same steps. A sequence is had
//! by asking for one step after the other, each time with the order as the core has it by then:
//! [`store`], [`create_order`], then [`step`] as often as wanted. The same seed gives the same
//! sequence for as long as this file and the core stay as they are; nothing here reads a clock.
//!
//! Steps are plausible more often than not (the gate that is open is answered, the fence that
//! stands is named), for sequences of rejections reach nothing; and wrong often enough that every
//! rejection is met.

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::actor::Role;
use belay_domain::annotations::{Annotations, AnnotationsChange, NoteSubject, NoteVisibility};
use belay_domain::calendar::Calendar;
use belay_domain::cancellation::{PARCEL_RETURNED, PAYMENT_EXPIRED, Part, PartState};
use belay_domain::commands::{
    AddNote, AnswerIntercept, AnswerStop, ApproveCancellation, Command, CreateOrder,
    DispatchShipment, HoldShipment, IneligibleUnits, InterceptAnswer, LeaseRefunds, MarkReady,
    Matching, NewLine, NewShipment, ReceiveParcel, RecordPayment, RecordRefundResult,
    RecordTracking, RefundResult, RejectCancellation, ReleaseHold, RequestCancellation,
    ResolveIncident, Selection, SplitShipment, StartPreparation, StopAnswer, UpdateMetadata,
    WithdrawCancellation,
};
use belay_domain::context::{CarrierProfile, ReturnLabel, StoreConfig, WarehouseProfile};
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, MetadataKey, OrderId, SellerId, Sku, StoreId, WarehouseId,
    WorkerId,
};
use belay_domain::incident::{Incident, IncidentState, Resolution};
use belay_domain::language::Labels;
use belay_domain::money::{Currency, Money};
use belay_domain::order::{Buyer, Destination, Order};
use belay_domain::payment::PaymentFact;
use belay_domain::period::Period;
use belay_domain::policy::{
    AgeBound, AgeClock, Allow, Condition, Consequence, Customs, Deny, Notification, Policies,
    Policy, Reason, RefundDue, Refunds, ReturnRate, Returns, Rule, ShippingRefund, Unpaid,
    Verification,
};
use belay_domain::shipment::{Shipment, Stage, TrackingFact};
use belay_domain::terms::{
    DenyCode, Effect, Fault, GateKind, GateSpec, GoodsCondition, NextAction, OnDispatch, OnLost,
    OnTimeout, Path, Payer, RefundPlan, RefundShare,
};
use belay_domain::units::{LineQuantity, UnitSet};
use jiff::tz::{TimeZone, offset};
use jiff::{SignedDuration, Timestamp};

const INSIDE: &[Stage] = &[
    Stage::Unreleased,
    Stage::Planned,
    Stage::Preparing,
    Stage::Ready,
];
const OUTSIDE: &[Stage] = &[
    Stage::InTransit,
    Stage::Delivered,
    Stage::Lost,
    Stage::Returning,
    Stage::Returned,
];

const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A sequence of numbers that its seed decides (SplitMix64): enough for tests, and the same
/// everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `0..bound`; 0 where there is nothing to choose from.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    pub(crate) fn number(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.below(usize::try_from(to - from).unwrap_or(0) + 1)).unwrap_or(0)
    }

    fn amount(&mut self, below: i64) -> i64 {
        i64::try_from(self.below(usize::try_from(below).unwrap_or(0))).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these, of which there must be some.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn some_of<T: Clone>(&mut self, from: &[T], percent: usize) -> Vec<T> {
        from.iter()
            .filter(|_| self.chance(percent))
            .cloned()
            .collect()
    }

    pub(crate) fn maybe<T>(
        &mut self,
        percent: usize,
        value: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        self.chance(percent).then(|| value(self))
    }
}

/// A store with two warehouses, one of them abroad, two carriers, and a policy from `now` on;
/// sometimes another one follows it before the first orders have ended.
pub(crate) fn store(random: &mut Random, now: Timestamp) -> StoreConfig {
    let mut versions = BTreeMap::from([(1, Arc::new(policy(random)))]);
    let mut activations = vec![(now, 1)];
    if random.chance(40) {
        versions.insert(2, Arc::new(policy(random)));
        activations.push((now + random.pick(&[hours(1), hours(30)]), 2));
    }
    let label = |random: &mut Random| ReturnLabel {
        price: random.maybe(70, |random| eur(random.amount(80))),
    };
    let carrier = |random: &mut Random| CarrierProfile {
        in_transit_cancel: random.chance(70),
        partner_delivery: random.chance(30),
        return_labels: random
            .maybe(70, |random| ("DE".to_owned(), label(random)))
            .into_iter()
            .collect(),
    };
    let warehouse = |country: &str| WarehouseProfile {
        country_code: Some(country.to_owned()),
        calendar: Calendar::monday_to_friday(),
    };
    StoreConfig {
        id: StoreId::parse("store-1").unwrap(),
        policies: Policies::new(versions, activations),
        time_zone: TimeZone::fixed(offset(8)),
        carriers: BTreeMap::from([
            (carrier_id("post"), carrier(random)),
            (carrier_id("rail"), carrier(random)),
        ]),
        warehouses: BTreeMap::from([
            (warehouse_id("main"), warehouse("DE")),
            (warehouse_id("far"), warehouse("CN")),
        ]),
        default_route: Some((warehouse_id("main"), carrier_id("post"))),
        storefront_records_payments: false,
    }
}

/// A store with one policy, which gives goods away that a carrier has lost.
pub(crate) fn store_that_pays_for_losses(random: &mut Random, now: Timestamp) -> StoreConfig {
    let mut policy = policy(random);
    let lost = Rule {
        id: "lost".to_owned(),
        when: Condition {
            stage: vec![Stage::Lost],
            path: vec![Path::Cancel],
            ..Condition::default()
        },
        then: Consequence::Allow(Allow {
            gates: Vec::new(),
            refund: plan(random),
        }),
    };
    policy.rules.insert(0, lost);
    StoreConfig {
        policies: Policies::new(BTreeMap::from([(1, Arc::new(policy))]), vec![(now, 1)]),
        ..store(random, now)
    }
}

/// A policy of a few random rules before some that keep most orders going.
pub(crate) fn policy(random: &mut Random) -> Policy {
    let mut rules: Vec<Rule> = (0..random.below(6))
        .map(|index| rule(random, index))
        .collect();
    rules.extend(usual_rules(random));
    let reason = |code: &str, actors: &[Role], random: &mut Random| Reason {
        code: code.to_owned(),
        labels: Labels::default(),
        actors: actors.to_vec(),
        fault: random.pick(Fault::ALL),
        note_required: false,
        evidence_required: false,
        evidence_channels: Vec::new(),
        counted: random.chance(50),
        effects: random.some_of(Effect::ALL, 50),
        next_actions: random.some_of(NextAction::ALL, 10),
    };
    let mut reasons = vec![
        reason("CHANGED_MIND", &[Role::Buyer, Role::Support], random),
        reason("OUT_OF_STOCK", &[Role::Seller], random),
        reason(PAYMENT_EXPIRED, &[Role::System], random),
    ];
    reasons.extend(random.maybe(70, |random| {
        reason(PARCEL_RETURNED, &[Role::Carrier], random)
    }));
    Policy {
        name: "random".to_owned(),
        source: String::new(),
        unpaid: Unpaid {
            expire_after: random.pick(&[hours(1), hours(24), hours(72)]),
            in_flight_grace: SignedDuration::from_mins(15),
            pay_again_within: random.pick(&[hours(1), hours(24)]),
        },
        verification: random.maybe(25, |random| Verification {
            methods: vec!["CREDIT_CARD".to_owned()],
            wait: random.pick(&[hours(1), hours(24)]),
        }),
        preparation_within: random.maybe(50, |random| random.pick(&[hours(1), hours(12)])),
        notify: random.some_of(Notification::ALL, 30),
        labels: BTreeMap::new(),
        reasons,
        reason_required: random.some_of(&[Role::Buyer], 50),
        rules,
        refunds: Refunds {
            due: random.pick(&[RefundDue::Immediate, RefundDue::WorkingDays(3)]),
            overdue_after: hours(24),
            shipping: random.pick(ShippingRefund::ALL),
            calendars: BTreeMap::new(),
            default_calendar: Calendar::monday_to_friday(),
        },
        returns: returns(random),
        customs: random.maybe(50, |random| Customs {
            identical_units_max: random.number(1, 3),
            own_delivery: random.pick(&[vec![NextAction::SplitShipment], vec![NextAction::Cancel]]),
            partner_delivery: vec![NextAction::Cancel],
        }),
        quality: None,
    }
}

fn returns(random: &mut Random) -> Returns {
    let mut rates: Vec<ReturnRate> = Vec::new();
    for _ in 0..random.below(3) {
        rates.push(ReturnRate {
            received_within: random.maybe(50, |random| random.pick(&[hours(24), hours(72)])),
            condition: random.some_of(GoodsCondition::ALL, 50),
            reason: random.some_of(&["CHANGED_MIND".to_owned()], 30),
            percent: random.number(0, 100),
        });
    }
    let percent = random.number(0, 100);
    rates.push(ReturnRate {
        received_within: None,
        condition: Vec::new(),
        reason: Vec::new(),
        percent,
    });
    Returns {
        rates,
        without_label: String::new(),
    }
}

fn rule(random: &mut Random, index: usize) -> Rule {
    let stages = if random.chance(60) { INSIDE } else { OUTSIDE };
    let age = |random: &mut Random| AgeBound {
        clock: random.pick(AgeClock::ALL),
        at_least: random.maybe(30, |_| hours(1)),
        less_than: Some(random.pick(&[hours(12), hours(48)])),
    };
    let when = Condition {
        actor: random
            .maybe(20, |random| random.pick(&[Role::Buyer, Role::Seller]))
            .into_iter()
            .collect(),
        stage: random.some_of(stages, 60),
        path: random.some_of(Path::ALL, 40),
        reason: random
            .maybe(10, |_| "CHANGED_MIND".to_owned())
            .into_iter()
            .collect(),
        paid: random.maybe(10, |random| random.chance(50)),
        age: random.maybe(15, age).into_iter().collect(),
        value_less_than: random.maybe(10, |random| 100 + random.amount(400)),
        in_transit_cancel: random.maybe(15, |random| random.chance(70)),
        customs_flagged: random.maybe(5, |random| random.chance(50)),
        ..Condition::default()
    };
    let then = if random.chance(75) {
        Consequence::Allow(Allow {
            gates: gates(random, GateKind::ALL),
            refund: plan(random),
        })
    } else {
        Consequence::Deny(Deny {
            code: random.pick(DenyCode::ALL),
            next_actions: random.some_of(NextAction::ALL, 15),
        })
    };
    Rule {
        id: format!("random-{index}"),
        when,
        then,
    }
}

/// What keeps an order going: inside a warehouse stops, outside a carrier or the buyer brings back.
fn usual_rules(random: &mut Random) -> Vec<Rule> {
    let rule =
        |id: &str, stage: &[Stage], path: &[Path], gates: Vec<GateSpec>, refund: RefundPlan| Rule {
            id: id.to_owned(),
            when: Condition {
                stage: stage.to_vec(),
                path: path.to_vec(),
                ..Condition::default()
            },
            then: Consequence::Allow(Allow { gates, refund }),
        };
    let inside = [GateKind::SellerConsent, GateKind::WarehouseStop];
    let outside = [
        GateKind::CarrierIntercept,
        GateKind::ParcelReceipt,
        GateKind::LossConfirmation,
    ];
    let packed = if random.chance(60) {
        gates(random, &inside)
    } else {
        Vec::new()
    };
    let mut rules = vec![
        rule(
            "waiting",
            &INSIDE[..2],
            &[Path::Cancel],
            Vec::new(),
            plan(random),
        ),
        rule(
            "packed",
            &INSIDE[2..],
            &[Path::Cancel],
            packed,
            plan(random),
        ),
    ];
    if random.chance(80) {
        let gates = gates(random, &outside);
        rules.push(rule(
            "outside",
            OUTSIDE,
            &Path::ALL[1..],
            gates,
            plan(random),
        ));
    }
    rules
}

/// Up to three of these kinds, each once.
fn gates(random: &mut Random, kinds: &[GateKind]) -> Vec<GateSpec> {
    let mut kinds = random.some_of(kinds, 45);
    kinds.truncate(3);
    kinds.into_iter().map(|kind| gate(random, kind)).collect()
}

fn gate(random: &mut Random, kind: GateKind) -> GateSpec {
    let waits = [
        Period::Time(hours(1)),
        Period::Time(hours(48)),
        Period::CalendarDays(2),
        Period::WorkingDays(1),
    ];
    let respond_within = random.maybe(if kind.is_consent() { 100 } else { 75 }, |random| {
        random.pick(&waits)
    });
    let on_timeout = match kind {
        GateKind::SellerConsent => random.pick(OnTimeout::ALL),
        GateKind::SupportReview => random.pick(&[OnTimeout::Pass, OnTimeout::Refuse]),
        GateKind::WarehouseStop
        | GateKind::CarrierIntercept
        | GateKind::ParcelReceipt
        | GateKind::LossConfirmation => random.pick(&[OnTimeout::Refuse, OnTimeout::Escalate]),
    };
    let may_go = kind != GateKind::WarehouseStop && random.chance(40);
    GateSpec {
        kind,
        respond_within,
        remind_before: random.maybe(50, |random| {
            random.pick(&[SignedDuration::from_mins(30), hours(6)])
        }),
        on_timeout,
        // Support that is asked instead has a deadline in any case.
        escalate_within: random.maybe(if respond_within.is_none() { 100 } else { 40 }, |random| {
            random.pick(&waits)
        }),
        on_dispatch: if may_go {
            OnDispatch::RefusePart
        } else {
            OnDispatch::Bar
        },
        on_lost: random.pick(OnLost::ALL),
    }
}

fn plan(random: &mut Random) -> RefundPlan {
    let shares = [
        RefundShare::Full,
        RefundShare::Full,
        RefundShare::BySchedule,
        RefundShare::None,
    ];
    RefundPlan {
        share: random.pick(&shares),
        outbound_shipping: random.pick(Payer::ALL),
        return_shipping: random.pick(Payer::ALL),
    }
}

/// Up to three lines of up to four units of one of two SKUs, each unit in one of up to three
/// shipments.
pub(crate) fn create_order(random: &mut Random) -> CreateOrder {
    let mut contents: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); 3];
    let mut lines = Vec::new();
    for number in 1..=random.number(1, 3) {
        let (quantity, goods) = (random.number(1, 4), random.amount(500));
        for _ in 0..quantity {
            let shipment = random.below(contents.len());
            *contents[shipment].entry(number).or_default() += 1;
        }
        lines.push(NewLine {
            sku: Sku::parse(random.pick(&["SKU-1", "SKU-2"])).unwrap(),
            title: "A thing".to_owned(),
            quantity,
            goods,
            discount: random.amount(goods + 1),
            tax: random.amount(90),
        });
    }
    let shipments = contents
        .into_iter()
        .filter(|contents| !contents.is_empty())
        .map(|contents| NewShipment {
            warehouse: Some(warehouse_id(random.pick(&["main", "far"]))),
            carrier: Some(carrier_id(random.pick(&["post", "rail"]))),
            contents: contents.into_iter().collect(),
        });
    let shipments = shipments.collect();
    CreateOrder {
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
        lines,
        shipping: random.amount(60),
        shipping_tax: random.amount(20),
        shipments,
        annotations: Annotations::default(),
    }
}

/// The next step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(SignedDuration),
    /// `expected_version` is what the caller decided on, where it named one.
    Do {
        by: Role,
        expected_version: Option<u64>,
        command: Box<Command>,
    },
}

/// The next step for an order as it stands at `now`.
pub(crate) fn step(random: &mut Random, order: &Order, now: Timestamp) -> Step {
    if random.chance(15) {
        return Step::Wait(wait(random, order, now));
    }
    let waiting = waiting_parts(order);
    let (by, command) = match random.below(100) {
        0..15 if !order.is_paid() => pay(random, order, now, true),
        0..8 => pay(random, order, now, false),
        8..50 if !waiting.is_empty() => {
            let (cancellation, part) = random.pick(&waiting);
            answer(random, cancellation, part, order)
        }
        8..22 => (
            random.pick(&[
                Role::Storefront,
                Role::Storefront,
                Role::Seller,
                Role::Support,
            ]),
            request(random, order),
        ),
        22..50 => fulfil(random, order, now),
        50..62 => (
            random.pick(&[Role::Storefront, Role::Seller]),
            request(random, order),
        ),
        62..78 => fulfil(random, order, now),
        78..80 => (Role::Support, annotate(random, order)),
        80..90 => (Role::Payments, refund(random, order)),
        90..98 if !order.incidents.is_empty() => (Role::Support, resolve(random, order)),
        _ => {
            let (cancellation, gate) = (random.number(1, 4), any_gate(random, order));
            answer_kind(random, cancellation, gate, order)
        }
    };
    let versions = [Some(order.version), Some(order.version.saturating_sub(1))];
    Step::Do {
        by,
        expected_version: random.maybe(4, |random| random.pick(&versions)).flatten(),
        command: Box::new(command),
    }
}

/// A step towards goods that were cancelled and are outside all the same, or one that decides about
/// their money; else any.
pub(crate) fn step_of_contested(random: &mut Random, order: &Order, now: Timestamp) -> Step {
    let at = |stages: &[Stage]| -> Vec<u32> {
        let found = order.shipments.iter();
        let found = found.filter(|shipment| stages.contains(&shipment.stage));
        found.map(|shipment| shipment.number).collect()
    };
    let (cancelled, lost) = (at(&[Stage::Cancelled]), at(&[Stage::Lost]));
    let (out, back) = (at(&[Stage::InTransit, Stage::Returning]), at(OUTSIDE));
    let is_open = |incident: &&Incident| incident.state == IncidentState::Open;
    let has_open = order.incidents.iter().any(|incident| is_open(&incident));
    let (by, command) = match random.below(14) {
        0 if !order.is_paid() => pay(random, order, now, true),
        1 => pay(random, order, now, false),
        2 | 3 if !cancelled.is_empty() => {
            let facts = [TrackingFact::PickedUp, TrackingFact::Delivered];
            scan(random, order, now, &cancelled, &facts)
        }
        4 if !out.is_empty() => scan(random, order, now, &out, &[TrackingFact::Lost]),
        5 | 6 if !lost.is_empty() => (Role::Support, request(random, order)),
        7 if !lost.is_empty() => {
            let facts = [TrackingFact::InTransit, TrackingFact::Delivered];
            scan(random, order, now, &lost, &facts)
        }
        8 if !out.is_empty() => scan(random, order, now, &out, &[TrackingFact::Delivered]),
        9 if !back.is_empty() => {
            let shipment = random.pick(&back);
            (Role::Warehouse, receive(random, order, shipment))
        }
        10 if has_open => (Role::Support, resolve(random, order)),
        11 => (Role::Seller, request(random, order)),
        _ => return step(random, order, now),
    };
    Step::Do {
        by,
        expected_version: None,
        command: Box::new(command),
    }
}

/// One of these facts about one of these shipments.
fn scan(
    random: &mut Random,
    order: &Order,
    now: Timestamp,
    shipments: &[u32],
    facts: &[TrackingFact],
) -> (Role, Command) {
    let command = RecordTracking {
        shipment: random.pick(shipments),
        carrier_event_id: event_id(random),
        fact: random.pick(facts),
        occurred_time: occurred(random, order, now),
    };
    (Role::Carrier, Command::RecordTracking(command))
}

/// Often just to the next deadline, or one microsecond less.
fn wait(random: &mut Random, order: &Order, now: Timestamp) -> SignedDuration {
    let microsecond = SignedDuration::from_micros(1);
    let until_due = order
        .next_due()
        .map(|due| due.duration_since(now))
        .filter(SignedDuration::is_positive);
    match (random.below(4), until_due) {
        (0 | 1, Some(until_due)) => until_due,
        (2, Some(until_due)) if until_due > microsecond => until_due - microsecond,
        (_, _) => random.pick(&[
            microsecond,
            SignedDuration::from_mins(5),
            hours(1),
            hours(12),
            hours(24),
            hours(48),
        ]),
    }
}

fn pay(random: &mut Random, order: &Order, now: Timestamp, in_full: bool) -> (Role, Command) {
    let is_money = |fact: PaymentFact| match fact {
        PaymentFact::Authorized
        | PaymentFact::Captured
        | PaymentFact::RefundedOutside
        | PaymentFact::Chargeback
        | PaymentFact::ChargebackReversed => true,
        PaymentFact::Attempted | PaymentFact::Declined | PaymentFact::Voided => false,
    };
    let plain = [
        PaymentFact::Captured,
        PaymentFact::Captured,
        PaymentFact::Authorized,
    ];
    let fact = if in_full {
        random.pick(&plain)
    } else {
        random.pick(PaymentFact::ALL)
    };
    let percent = if in_full {
        100
    } else {
        random.pick(&[30, 50, 100, 120])
    };
    let amount = order.total().total() * percent / 100;
    let payment = random.below(3);
    let is_outside = fact == PaymentFact::RefundedOutside;
    let foreign = fact.may_be_foreign() && random.chance(15);
    let currency = if foreign {
        Currency::parse("USD").unwrap()
    } else {
        order.currency
    };
    let command = RecordPayment {
        provider_payment_id: ExternalId::parse(format!("pay-{payment}")).unwrap(),
        provider_event_id: event_id(random),
        fact,
        amount: is_money(fact).then_some(Money {
            currency,
            minor_units: amount,
        }),
        // A provider may name the movement, and tell of the same one twice.
        movement: random.maybe(40, |random| {
            ExternalId::parse(format!("move-{}", random.below(4))).unwrap()
        }),
        refund: order
            .refund(random.number(1, 3))
            .filter(|_| is_outside && random.chance(40))
            .map(|refund| refund.number),
        method: Some(random.pick(&["CREDIT_CARD", "BANK_TRANSFER"]).to_owned()),
        // Messages overtake each other.
        occurred_time: random.maybe(40, |random| {
            now - random.pick(&[hours(-1), hours(1), hours(12), hours(48)])
        }),
    };
    (Role::Payments, Command::RecordPayment(command))
}

/// Rarely one that was there before: a fact counts once.
fn event_id(random: &mut Random) -> ExternalId {
    let number = if random.chance(5) {
        random.next() % 4
    } else {
        random.next()
    };
    ExternalId::parse(format!("event-{number:x}")).unwrap()
}

/// What a request to many orders asks for.
fn matching(order: &Order) -> Selection {
    let shipment = order.shipments.first();
    Selection::Matching(Box::new(Matching {
        sku: order.lines.last().map(|line| line.sku.clone()),
        warehouse: shipment.map(|shipment| shipment.warehouse.clone()),
    }))
}

fn request(random: &mut Random, order: &Order) -> Command {
    let selection = match random.below(10) {
        0..2 => Selection::All,
        2 => matching(order),
        3..5 => Selection::Shipment(shipment(random, order).map_or(9, |shipment| shipment.number)),
        _ => Selection::Lines(some_lines(random, &order.units(), 60)),
    };
    let paths = [
        vec![Path::Cancel],
        vec![Path::Cancel],
        vec![Path::Cancel, Path::Intercept],
        vec![Path::Intercept, Path::RefuseDelivery],
        vec![Path::ReturnUnopened],
        vec![Path::ReturnOpened],
    ];
    let reasons = [
        "CHANGED_MIND",
        "CHANGED_MIND",
        "OUT_OF_STOCK",
        "NO_SUCH_REASON",
    ];
    Command::RequestCancellation(RequestCancellation {
        selection,
        reason: random.maybe(85, |random| random.pick(&reasons).to_owned()),
        note: None,
        evidence: Vec::new(),
        paths: random.pick(&paths),
        on_ineligible_units: random.pick(&[IneligibleUnits::Refuse, IneligibleUnits::LeaveOut]),
        on_behalf_of: None,
        formerly_on_behalf_of: Box::default(),
        quote: None,
        annotations: Box::default(),
    })
}

/// Some quantities of lines that these units are of, at least one, seldom more than there is.
fn some_lines(random: &mut Random, units: &UnitSet, percent: usize) -> Vec<LineQuantity> {
    let mut lines = Vec::new();
    for line in units.lines() {
        let count = units.count_of(line) + u32::from(random.chance(5));
        let quantity = random.number(1, count);
        lines.extend(random.maybe(percent, |_| LineQuantity { line, quantity }));
    }
    if lines.is_empty() {
        lines.push(LineQuantity {
            line: units.lines().next().unwrap_or(1),
            quantity: 1,
        });
    }
    lines
}

fn shipment<'o>(random: &mut Random, order: &'o Order) -> Option<&'o Shipment> {
    let one_more = usize::from(random.chance(3));
    let index = random.below(order.shipments.len() + one_more);
    order.shipments.get(index)
}

/// What warehouses and carriers do.
fn fulfil(random: &mut Random, order: &Order, now: Timestamp) -> (Role, Command) {
    let found = shipment(random, order);
    let number = found.map_or(9, |shipment| shipment.number);
    let present = found.map_or(1, |shipment| shipment.fence);
    let fence = if random.chance(10) {
        present - 1
    } else {
        present
    };
    let seen = random.maybe(50, |_| fence);
    match random.below(20) {
        0..3 => (
            Role::Warehouse,
            Command::StartPreparation(StartPreparation {
                shipment: number,
                fence: seen,
            }),
        ),
        3..6 => (
            Role::Warehouse,
            Command::MarkReady(MarkReady {
                shipment: number,
                fence: seen,
            }),
        ),
        6..9 => {
            let command = DispatchShipment {
                shipment: number,
                fence,
                tracking_number: None,
            };
            (Role::Warehouse, Command::DispatchShipment(command))
        }
        9..14 => {
            let command = RecordTracking {
                shipment: number,
                carrier_event_id: event_id(random),
                fact: random.pick(TrackingFact::ALL),
                occurred_time: occurred(random, order, now),
            };
            (Role::Carrier, Command::RecordTracking(command))
        }
        14 => {
            let until = now + random.pick(&[hours(1), hours(24), hours(48), hours(-1)]);
            (
                Role::Seller,
                Command::HoldShipment(HoldShipment {
                    shipment: number,
                    fence: seen,
                    until,
                    note: None,
                }),
            )
        }
        15 => (
            Role::Seller,
            Command::ReleaseHold(ReleaseHold {
                shipment: number,
                fence: seen,
            }),
        ),
        16 | 17 => {
            let live = found.map_or_else(UnitSet::default, |shipment| order.live_units(shipment));
            let parcels = parcels(random, &live);
            (
                Role::Warehouse,
                Command::SplitShipment(SplitShipment {
                    shipment: number,
                    fence: seen,
                    parcels,
                }),
            )
        }
        _ => (Role::Warehouse, receive(random, order, number)),
    }
}

/// Mostly in the order in which it is told; now and then before what is known, before the order, or
/// in the future.
fn occurred(random: &mut Random, order: &Order, now: Timestamp) -> Option<Timestamp> {
    let placed = order.create_time;
    random.pick(&[
        None,
        None,
        Some(now),
        Some(placed),
        Some(now - hours(30)),
        Some(placed - hours(1)),
        Some(now + hours(1)),
    ])
}

/// Mostly every unit in one of two parcels.
fn parcels(random: &mut Random, live: &UnitSet) -> Vec<Vec<LineQuantity>> {
    let mut parcels = vec![Vec::new(); 2];
    for line in live.lines() {
        let count = live.count_of(line);
        let first = random.number(0, count);
        for (parcel, quantity) in [first, count - first].into_iter().enumerate() {
            if quantity > 0 && !random.chance(3) {
                parcels[parcel].push(LineQuantity { line, quantity });
            }
        }
    }
    parcels
}

fn receive(random: &mut Random, order: &Order, shipment: u32) -> Command {
    let found = order.shipment(shipment);
    let held = found
        .map(|shipment| shipment.units.clone())
        .unwrap_or_default();
    let out = found
        .map(|shipment| shipment.whereabouts.out())
        .unwrap_or_default();
    let units = if out.is_empty() || random.chance(10) {
        held
    } else {
        out
    };
    let quantities = random
        .maybe(60, |random| some_lines(random, &units, 70))
        .unwrap_or_default();
    // The same box is told again now and then.
    let receipt_id = random.maybe(50, |random| {
        ExternalId::parse(format!("box-{}", random.below(6))).unwrap()
    });
    let placed = order.create_time;
    let receive_time = random.pick(&[None, None, Some(placed - hours(1)), Some(order.update_time)]);
    Command::ReceiveParcel(ReceiveParcel {
        shipment,
        condition: random.pick(GoodsCondition::ALL),
        quantities,
        receipt_id,
        receive_time,
        note: None,
    })
}

fn waiting_parts(order: &Order) -> Vec<(u32, &Part)> {
    let parts = order
        .cancellations
        .iter()
        .flat_map(|of| of.parts.iter().map(|part| (of.number, part)));
    parts
        .filter(|(_, part)| part.state == PartState::Waiting)
        .collect()
}

/// A gate that some part had, so that answers come late as well, or one that nobody ever asked for.
fn any_gate(random: &mut Random, order: &Order) -> Option<(GateKind, u32)> {
    let parts = order
        .cancellations
        .iter()
        .flat_map(|cancellation| &cancellation.parts);
    let mut gates: Vec<_> = parts
        .flat_map(|part| {
            part.gates
                .iter()
                .map(|gate| (gate.spec.kind, part.shipment))
        })
        .collect();
    if gates.is_empty() || random.chance(40) {
        gates = vec![(random.pick(GateKind::ALL), random.number(1, 3))];
    }
    Some(random.pick(&gates))
}

/// Mostly what a waiting part waits for.
fn answer(random: &mut Random, cancellation: u32, part: &Part, order: &Order) -> (Role, Command) {
    if random.chance(12) {
        let by = random.pick(&[Role::Storefront, Role::Seller, Role::Support]);
        return (
            by,
            Command::WithdrawCancellation(WithdrawCancellation { cancellation }),
        );
    }
    // What support is asked in place of comes to pass all the same, now and then.
    let is_late = random.chance(40);
    let gate = part.open_gate();
    let gate = gate.map(|gate| {
        (
            if is_late {
                gate.effective_kind()
            } else {
                gate.spec.kind
            },
            part.shipment,
        )
    });
    answer_kind(random, cancellation, gate, order)
}

fn answer_kind(
    random: &mut Random,
    cancellation: u32,
    gate: Option<(GateKind, u32)>,
    order: &Order,
) -> (Role, Command) {
    let (kind, shipment) = gate.unwrap_or((GateKind::SellerConsent, 1));
    let code = "SHIPPED_ALREADY".to_owned();
    match kind {
        GateKind::SellerConsent | GateKind::SupportReview => {
            let by = kind.party();
            if random.chance(75) {
                (
                    by,
                    Command::ApproveCancellation(ApproveCancellation {
                        cancellation,
                        note: None,
                    }),
                )
            } else {
                let reject = RejectCancellation {
                    cancellation,
                    code,
                    note: None,
                    evidence: Vec::new(),
                };
                (by, Command::RejectCancellation(reject))
            }
        }
        GateKind::WarehouseStop => {
            let units = order
                .shipment(shipment)
                .map(|shipment| order.live_units(shipment))
                .unwrap_or_default();
            let quantities = random
                .maybe(40, |random| some_lines(random, &units, 60))
                .unwrap_or_default();
            let answer = if random.chance(75) {
                StopAnswer::Stopped {
                    quantities,
                    stage_seen: Some(Stage::Ready),
                    put_back: Vec::new(),
                }
            } else {
                StopAnswer::CannotStop { code: Some(code) }
            };
            let cancellation = random.maybe(40, |_| cancellation);
            (
                Role::Warehouse,
                Command::AnswerStop(AnswerStop {
                    shipment,
                    cancellation,
                    answer,
                    note: None,
                }),
            )
        }
        GateKind::CarrierIntercept if random.chance(25) => {
            let fact = random.pick(&[TrackingFact::Returning, TrackingFact::Returned]);
            let carrier_event_id = event_id(random);
            let command = RecordTracking {
                shipment,
                carrier_event_id,
                fact,
                occurred_time: None,
            };
            (Role::Carrier, Command::RecordTracking(command))
        }
        GateKind::CarrierIntercept => {
            let answer = if random.chance(65) {
                InterceptAnswer::Confirmed
            } else {
                InterceptAnswer::CannotIntercept { code: Some(code) }
            };
            (
                Role::Carrier,
                Command::AnswerIntercept(AnswerIntercept {
                    shipment,
                    answer,
                    note: None,
                }),
            )
        }
        GateKind::ParcelReceipt => (Role::Warehouse, receive(random, order, shipment)),
        GateKind::LossConfirmation => {
            let fact = random.pick(&[TrackingFact::Lost, TrackingFact::Delivered]);
            let carrier_event_id = event_id(random);
            let command = RecordTracking {
                shipment,
                carrier_event_id,
                fact,
                occurred_time: None,
            };
            (Role::Carrier, Command::RecordTracking(command))
        }
    }
}

fn refund(random: &mut Random, order: &Order) -> Command {
    let number = random.number(1, u32::try_from(order.refunds.len()).unwrap_or(0).max(1));
    let worker = WorkerId::parse(random.pick(&["worker-1", "worker-2"])).unwrap();
    if random.chance(45) {
        let lease = SignedDuration::from_mins(5);
        return Command::LeaseRefunds(LeaseRefunds {
            refunds: vec![number],
            worker,
            lease,
        });
    }
    let asked = order
        .refund(number)
        .map_or(0, |refund| refund.amounts.total());
    let amount = random
        .pick(&[None, None, Some(asked), Some(asked + 1)])
        .map(eur);
    let result = match random.below(10) {
        0..5 => RefundResult::Settled {
            amount,
            provider_refund_id: random.maybe(40, |random| {
                ExternalId::parse(format!("move-{}", random.below(4))).unwrap()
            }),
            occurred_time: None,
        },
        5..8 => RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
        _ => RefundResult::Unknown,
    };
    Command::RecordRefundResult(RecordRefundResult {
        refund: number,
        result,
    })
}

fn resolve(random: &mut Random, order: &Order) -> Command {
    let open: Vec<Incident> = order
        .incidents
        .iter()
        .filter(|incident| incident.state == IncidentState::Open)
        .cloned()
        .collect();
    let incident = random.pick(if open.is_empty() {
        &order.incidents
    } else {
        &open
    });
    let allowed = belay_domain::commands::allowed_resolutions(order, &incident);
    let resolution = if allowed.is_empty() || random.chance(15) {
        random.pick(Resolution::ALL)
    } else {
        random.pick(&allowed)
    };
    Command::ResolveIncident(ResolveIncident {
        incident: incident.number,
        resolution,
        note: None,
    })
}

/// A note, or an entry of metadata that is set or deleted.
fn annotate(random: &mut Random, order: &Order) -> Command {
    let cancellation = random.maybe(50, |random| random.number(1, 4));
    if random.chance(50) {
        let in_shipment = || shipment(random, order).map(|of| NoteSubject::Shipment(of.number));
        return Command::AddNote(AddNote {
            text: "Called back.".to_owned(),
            visibility: NoteVisibility::Private,
            subject: cancellation
                .map(NoteSubject::Cancellation)
                .or_else(in_shipment),
        });
    }
    let key = MetadataKey::parse(random.pick(&["a", "b"])).unwrap();
    let mut change = AnnotationsChange::default();
    if random.chance(60) {
        let value = random.pick(&["1", "2"]).to_owned();
        change.set.metadata = [(key, value)].into();
    } else {
        change.delete_metadata = [key].into();
    }
    Command::UpdateMetadata(UpdateMetadata {
        cancellation,
        change,
    })
}

fn eur(minor_units: i64) -> Money {
    Money {
        currency: Currency::parse("EUR").unwrap(),
        minor_units,
    }
}

fn carrier_id(text: &str) -> CarrierId {
    CarrierId::parse(text).unwrap()
}

fn warehouse_id(text: &str) -> WarehouseId {
    WarehouseId::parse(text).unwrap()
}
