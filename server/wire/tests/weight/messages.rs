//! The message of an order beside its weight.

use std::collections::BTreeSet;

use belay_domain::actor::Role;
use belay_domain::annotations::{Annotations, NoteSubject};
use belay_domain::cancellation::{Cancellation, LabelState, PartState};
use belay_domain::incident::IncidentState;
use belay_domain::order::Order;
use belay_domain::shipment::Stage;
use belay_domain::units::{UnitRange, UnitSet};
use belay_domain::weight::{TEXTS_BYTES_MAX, WEIGHT_BYTES_MAX, WEIGHT_BYTES_ROOM};
use belay_proto::v1 as pb;
use belay_wire::render;
use belay_wire::views::Viewer;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value,
};

use crate::CLIENT_BYTES_MAX;
use crate::extremes::{
    annotations, bare, cancellation, gate, incident, note, part, payment, refund, shipment, text,
};
use crate::kit::Case;

/// What a text counts besides its bytes.
const FIELD_BYTES: usize = 4;

fn message(case: &Case) -> pb::Order {
    render::order(
        &Viewer::WHOLE,
        &case.order,
        &case.store,
        case.order.update_time,
    )
}

/// The bytes of the message, which are never more than the weight.
fn bytes(case: &Case) -> usize {
    let (bytes, weight) = (message(case).encoded_len(), case.order.weight());
    assert!(bytes <= weight, "{bytes} bytes, a weight of {weight}");
    bytes
}

/// Units of so many lines, one of each.
fn units(lines: u32) -> UnitSet {
    UnitSet::new((1..=lines).map(|line| UnitRange {
        line,
        first: 0,
        count: 1,
    }))
}

/// Everything there is, and at its longest.
fn everything() -> Case {
    let mut case = bare(1_000_000);
    shipment(&mut case.order);
    let units = case.order.units();
    let mut without_label = part(&units, vec![gate(1)]);
    without_label.label = Some(LabelState::UnavailableInRegion);
    let parts = vec![part(&units, vec![gate(1)]), without_label];
    case.order
        .cancellations
        .push(cancellation(9_999_998, parts));
    case.order.payments.push(payment());
    case.order.refunds.push(refund(9_999_998));
    case.order.incidents.push(incident());
    case.order.annotations = annotations();
    let subjects = [
        NoteSubject::Cancellation(9_999_998),
        NoteSubject::Shipment(1),
    ];
    case.order.notes.extend(subjects.map(note));
    case
}

#[test]
fn each_thing_weighs_at_least_what_it_adds_to_the_message() {
    let base = bare(1_000_000);
    let base_bytes = message(&base).encoded_len();
    let base_weight = base.order.weight();
    assert!(base_bytes <= base_weight);
    let with = |change: &dyn Fn(&mut Order)| {
        let mut case = base.clone();
        change(&mut case.order);
        case
    };
    let parts = |parts: u32, lines: u32, gates: usize| {
        move |order: &mut Order| {
            let part = part(&units(lines), vec![gate(0); gates]);
            let parts = (0..parts).map(|_| part.clone()).collect();
            order.cancellations.push(cancellation(9_999_998, parts));
        }
    };
    let cases: Vec<(&str, Case)> = vec![
        (
            "a line",
            with(&|order| order.lines.push(order.lines[0].clone())),
        ),
        ("a payment", with(&|order| order.payments.push(payment()))),
        (
            "a refund",
            with(&|order| order.refunds.push(refund(9_999_998))),
        ),
        (
            "an incident",
            with(&|order| order.incidents.push(incident())),
        ),
        (
            "what is kept",
            with(&|order| order.annotations = annotations()),
        ),
        (
            "a note",
            with(&|order| order.notes.push(note(NoteSubject::Cancellation(9_999_998)))),
        ),
        ("a cancellation", with(&parts(0, 0, 0))),
        ("a part", with(&parts(1, 1, 0))),
        ("parts", with(&parts(2, 1, 0))),
        ("a large part", with(&parts(1, 200, 0))),
        ("a gate", with(&parts(1, 1, 1))),
        ("gates", with(&parts(1, 1, 2))),
    ];
    let held = with(&shipment);
    let two = {
        let mut case = held.clone();
        case.order.shipments.push(case.order.shipments[0].clone());
        case
    };
    let (held_bytes, held_weight) = (message(&held).encoded_len(), held.order.weight());
    let cases = cases.into_iter().map(|of| (of, base_bytes, base_weight));
    let shipment = (("a shipment", two), held_bytes, held_weight);
    for ((what, case), base_bytes, base_weight) in cases.chain([shipment]) {
        let added = message(&case).encoded_len() - base_bytes;
        let weighs = case.order.weight() - base_weight;
        assert!(added <= weighs, "{what}: {added} bytes weigh {weighs}");
        // Neither is it so much more that orders are refused which every client could read.
        assert!(
            weighs <= added + added / 4 + 250,
            "{what}: {added} bytes weigh {weighs}"
        );
    }
}

#[test]
fn what_waits_weighs_what_will_become_of_it() {
    let base = bare(1);
    let waiting = {
        let mut case = base.clone();
        let mut open = gate(0);
        (open.answer, open.close_time) = (None, None);
        let mut waiting = part(&units(1), vec![open]);
        (waiting.state, waiting.receipt) = (PartState::Waiting, None);
        let waiting = cancellation(9_999_998, vec![waiting]);
        case.order.cancellations.push(waiting);
        case
    };
    let ended = {
        let mut case = base;
        let mut silent = gate(0);
        let answer = silent.answer.as_mut().expect("it is answered");
        (answer.by.id, answer.code) = (String::new(), None);
        (answer.note, answer.evidence) = (None, Vec::new());
        let mut cancelled = part(&units(1), vec![silent.clone(), silent.clone(), silent]);
        cancelled.state = PartState::Cancelled;
        let cancelled = cancellation(9_999_998, vec![cancelled]);
        case.order.cancellations.push(cancelled);
        let mut due = refund(9_999_998);
        (due.worker, due.provider_refund_id, due.failure_code) = (None, None, None);
        case.order.refunds.push(due);
        case
    };
    let (waits, ends) = (waiting.order.weight(), ended.order.weight());
    assert!(ends <= waits, "{ends} where {waits} waited");
}

#[test]
fn an_order_at_its_limit_fits_with_room() {
    let limit = WEIGHT_BYTES_MAX + WEIGHT_BYTES_ROOM;
    let mut case = everything();
    while case.order.weight() <= limit {
        let more = case.order.cancellations[0].clone();
        case.order.cancellations.push(more);
    }
    let bytes = bytes(&case);
    // The last one is already too much.
    assert!(bytes <= limit + 512 * 1024, "{bytes}");
    assert!(bytes + 256 * 1024 <= CLIENT_BYTES_MAX, "{bytes}");
}

#[test]
fn the_texts_are_what_people_wrote() {
    let (mut with, mut without) = (everything(), everything());
    let unsay = |cancellation: &mut Cancellation| {
        (cancellation.note, cancellation.evidence) = (None, Vec::new());
        cancellation.annotations = Annotations::default();
        for gate in cancellation
            .parts
            .iter_mut()
            .flat_map(|part| &mut part.gates)
        {
            let answer = gate.answer.as_mut().expect("it is answered");
            (answer.code, answer.note) = (None, None);
            answer.evidence = Vec::new();
        }
    };
    without.order.cancellations.iter_mut().for_each(unsay);
    without.order.incidents[0].note = None;
    without.order.annotations = Annotations::default();
    for note in &mut without.order.notes {
        note.text.clear();
    }
    without.order.shipments[0]
        .hold
        .as_mut()
        .expect("it is held")
        .note = None;
    // Notes without a text are none, but for their fields.
    assert_eq!(without.order.text_bytes(), 2 * FIELD_BYTES);
    let texts = with.order.text_bytes();
    let message_bytes = bytes(&with) - bytes(&without);
    assert!(texts >= message_bytes, "{texts} of {message_bytes}");
    assert!(texts < message_bytes + 200, "{texts} of {message_bytes}");
    assert!(texts < TEXTS_BYTES_MAX);
    with.order.incidents[0].note = Some(text(2_000) + "x");
    assert_eq!(with.order.text_bytes(), texts + 1);
}

/// Every field below a message, as `Message.field`.
fn fields(message: &MessageDescriptor, into: &mut BTreeSet<String>) {
    for field in message.fields() {
        if into.insert(format!("{}.{}", message.name(), field.name()))
            && !field.is_map()
            && let Kind::Message(of) = field.kind()
        {
            fields(&of, into);
        }
    }
}

/// Those of them that a message has set.
fn set_fields(message: &DynamicMessage, into: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        into.insert(format!("{}.{}", message.descriptor().name(), field.name()));
        let values = value.as_list().unwrap_or(std::slice::from_ref(value));
        let below: Vec<&DynamicMessage> = values.iter().filter_map(Value::as_message).collect();
        below.iter().for_each(|below| set_fields(below, into));
    }
}

/// A new field is in no weight before it is in the extremes.
#[test]
fn the_extremes_have_every_field_of_an_order() {
    let pool = DescriptorPool::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
    let order = pool.get_message_by_name("belay.v1.Order").unwrap();
    let (mut declared, mut set) = (BTreeSet::new(), BTreeSet::new());
    fields(&order, &mut declared);
    let mut case = everything();
    let mut cases = vec![case.clone()];
    // What excludes each other.
    case.order.cancellations[0].parts.truncate(1);
    case.order.cancellations[0].parts[0].gates.clear();
    case.order.cancellations[0].requester.role = Role::Buyer;
    case.order.incidents[0].state = IncidentState::Open;
    case.order.shipments[0].stage = Stage::InTransit;
    for state in [PartState::Cancelled, PartState::Waiting] {
        case.order.cancellations[0].parts[0].state = state;
        case.order.cancellations[0].parts[0].units = units(1);
        cases.push(case.clone());
    }
    case.order.shipments[0].stage = Stage::Ready;
    case.order.shipments[0].units = units(1);
    case.order.cancellations[0].parts[0].state = PartState::Cancelled;
    cases.push(case);
    let mut open = bare(1);
    open.order.verified_at = None;
    cases.push(open);
    for case in cases {
        bytes(&case);
        let bytes = message(&case).encode_to_vec();
        let read = DynamicMessage::decode(order.clone(), &*bytes).unwrap();
        set_fields(&read, &mut set);
    }
    let unset: Vec<&String> = declared.difference(&set).collect();
    // Input only.
    assert_eq!(unset, ["Buyer.email", "Buyer.username"]);
}
