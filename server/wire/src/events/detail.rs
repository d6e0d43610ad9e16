//! The detail of each type of event, as a message.

use belay_domain::annotations::{ChangedAnnotations, NoteSubject, NoteVisibility};
use belay_domain::cancellation::{GateState, PartState};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventDetail;
use belay_domain::ids::ChildKind;
use belay_domain::incident::{IncidentState, Resolution};
use belay_domain::ledger::Promise;
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::refund::RefundState;
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_domain::terms::{Effect, GateKind, Path};
use belay_domain::units::UnitSet;
use belay_proto::v1 as pb;
use belay_proto::v1::event::Detail;
use jiff::Timestamp;

use crate::Wire;
use crate::enums::numbers;
use crate::render::annotations::subject;
use crate::render::cancellation::{close_reason, fault, party, reason_name};
use crate::render::order::subject_id;
use crate::values::{count, money, refund_amount, time};

/// `order` is as it stands after the command.
#[expect(clippy::too_many_lines, reason = "a table: a row for each event")]
pub(super) fn detail(order: &Order, detail: &EventDetail) -> Option<Detail> {
    Some(match detail {
        EventDetail::OrderPaid
        | EventDetail::OrderClosedUnpaid { .. }
        | EventDetail::PaymentVerified => return None,
        EventDetail::OrderCreated { total } => order_created(order, *total),
        EventDetail::PaymentRecorded {
            payment,
            fact,
            amount,
            movement,
            refund,
            occurred_time,
        } => Detail::PaymentRecorded(pb::PaymentRecorded {
            payment_id: ChildKind::Payment.id(&order.id, *payment),
            fact: fact.number(),
            amount: amount.map(|amount| money(amount.currency, amount.minor_units)),
            state: payment_state(order, *payment),
            occurred_time: occurred_time.map(time),
            movement_id: text(movement.as_ref()),
            refund_id: text(refund.map(|number| refund_id(order, number))),
        }),
        EventDetail::PaymentLapsed { pay_by } => Detail::PaymentLapsed(pb::PaymentLapsed {
            pay_by: Some(time(*pay_by)),
        }),
        EventDetail::ShipmentStageChanged {
            shipment,
            from,
            to,
            fence,
        } => stage_changed(order, *shipment, *from, *to, *fence),
        EventDetail::TrackingRecorded {
            shipment,
            fact,
            occurred_time,
        } => tracking_recorded(order, *shipment, *fact, *occurred_time),
        EventDetail::CancellationRequested { cancellation, .. }
        | EventDetail::CancellationRejected { cancellation, .. }
        | EventDetail::CancellationWithdrawn { cancellation } => {
            return cancellation_changed(order, *cancellation, None);
        }
        EventDetail::CancellationCompleted {
            cancellation,
            refund,
            release,
            ..
        } => {
            let (refund, release) = (*refund, *release);
            return cancellation_changed(order, *cancellation, Some(Promise { refund, release }));
        }
        EventDetail::GateOpened {
            cancellation,
            shipment,
            gate,
            respond_by,
        }
        | EventDetail::GateReminder {
            cancellation,
            shipment,
            gate,
            respond_by,
        } => gate_changed(
            order,
            (*cancellation, *shipment),
            *gate,
            GateState::Open,
            *respond_by,
        ),
        EventDetail::GateClosed {
            cancellation,
            shipment,
            gate,
            state,
        } => gate_changed(order, (*cancellation, *shipment), *gate, *state, None),
        EventDetail::PartEnded {
            cancellation,
            shipment,
            path,
            state,
            refused_reason,
            units,
            effects,
        } => part_ended(
            order,
            (*cancellation, *shipment, *path),
            *state,
            *refused_reason,
            units,
            effects,
        ),
        EventDetail::RefundCreated { refund, .. } => {
            return refund_changed(order, *refund, None, None);
        }
        EventDetail::RefundStateChanged {
            refund,
            from,
            to,
            settled_amount,
        } => {
            return refund_changed(order, *refund, Some((*from, *to)), *settled_amount);
        }
        EventDetail::RefundOverdue { refund, due_by } => Detail::RefundOverdue(pb::RefundOverdue {
            refund_id: refund_id(order, *refund),
            due_by: Some(time(*due_by)),
        }),
        EventDetail::IncidentOpened { incident, .. } => {
            return incident_changed(order, *incident, IncidentState::Open, None);
        }
        EventDetail::IncidentResolved {
            incident,
            resolution,
            ..
        } => {
            return incident_changed(order, *incident, IncidentState::Resolved, *resolution);
        }
        EventDetail::ShipmentHeld { shipment, until } => shipment_held(order, *shipment, *until),
        EventDetail::HoldEnded { shipment } => Detail::HoldEnded(pb::HoldEnded {
            shipment_id: shipment_id(order, *shipment),
        }),
        EventDetail::ShipmentSplit { shipment, into } => shipment_split(order, *shipment, into),
        EventDetail::InterceptChanged { shipment, state } => {
            intercept_changed(order, *shipment, *state)
        }
        EventDetail::ParcelReceived {
            shipment,
            condition,
            units,
            receipt_id,
            receive_time,
        } => Detail::ParcelReceived(pb::ParcelReceived {
            shipment_id: shipment_id(order, *shipment),
            condition: condition.number(),
            contents: sku_quantities(order, units),
            receipt_id: text(receipt_id.as_ref()),
            receive_time: Some(time(*receive_time)),
        }),
        EventDetail::PreparationOverdue {
            shipment,
            prepare_by,
        } => preparation_overdue(order, *shipment, *prepare_by),
        EventDetail::MetadataChanged {
            cancellation,
            changed,
        } => metadata_changed(order, *cancellation, changed),
        EventDetail::NoteAdded {
            note,
            visibility,
            subject,
        } => note_added(order, *note, *visibility, *subject),
    })
}

fn shipment_id(order: &Order, number: u32) -> String {
    ChildKind::Shipment.id(&order.id, number)
}

fn cancellation_id(order: &Order, number: u32) -> String {
    ChildKind::Cancellation.id(&order.id, number)
}

fn refund_id(order: &Order, number: u32) -> String {
    ChildKind::Refund.id(&order.id, number)
}

/// Empty where there is none.
pub(super) fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn payment_state(order: &Order, payment: u32) -> i32 {
    let payment = order.payment(payment);
    payment.map_or(0, |payment| payment.balance.state.number())
}

fn order_created(order: &Order, total: Amounts) -> Detail {
    Detail::OrderCreated(pb::OrderCreated {
        seller_id: order.seller.to_string(),
        total: Some(money(order.currency, total.total())),
        pay_by: Some(time(order.pay_by)),
        shipments: order
            .shipments
            .iter()
            .map(|shipment| pb::PlannedShipment {
                shipment_id: shipment_id(order, shipment.number),
                warehouse_id: shipment.warehouse.to_string(),
                carrier_id: shipment.carrier.to_string(),
                contents: sku_quantities(order, &shipment.units),
            })
            .collect(),
    })
}

/// What a warehouse finds on its shelves.
fn sku_quantities(order: &Order, units: &UnitSet) -> Vec<pb::SkuQuantity> {
    let of_line = |number| {
        let line = order.line(number)?;
        Some(pb::SkuQuantity {
            line_id: ChildKind::Line.id(&order.id, number),
            quantity: count(units.count_of(number)),
            sku: line.sku.to_string(),
        })
    };
    units.lines().filter_map(of_line).collect()
}

/// What is in a shipment and not cancelled.
fn live_contents(order: &Order, shipment: u32) -> Vec<pb::SkuQuantity> {
    order.shipment(shipment).map_or_else(Vec::new, |shipment| {
        sku_quantities(order, &order.live_units(shipment))
    })
}

fn part_ended(
    order: &Order,
    (cancellation, shipment, path): (u32, u32, Path),
    state: PartState,
    refused_reason: Option<ErrorReason>,
    units: &UnitSet,
    effects: &[Effect],
) -> Detail {
    let whole = order.cancellation(cancellation);
    Detail::PartEnded(pb::PartEnded {
        cancellation_id: cancellation_id(order, cancellation),
        shipment_id: shipment_id(order, shipment),
        state: state.number(),
        refused_reason: reason_name(refused_reason),
        contents: sku_quantities(order, units),
        effects: numbers(effects),
        fault: whole.map_or(0, fault),
        counted: whole.is_some_and(|cancellation| cancellation.counted),
        stage: order
            .shipment(shipment)
            .map_or(0, |shipment| shipment.stage.number()),
        path: path.number(),
        reason: text(whole.and_then(|cancellation| cancellation.reason.as_ref())),
    })
}

fn stage_changed(order: &Order, shipment: u32, from: Stage, to: Stage, fence: u32) -> Detail {
    Detail::ShipmentStageChanged(pb::ShipmentStageChanged {
        shipment_id: shipment_id(order, shipment),
        from_stage: from.number(),
        to_stage: to.number(),
        fence: i64::from(fence),
        contents: live_contents(order, shipment),
    })
}

fn tracking_recorded(order: &Order, shipment: u32, fact: TrackingFact, at: Timestamp) -> Detail {
    Detail::TrackingRecorded(pb::TrackingRecorded {
        shipment_id: shipment_id(order, shipment),
        fact: fact.number(),
        occurred_time: Some(time(at)),
    })
}

fn cancellation_changed(order: &Order, number: u32, promise: Option<Promise>) -> Option<Detail> {
    let cancellation = order.cancellation(number)?;
    Some(Detail::CancellationChanged(pb::CancellationChanged {
        cancellation_id: cancellation_id(order, number),
        state: cancellation.state().number(),
        outcome: cancellation.outcome().map_or(0, Wire::number),
        reason: text(cancellation.reason.as_ref()),
        fault: fault(cancellation),
        close_reason: close_reason(cancellation).to_owned(),
        counted: cancellation.counted,
        effects: numbers(&cancellation.effects),
        refund: promise.map(|promise| refund_amount(order.currency, promise.refund)),
        release: promise.map(|promise| money(order.currency, promise.release)),
    }))
}

/// A gate of this cancellation's part in this shipment.
fn gate_changed(
    order: &Order,
    (cancellation, shipment): (u32, u32),
    gate: GateKind,
    state: GateState,
    respond_by: Option<Timestamp>,
) -> Detail {
    let whole = order.cancellation(cancellation);
    let parts = whole.map_or(&[][..], |cancellation| &cancellation.parts);
    let units = parts
        .iter()
        .filter(|part| part.shipment == shipment)
        .filter(|part| {
            let mut kinds = part
                .gates
                .iter()
                .flat_map(|gate| [gate.spec.kind, gate.effective_kind()]);
            kinds.any(|kind| kind == gate)
        })
        .fold(UnitSet::default(), |units, part| units.union(&part.units));
    Detail::GateChanged(pb::GateChanged {
        cancellation_id: cancellation_id(order, cancellation),
        shipment_id: shipment_id(order, shipment),
        kind: gate.number(),
        party: party(gate).into(),
        state: state.number(),
        respond_by: respond_by.map(time),
        fence: order
            .shipment(shipment)
            .map_or(0, |shipment| shipment.fence.into()),
        contents: sku_quantities(order, &units),
        reason: text(whole.and_then(|cancellation| cancellation.reason.as_ref())),
    })
}

/// `moved` is from where to where; `None` for a new refund, which stands where it was created.
fn refund_changed(
    order: &Order,
    number: u32,
    moved: Option<(RefundState, RefundState)>,
    settled_amount: Option<i64>,
) -> Option<Detail> {
    let refund = order.refund(number)?;
    let cancellation = refund
        .cancellation
        .map(|number| cancellation_id(order, number));
    Some(Detail::RefundChanged(pb::RefundChanged {
        refund_id: refund_id(order, number),
        kind: refund.kind.number(),
        from_state: moved.map_or(0, |(from, _)| from.number()),
        to_state: moved.map_or(refund.state, |(_, to)| to).number(),
        total: Some(money(order.currency, refund.amounts.total())),
        due_by: Some(time(refund.due_by)),
        payment_id: ChildKind::Payment.id(&order.id, refund.payment),
        cancellation_id: cancellation.unwrap_or_default(),
        retry_of_id: text(refund.retry_of.map(|number| refund_id(order, number))),
        settled_amount: settled_amount.map(|amount| money(order.currency, amount)),
    }))
}

fn incident_changed(
    order: &Order,
    number: u32,
    state: IncidentState,
    resolution: Option<Resolution>,
) -> Option<Detail> {
    let incident = order.incident(number)?;
    Some(Detail::IncidentChanged(pb::IncidentChanged {
        incident_id: ChildKind::Incident.id(&order.id, number),
        kind: incident.kind.number(),
        state: state.number(),
        subject_id: subject_id(order, incident),
        resolution: resolution.map_or(0, Wire::number),
    }))
}

fn shipment_held(order: &Order, shipment: u32, until: Timestamp) -> Detail {
    Detail::ShipmentHeld(pb::ShipmentHeld {
        shipment_id: shipment_id(order, shipment),
        hold_until: Some(time(until)),
    })
}

fn shipment_split(order: &Order, shipment: u32, into: &[u32]) -> Detail {
    Detail::ShipmentSplit(pb::ShipmentSplit {
        shipment_id: shipment_id(order, shipment),
        into_shipment_ids: into
            .iter()
            .map(|number| shipment_id(order, *number))
            .collect(),
    })
}

fn intercept_changed(order: &Order, shipment: u32, state: InterceptState) -> Detail {
    Detail::InterceptChanged(pb::InterceptChanged {
        shipment_id: shipment_id(order, shipment),
        state: state.number(),
    })
}

fn preparation_overdue(order: &Order, shipment: u32, prepare_by: Timestamp) -> Detail {
    Detail::PreparationOverdue(pb::PreparationOverdue {
        shipment_id: shipment_id(order, shipment),
        prepare_by: Some(time(prepare_by)),
    })
}

fn metadata_changed(
    order: &Order,
    cancellation: Option<u32>,
    changed: &ChangedAnnotations,
) -> Detail {
    fn texts<T: ToString>(names: &[T]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }
    Detail::MetadataChanged(pb::MetadataChanged {
        cancellation_id: text(cancellation.map(|number| cancellation_id(order, number))),
        set_keys: texts(&changed.set_keys),
        deleted_keys: texts(&changed.deleted_keys),
        set_systems: texts(&changed.set_systems),
        deleted_systems: texts(&changed.deleted_systems),
    })
}

/// Without its text, which not everybody may read who is told of it.
fn note_added(
    order: &Order,
    number: u32,
    visibility: NoteVisibility,
    about: Option<NoteSubject>,
) -> Detail {
    let (cancellation_id, shipment_id) = subject(&order.id, about);
    Detail::NoteAdded(pb::NoteAdded {
        note_id: ChildKind::Note.id(&order.id, number),
        visibility: visibility.number(),
        cancellation_id,
        shipment_id,
    })
}
