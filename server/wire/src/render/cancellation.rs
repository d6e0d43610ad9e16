//! A cancellation with its parts and gates.

use belay_domain::actor::Actor;
use belay_domain::cancellation::{
    Cancellation, Gate, GateAnswer, GateState, LabelState, PAYMENT_EXPIRED, Part, PartState,
};
use belay_domain::commands::PreviewedGate;
use belay_domain::context::StoreConfig;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::period::Period;
use belay_domain::shipment::Stage;
use belay_domain::terms::{GateKind, GateSpec, OnTimeout, Path};
use belay_proto::v1 as pb;
use belay_proto::v1::gate_preview::RespondWithin;

use super::annotations::{external_references, metadata};
use crate::Wire;
use crate::enums::numbers;
use crate::values::{
    count, deductions, duration, line_quantities, line_quantity, money, refund_amount, time,
};
use crate::views::Viewer;

/// A cancellation with its parts and gates, as the viewer sees it.
pub fn cancellation(
    viewer: &Viewer<'_>,
    order: &Order,
    store: &StoreConfig,
    cancellation: &Cancellation,
) -> pb::Cancellation {
    viewer.shown(whole(order, store, cancellation))
}

pub(super) fn whole(
    order: &Order,
    store: &StoreConfig,
    cancellation: &Cancellation,
) -> pb::Cancellation {
    let promise = order.promise(cancellation);
    let mut refund_left = promise.refund;
    let refunds = || {
        order
            .refunds
            .iter()
            .filter(|refund| refund.cancellation == Some(cancellation.number))
    };
    pb::Cancellation {
        cancellation_id: ChildKind::Cancellation.id(&order.id, cancellation.number),
        order_id: order.id.to_string(),
        state: cancellation.state().number(),
        outcome: cancellation.outcome().map_or(0, Wire::number),
        close_reason: close_reason(cancellation).to_owned(),
        reason: cancellation.reason.clone().unwrap_or_default(),
        fault: fault(cancellation),
        note: cancellation.note.clone().unwrap_or_default(),
        evidence: cancellation.evidence.clone(),
        counted: cancellation.counted,
        effects: numbers(&cancellation.effects),
        requester: Some(actor(&cancellation.requester)),
        submitted_by: Some(actor(&cancellation.submitted_by)),
        parts: cancellation
            .parts
            .iter()
            .map(|each| part(order, store, cancellation, each, &mut refund_left))
            .collect(),
        expected_refund: Some(refund_amount(order.currency, promise.refund)),
        expected_release: Some(money(order.currency, promise.release)),
        refund_ids: refunds()
            .map(|refund| ChildKind::Refund.id(&order.id, refund.number))
            .collect(),
        refund_due_by: refunds().map(|refund| refund.due_by).max().map(time),
        policy_version: count(cancellation.policy_version),
        create_time: Some(time(cancellation.create_time)),
        close_time: cancellation.close_time.map(time),
        next_actions: numbers(&cancellation.next_actions),
        auto_approved: cancellation.is_auto_approved(),
        metadata: metadata(&cancellation.annotations),
        external_references: external_references(&cancellation.annotations),
    }
}

/// Empty where there is none.
pub(crate) fn reason_name(reason: Option<ErrorReason>) -> String {
    reason.map_or("", ErrorReason::name).to_owned()
}

/// Empty for a plain success and while pending.
pub(crate) fn close_reason(cancellation: &Cancellation) -> &str {
    match cancellation.close_time {
        Some(_) if cancellation.closes_unpaid() => PAYMENT_EXPIRED,
        Some(_) | None => cancellation.close_reason().map_or("", ErrorReason::name),
    }
}

/// Without a reason nobody said whose doing it is.
pub(crate) fn fault(cancellation: &Cancellation) -> i32 {
    if cancellation.reason.is_none() {
        0
    } else {
        cancellation.fault.number()
    }
}

pub(crate) fn actor(actor: &Actor) -> pb::Actor {
    pb::Actor {
        role: actor.role.number(),
        id: actor.id.clone(),
    }
}

/// `refund_left` is what of the cancellation's refund no earlier part stands for.
fn part(
    order: &Order,
    store: &StoreConfig,
    of: &Cancellation,
    part: &Part,
    refund_left: &mut Amounts,
) -> pb::CancellationPart {
    let policy = store.policies.version(of.policy_version);
    let has_no_label = part.label == Some(LabelState::UnavailableInRegion);
    let instructions = policy
        .filter(|_| has_no_label)
        .map(|policy| policy.returns.without_label.clone());
    pb::CancellationPart {
        shipment_id: ChildKind::Shipment.id(&order.id, part.shipment),
        path: part.path.number(),
        state: part.state.number(),
        rule: part.rule.clone().unwrap_or_default(),
        refused_reason: reason_name(part.refused_reason),
        contents: line_quantities(&order.id, &part.units),
        gates: part
            .gates
            .iter()
            .map(|each| gate(&order.id, each))
            .collect(),
        expected_refund: Some(refund_amount(
            order.currency,
            refund_left.take_share(part.refund),
        )),
        credit: Some(refund_amount(order.currency, part.refund)),
        next_actions: numbers(&part.next_actions),
        deductions: Some(deductions(order.currency, part.deductions)),
        label: part.label.map_or(0, Wire::number),
        label_instructions: instructions.unwrap_or_default(),
        receipt: part.receipt.map(|receipt| pb::ParcelReceipt {
            condition: receipt.condition.number(),
            receive_time: Some(time(receipt.receive_time)),
        }),
        effects: numbers(&part.effects),
        return_state: return_state(order, part).into(),
    }
}

/// How far goods are on their way back, by what is known of their parcel.
fn return_state(order: &Order, part: &Part) -> pb::ReturnState {
    match part.path {
        Path::Cancel | Path::Intercept => return pb::ReturnState::Unspecified,
        Path::RefuseDelivery | Path::ReturnUnopened | Path::ReturnOpened => {}
    }
    if part.receipt.is_some() {
        return pb::ReturnState::Received;
    }
    match part.state {
        PartState::Waiting | PartState::Cancelled => {}
        PartState::Refused | PartState::Withdrawn => return pb::ReturnState::Unspecified,
    }
    let awaits_consent = |gate: &Gate| {
        gate.spec.kind.is_consent() && matches!(gate.state, GateState::Queued | GateState::Open)
    };
    let is_turned = |stage: Stage| matches!(stage, Stage::Returning | Stage::Returned);
    if part.gates.iter().any(awaits_consent) {
        pb::ReturnState::Unspecified
    } else if order
        .shipment(part.shipment)
        .is_some_and(|shipment| is_turned(shipment.stage))
    {
        pb::ReturnState::Returning
    } else {
        pb::ReturnState::Authorised
    }
}

fn gate(order: &OrderId, gate: &Gate) -> pb::Gate {
    pb::Gate {
        kind: gate.spec.kind.number(),
        party: party(gate.spec.kind).into(),
        state: gate.state.number(),
        open_time: gate.open_time.map(time),
        respond_by: gate.respond_by.map(time),
        on_timeout: on_timeout(&gate.spec),
        on_dispatch: gate.spec.on_dispatch.number(),
        on_lost: gate.spec.on_lost.number(),
        answer: gate
            .answer
            .as_ref()
            .map(|answer| gate_answer(order, answer)),
        remind_time: gate.remind_at.map(time),
        close_time: gate.close_time.map(time),
        instead_of: gate.instead_of.map_or(0, Wire::number),
    }
}

fn gate_answer(order: &OrderId, answer: &GateAnswer) -> pb::GateAnswer {
    pb::GateAnswer {
        by: Some(actor(&answer.by)),
        code: answer.code.clone().unwrap_or_default(),
        note: answer.note.clone().unwrap_or_default(),
        evidence: answer.evidence.clone(),
        stage_seen: answer.stage_seen.map_or(0, Wire::number),
        put_back: answer
            .put_back
            .iter()
            .map(|quantity| line_quantity(order, *quantity))
            .collect(),
    }
}

pub(crate) fn gate_preview(PreviewedGate { spec, respond_by }: &PreviewedGate) -> pb::GatePreview {
    pb::GatePreview {
        kind: spec.kind.number(),
        party: party(spec.kind).into(),
        respond_within: spec.respond_within.map(|wait| match wait {
            Period::Time(length) => RespondWithin::Duration(duration(length)),
            Period::CalendarDays(days) => RespondWithin::CalendarDays(count(days)),
            Period::WorkingDays(days) => RespondWithin::WorkingDays(count(days)),
        }),
        on_timeout: on_timeout(spec),
        on_dispatch: spec.on_dispatch.number(),
        on_lost: spec.on_lost.number(),
        respond_by: respond_by.map(time),
    }
}

/// Silence means nothing where there is no deadline.
fn on_timeout(spec: &GateSpec) -> i32 {
    spec.respond_within
        .map_or(0, |_| OnTimeout::number(spec.on_timeout))
}

pub(crate) fn party(kind: GateKind) -> pb::Party {
    match kind {
        GateKind::SellerConsent => pb::Party::Seller,
        GateKind::SupportReview => pb::Party::Support,
        GateKind::WarehouseStop | GateKind::ParcelReceipt => pb::Party::Warehouse,
        GateKind::CarrierIntercept | GateKind::LossConfirmation => pb::Party::Carrier,
    }
}
