//! Orders in which everything is as long as it may be.

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::{
    Annotations, METADATA_MAX, METADATA_VALUE_BYTES_MAX, Note, NoteSubject, NoteVisibility,
    REFERENCE_URL_LENGTH_MAX, REFERENCES_MAX, Reference,
};
use belay_domain::cancellation::{
    Cancellation, Deductions, Gate, GateAnswer, GateState, LabelState, Part, PartState, Receipt,
};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, MetadataKey, OrderId, SellerId, Sku, StoreId, SystemId,
    WarehouseId, WorkerId,
};
use belay_domain::incident::{Incident, IncidentKind, IncidentState, Resolution};
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::payment::{Balance, Payment, PaymentState};
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::shipment::{CustomsFlag, Hold, Intercept, InterceptState, Stage};
use belay_domain::terms::{
    Effect, Fault, GateKind, GateSpec, GoodsCondition, NextAction, OnDispatch, OnLost, OnTimeout,
    Path, RefundPlan,
};
use belay_domain::units::{LineQuantity, UnitSet};
use jiff::Timestamp;

use crate::kit::{Cart, Case, policy_with};

/// Late, and to the nanosecond.
const LATE: Timestamp = Timestamp::constant(7_258_118_399, 999_999_999);
/// Before anything of it is due.
const NOW: Timestamp = Timestamp::constant(7_258_118_398, 999_999_999);
/// More than any amount of an order.
pub(crate) const AMOUNT: i64 = 100_000_000_000_000;
/// Above every number of something that an order holds.
const NUMBER: u32 = 9_999_999;
pub(crate) const AMOUNTS: Amounts = Amounts {
    goods: AMOUNT,
    tax: AMOUNT,
    shipping: AMOUNT,
    excess: AMOUNT,
};

pub(crate) fn id() -> String {
    "i".repeat(64)
}

fn external() -> ExternalId {
    ExternalId::parse("e".repeat(128)).unwrap()
}

/// A text of so many characters, each of four bytes.
pub(crate) fn text(characters: usize) -> String {
    "𝕋".repeat(characters)
}

fn actor() -> Actor {
    Actor::new(Role::Storefront, id())
}

/// One line, one shipment, and of everything else nothing.
pub(crate) fn bare(quantity: u32) -> Case {
    let rules = "
  - {id: all, when: {path: CANCEL}, allow: {refund: FULL}}";
    let sections = format!(
        "\nlabels: {{TO_SHIP: \"{}\"}}\nreturns: {{without_label: \"{}\"}}\nrefunds:",
        text(100),
        text(1_000)
    );
    let customs = "\ncustoms: {identical_units_max: 1, own_delivery: [SPLIT_SHIPMENT], partner_delivery: [SPLIT_SHIPMENT]}";
    let sections = format!("{customs}{sections}");
    let mut case =
        Cart::of(&[(quantity, 100)]).place_under(policy_with(rules, &[("\nrefunds:", &sections)]));
    let order = &mut case.order;
    order.id = OrderId::parse(id()).unwrap();
    order.store = StoreId::parse(id()).unwrap();
    order.buyer.id = BuyerId::parse(id()).unwrap();
    order.seller = SellerId::parse(id()).unwrap();
    order.destination.region = text(128);
    order.destination.city = text(128);
    (order.version, order.policy_version) = (u64::MAX / 2, 1);
    (order.create_time, order.update_time, order.pay_by) = (NOW, NOW, LATE);
    order.paid_time = Some(LATE);
    (order.lapse_time, order.verified_at) = (Some(LATE), Some(LATE));
    order.lines[0].sku = Sku::parse("s".repeat(128)).unwrap();
    order.lines[0].title = text(256);
    case
}

pub(crate) fn shipment(order: &mut Order) {
    let shipment = &mut order.shipments[0];
    shipment.warehouse = WarehouseId::parse(id()).unwrap();
    shipment.carrier = CarrierId::parse(id()).unwrap();
    shipment.fence = u32::MAX / 2;
    shipment.tracking_number = Some(external());
    (shipment.dispatch_time, shipment.deliver_time) = (Some(LATE), Some(LATE));
    (shipment.update_time, shipment.prepare_by) = (LATE, Some(LATE));
    (shipment.preparation_overdue, shipment.split_from) = (true, Some(NUMBER));
    shipment.hold = Some(Hold {
        until: LATE,
        note: Some(text(2_000)),
        placed_by: actor(),
        create_time: LATE,
    });
    shipment.intercept = Some(Intercept {
        state: InterceptState::Failed,
        request_time: LATE,
        update_time: LATE,
    });
    shipment.customs_flag = Some(CustomsFlag {
        sku: Sku::parse("s".repeat(128)).unwrap(),
        quantity: NUMBER,
        units_max: NUMBER,
    });
    let units = shipment.units.clone();
    (shipment.whereabouts.left, shipment.whereabouts.home) = (units.clone(), units);
}

pub(crate) fn payment() -> Payment {
    Payment {
        number: NUMBER,
        provider_payment_id: external(),
        method: "M".repeat(63),
        create_time: LATE,
        update_time: LATE,
        facts: Vec::new(),
        balance: Balance {
            state: PaymentState::Captured,
            authorized: AMOUNT,
            held: AMOUNT,
            captured: AMOUNT,
            unconfirmed: AMOUNT,
            returned_outside: AMOUNT,
            disputed: AMOUNT,
            capture_time: Some(LATE),
        },
    }
}

pub(crate) fn refund(cancellation: u32) -> Refund {
    Refund {
        number: NUMBER,
        payment: NUMBER,
        cancellation: Some(cancellation),
        kind: RefundKind::Void,
        state: RefundState::Unknown,
        amounts: AMOUNTS,
        due_by: LATE,
        worker: Some(WorkerId::parse(id()).unwrap()),
        lease_until: Some(LATE),
        provider_refund_id: Some(external()),
        settled_amount: Some(AMOUNT),
        failure_code: Some(text(128)),
        create_time: LATE,
        update_time: LATE,
        settle_time: Some(LATE),
        overdue_at: LATE,
        overdue: true,
        retry_of: Some(NUMBER),
    }
}

pub(crate) fn incident() -> Incident {
    Incident {
        number: NUMBER,
        kind: IncidentKind::RefundMismatch,
        state: IncidentState::Resolved,
        shipment: None,
        refund: Some(NUMBER),
        payment: None,
        amount: Some(AMOUNT),
        cancellation: Some(NUMBER),
        create_time: LATE,
        resolve_time: Some(LATE),
        resolution: Some(Resolution::Accept),
        resolved_by: Some(actor()),
        note: Some(text(2_000)),
    }
}

/// One that is over, in which so many parts have these units.
pub(crate) fn cancellation(number: u32, parts: Vec<Part>) -> Cancellation {
    Cancellation {
        number,
        reason: Some("R".repeat(63)),
        fault: Fault::Carrier,
        note: Some(text(2_000)),
        evidence: vec![text(512); 10],
        counted: true,
        effects: Effect::ALL.to_vec(),
        next_actions: NextAction::ALL.to_vec(),
        requester: actor(),
        submitted_by: actor(),
        policy_version: 1,
        parts,
        create_time: LATE,
        close_time: Some(LATE),
        annotations: annotations(),
    }
}

/// As many as there may be, each as long as it may be.
pub(crate) fn annotations() -> Annotations {
    let name = |number: usize| format!("{number:k>64}");
    let entry = |number| {
        let value = text(METADATA_VALUE_BYTES_MAX / 4);
        (MetadataKey::parse(name(number)).unwrap(), value)
    };
    let reference = |number| {
        let reference = Reference {
            id: external(),
            url: Some("u".repeat(REFERENCE_URL_LENGTH_MAX)),
        };
        (SystemId::parse(name(number)).unwrap(), reference)
    };
    Annotations {
        metadata: (0..METADATA_MAX).map(entry).collect(),
        references: (0..REFERENCES_MAX).map(reference).collect(),
    }
}

pub(crate) fn note(subject: NoteSubject) -> Note {
    Note {
        number: NUMBER,
        visibility: NoteVisibility::Private,
        text: text(2_000),
        author: actor(),
        subject: Some(subject),
        create_time: LATE,
    }
}

pub(crate) fn part(units: &UnitSet, gates: Vec<Gate>) -> Part {
    Part {
        state: PartState::Refused,
        rule: Some("r".repeat(63)),
        refused_reason: Some(ErrorReason::LabelUnavailableInRegion),
        next_actions: NextAction::ALL.to_vec(),
        plan: RefundPlan::FULL,
        refund: AMOUNTS,
        deductions: Deductions {
            outbound_shipping: AMOUNT,
            return_shipping: AMOUNT,
            by_schedule: AMOUNT,
        },
        label: Some(LabelState::Issued),
        receipt: Some(Receipt {
            condition: GoodsCondition::Unopened,
            receive_time: LATE,
        }),
        effects: Effect::ALL.to_vec(),
        gates,
        ..Part::waiting(NUMBER, units.clone(), Path::ReturnOpened)
    }
}

pub(crate) fn gate(put_back: u32) -> Gate {
    let spec = GateSpec {
        kind: GateKind::WarehouseStop,
        respond_within: Some(belay_domain::period::Period::CalendarDays(1)),
        remind_before: None,
        on_timeout: OnTimeout::Escalate,
        escalate_within: None,
        on_dispatch: OnDispatch::RefusePart,
        on_lost: OnLost::Pass,
    };
    Gate {
        spec,
        instead_of: Some(GateKind::LossConfirmation),
        state: GateState::Closed,
        open_time: Some(LATE),
        respond_by: Some(LATE),
        remind_at: Some(LATE),
        close_time: Some(LATE),
        answer: Some(GateAnswer {
            by: actor(),
            code: Some("C".repeat(63)),
            note: Some(text(2_000)),
            evidence: vec![text(512); 10],
            stage_seen: Some(Stage::Split),
            put_back: (1..=put_back)
                .map(|line| LineQuantity {
                    line,
                    quantity: 1_000_000,
                })
                .collect(),
        }),
    }
}
