//! A cancellation with its parts and gates.

use belay_domain::actor::Actor;
use belay_domain::cancellation::{Cancellation, Gate, GateKind, Part};
use belay_domain::ids::ChildKind;
use belay_domain::order::{Order, PAYMENT_EXPIRED};
use belay_domain::policy::{GateSpec, OnTimeout};
use belay_proto::v1 as pb;

use crate::wire::Wire;
use crate::wire::enums::numbers;
use crate::wire::values::{count, duration, line_quantities, refund_amount, time};

pub(crate) fn cancellation(order: &Order, cancellation: &Cancellation) -> pb::Cancellation {
    let refunds = || order.refunds.iter().filter(|refund| refund.cancellation == Some(cancellation.number));
    pb::Cancellation {
        cancellation_id: ChildKind::Cancellation.id(&order.id, cancellation.number),
        order_id: order.id.to_string(),
        state: cancellation.state().number(),
        outcome: cancellation.outcome().map_or(0, Wire::number),
        close_reason: close_reason(cancellation).to_owned(),
        reason: cancellation.reason.clone(),
        fault: fault(cancellation),
        note: cancellation.note.clone().unwrap_or_default(),
        evidence: cancellation.evidence.clone(),
        counted: cancellation.counted,
        effects: numbers(&cancellation.effects),
        requester: Some(actor(&cancellation.requester)),
        submitted_by: Some(actor(&cancellation.submitted_by)),
        parts: cancellation.parts.iter().map(|each| part(order, each)).collect(),
        expected_refund: Some(refund_amount(order.currency, cancellation.expected_refund())),
        refund_ids: refunds().map(|refund| ChildKind::Refund.id(&order.id, refund.number)).collect(),
        refund_due_by: refunds().map(|refund| refund.due_by).max().map(time),
        policy_version: count(cancellation.policy_version),
        create_time: Some(time(cancellation.create_time)),
        close_time: cancellation.close_time.map(time),
    }
}

/// Empty for a plain success and while pending.
pub(crate) fn close_reason(cancellation: &Cancellation) -> &str {
    match cancellation.close_time {
        Some(_) if cancellation.reason == PAYMENT_EXPIRED => PAYMENT_EXPIRED,
        Some(_) | None => cancellation.close_reason().unwrap_or_default(),
    }
}

/// Without a reason nobody said whose doing it is.
pub(crate) fn fault(cancellation: &Cancellation) -> i32 {
    if cancellation.reason.is_empty() { 0 } else { cancellation.fault.number() }
}

pub(crate) fn actor(actor: &Actor) -> pb::Actor {
    pb::Actor { role: actor.role.number(), id: actor.id.clone() }
}

fn part(order: &Order, part: &Part) -> pb::Part {
    pb::Part {
        shipment_id: ChildKind::Shipment.id(&order.id, part.shipment),
        path: part.path.number(),
        state: part.state.number(),
        rule: part.rule.clone().unwrap_or_default(),
        refused_reason: part.refused_reason.clone().unwrap_or_default(),
        contents: line_quantities(&order.id, &part.units),
        gates: part.gates.iter().map(gate).collect(),
        expected_refund: Some(refund_amount(order.currency, part.refund)),
        next_actions: numbers(&part.next_actions),
    }
}

fn gate(gate: &Gate) -> pb::Gate {
    pb::Gate {
        kind: gate.spec.kind.number(),
        party: party(gate.spec.kind).into(),
        state: gate.state.number(),
        open_time: gate.open_time.map(time),
        respond_by: gate.respond_by.map(time),
        on_timeout: on_timeout(&gate.spec),
        on_dispatch: gate.spec.on_dispatch.number(),
        on_lost: gate.spec.on_lost.number(),
    }
}

pub(super) fn gate_preview(spec: &GateSpec) -> pb::GatePreview {
    pb::GatePreview {
        kind: spec.kind.number(),
        party: party(spec.kind).into(),
        respond_within: spec.respond_within.map(duration),
        on_timeout: on_timeout(spec),
        on_dispatch: spec.on_dispatch.number(),
        on_lost: spec.on_lost.number(),
    }
}

/// Silence means nothing where there is no deadline.
fn on_timeout(spec: &GateSpec) -> i32 {
    spec.respond_within.map_or(0, |_| OnTimeout::number(spec.on_timeout))
}

pub(crate) fn party(kind: GateKind) -> pb::Party {
    match kind {
        GateKind::SellerConsent => pb::Party::Seller,
        GateKind::SupportReview => pb::Party::Support,
        GateKind::WarehouseStop | GateKind::ParcelReceipt => pb::Party::Warehouse,
        GateKind::CarrierIntercept => pb::Party::Carrier,
    }
}
