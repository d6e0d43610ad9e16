//! The weight of an order: how many bytes its message has at most. An order is read whole, and
//! clients take messages of 4 MiB where they were told nothing else; so what an order holds is
//! bounded together, and not only each thing by its number.
//!
//! A weight is counted from the order each time and kept nowhere. It is larger than the message:
//! what waits is counted with what will become of it, so that a deadline, which is never refused,
//! adds next to nothing. `server/wire/tests/weight` holds it against the message.

use crate::annotations::{Annotations, Note};
use crate::cancellation::{Cancellation, Gate, LabelState, Part, PartState};
use crate::incident::Incident;
use crate::order::{Line, Order};
use crate::payment::Payment;
use crate::policy::limits::WITHOUT_LABEL_CHARS_MAX;
use crate::refund::Refund;
use crate::rejection::{Limit, Rejection};
use crate::shipment::Shipment;
use crate::units::UnitSet;

/// Bytes of all that people and integrators write about an order: its notes and those of requests,
/// answers, holds and incidents, the evidence, the codes of answers, metadata and external
/// references.
pub const TEXTS_BYTES_MAX: usize = 512 * 1024;
/// Answers and receipts may write so much more: who only asks, or holds, keeps nobody from them.
pub const TEXTS_BYTES_ROOM: usize = 256 * 1024;
/// Bytes that an order may weigh before nothing more is asked for.
pub const WEIGHT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Facts, answers, and what Belay opens for them may weigh so much more. What is left up to 4 MiB
/// is for deadlines.
pub const WEIGHT_BYTES_ROOM: usize = 1024 * 1024;

/// The cancellation of everything in a shipment, with its gates, its refunds and an incident.
const OWN_CANCELLATION_BYTES: usize = 64 * 1024;
/// Bytes of an order without what it has many of, all its ids and the places at their longest.
const ORDER_BYTES: usize = 4_096;
/// Of each thing without its ids and texts: numbers, times, amounts and words of a fixed list.
const LINE_BYTES: usize = 144;
const SHIPMENT_BYTES: usize = 768;
const CONTENT_BYTES: usize = 40;
const PAYMENT_BYTES: usize = 256;
const CANCELLATION_BYTES: usize = 320;
const PART_BYTES: usize = 416;
/// Gates that a part may get before it ends: it is evaluated again whenever its shipment moves.
const PART_WAITING_BYTES: usize = 2 * GATE_BYTES;
const GATE_BYTES: usize = 144;
const REFUND_BYTES: usize = 256;
const INCIDENT_BYTES: usize = 160;
const NOTE_BYTES: usize = 40;
/// Of an entry of metadata and of an external reference.
const ENTRY_BYTES: usize = 9;
const QUANTITY_BYTES: usize = 8;
/// The kind and the number behind the order's id in an id of what it holds, and the field.
const CHILD_ID_BYTES: usize = 16;
/// A character in UTF-8.
const CHARACTER_BYTES: usize = 4;
/// What a field costs besides what is in it.
const FIELD_BYTES: usize = 4;

impl Order {
    /// The bytes of all that people and integrators have written about it.
    pub fn text_bytes(&self) -> usize {
        let cancellations = self.cancellations.iter().map(cancellation_text_bytes);
        let incidents = self.incidents.iter();
        let incidents = incidents.map(|incident| optional(incident.note.as_ref()));
        let holds = self.shipments.iter().filter_map(|each| each.hold.as_ref());
        let holds = holds.map(|hold| optional(hold.note.as_ref()));
        let notes = self.notes.iter();
        let notes = notes.map(|note| note.text.len() + FIELD_BYTES);
        let texts = cancellations.chain(incidents).chain(holds).chain(notes);
        annotations_bytes(&self.annotations) + texts.sum::<usize>()
    }

    /// The bytes that its message has at most.
    pub fn weight(&self) -> usize {
        let scale = Scale::of(self);
        let lines = self.lines.iter().map(|each| scale.line(each));
        let shipments = self.shipments.iter().map(|each| scale.shipment(self, each));
        let payments = self.payments.iter().map(|each| scale.payment(each));
        let cancellations = self.cancellations.iter();
        let cancellations = cancellations.map(|each| scale.cancellation(each));
        let refunds = self.refunds.iter().map(|each| scale.refund(each));
        let incidents = self.incidents.iter().map(|each| scale.incident(each));
        let all = lines.chain(shipments).chain(payments).chain(cancellations);
        let notes = self.notes.iter().map(|each| scale.note(each));
        let all = all.chain(refunds).chain(incidents).chain(notes);
        ORDER_BYTES + annotations_bytes(&self.annotations) + all.sum::<usize>()
    }

    /// Lines of shipments, each shipment by itself: what its events list again and again.
    pub fn content_count(&self) -> usize {
        let contents = self.shipments.iter();
        contents.map(|each| each.units.lines().count()).sum()
    }

    /// Whether it has no room for another cancellation of Belay's own.
    pub(crate) fn is_full(&self) -> bool {
        self.weight() + OWN_CANCELLATION_BYTES > WEIGHT_BYTES_MAX + WEIGHT_BYTES_ROOM
    }
}

/// Rejects a command that adds to an order which has become too heavy by it. `before` is the order
/// as the command found it; one that was too heavy already may be changed, and not be added to.
/// Its texts may have so many bytes more than those of requests.
pub(crate) fn check(before: &Order, after: &Order, text_room: usize) -> Result<(), Rejection> {
    let check = |limit: Limit, max: usize, weigh: fn(&Order) -> usize| {
        let bytes = weigh(after);
        let is_within = bytes <= max || bytes <= weigh(before);
        is_within
            .then_some(())
            .ok_or(Rejection::LimitReached { limit, max })
    };
    let max = TEXTS_BYTES_MAX + text_room;
    check(Limit::TextBytes, max, Order::text_bytes)?;
    let max = WEIGHT_BYTES_MAX + WEIGHT_BYTES_ROOM;
    check(Limit::Bytes, max, Order::weight)
}

/// Rejects a request whose cancellation the order has no room for.
pub(crate) fn check_request(order: &Order, cancellation: &Cancellation) -> Result<(), Rejection> {
    let check = |limit: Limit, max: usize, bytes: usize| {
        let is_within = bytes <= max;
        is_within
            .then_some(())
            .ok_or(Rejection::LimitReached { limit, max })
    };
    let texts = order.text_bytes() + cancellation_text_bytes(cancellation);
    check(Limit::TextBytes, TEXTS_BYTES_MAX, texts)?;
    let weight = order.weight() + Scale::of(order).cancellation(cancellation);
    check(Limit::Bytes, WEIGHT_BYTES_MAX, weight)
}

fn optional(text: Option<&String>) -> usize {
    text.map_or(0, |text| text.len() + FIELD_BYTES)
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + FIELD_BYTES).sum()
}

fn cancellation_text_bytes(cancellation: &Cancellation) -> usize {
    let gates = cancellation.parts.iter().flat_map(|part| &part.gates);
    let answers = gates.map(gate_text_bytes).sum::<usize>();
    let kept = annotations_bytes(&cancellation.annotations);
    optional(cancellation.note.as_ref()) + texts(&cancellation.evidence) + answers + kept
}

fn annotations_bytes(annotations: &Annotations) -> usize {
    let metadata = annotations.metadata.iter();
    let metadata = metadata.map(|(key, value)| key.as_str().len() + value.len() + ENTRY_BYTES);
    let references = annotations.references.iter().map(|(system, reference)| {
        let url = optional(reference.url.as_ref());
        system.as_str().len() + reference.id.as_str().len() + ENTRY_BYTES + url
    });
    metadata.chain(references).sum()
}

fn gate_text_bytes(gate: &Gate) -> usize {
    gate.answer.as_ref().map_or(0, |answer| {
        let words = optional(answer.code.as_ref()) + optional(answer.note.as_ref());
        words + texts(&answer.evidence)
    })
}

/// The length of an order's ids, which are in all that it holds.
struct Scale {
    order: usize,
    store: usize,
    child: usize,
}

impl Scale {
    fn of(order: &Order) -> Self {
        let id = order.id.as_str().len();
        Self {
            order: id + FIELD_BYTES,
            store: order.store.as_str().len() + FIELD_BYTES,
            child: id + CHILD_ID_BYTES,
        }
    }

    fn line(&self, line: &Line) -> usize {
        LINE_BYTES + self.child + line.sku.as_str().len() + line.title.len()
    }

    fn shipment(&self, order: &Order, shipment: &Shipment) -> usize {
        let of_line = |number: u32| {
            let sku = order.line(number).map_or(0, |line| line.sku.as_str().len());
            CONTENT_BYTES + self.child + sku
        };
        let contents: usize = shipment.units.lines().map(of_line).sum();
        let hold = shipment.hold.as_ref();
        let hold = hold.map_or(0, |hold| {
            hold.placed_by.id.len() + optional(hold.note.as_ref())
        });
        let route = shipment.warehouse.as_str().len() + shipment.carrier.as_str().len();
        let tracking = shipment.tracking_number.as_ref();
        let tracking = tracking.map_or(0, |number| number.as_str().len());
        let sku = shipment.customs_flag.as_ref();
        let sku = sku.map_or(0, |flag| flag.sku.as_str().len());
        let ids = 2 * self.child + self.order + route + tracking + sku;
        SHIPMENT_BYTES + ids + hold + contents
    }

    fn payment(&self, payment: &Payment) -> usize {
        let provider = payment.provider_payment_id.as_str().len();
        PAYMENT_BYTES + self.child + provider + payment.method.len()
    }

    fn cancellation(&self, cancellation: &Cancellation) -> usize {
        let parts: usize = cancellation.parts.iter().map(|each| self.part(each)).sum();
        let reason = optional(cancellation.reason.as_ref());
        let actors = cancellation.requester.id.len() + cancellation.submitted_by.id.len();
        // What waits may yet have a refund of its own.
        let refund = if cancellation.is_over() {
            0
        } else {
            self.refund_bytes()
        };
        let ids = self.child + self.order + reason + actors;
        let kept = annotations_bytes(&cancellation.annotations);
        let words = optional(cancellation.note.as_ref()) + texts(&cancellation.evidence) + kept;
        CANCELLATION_BYTES + ids + words + parts + refund
    }

    fn part(&self, part: &Part) -> usize {
        let gates: usize = part.gates.iter().map(|each| self.gate(each)).sum();
        let waiting = if part.state == PartState::Waiting {
            PART_WAITING_BYTES
        } else {
            0
        };
        // The words of the policy, which the order does not hold.
        let instructions = if part.label == Some(LabelState::UnavailableInRegion) {
            WITHOUT_LABEL_CHARS_MAX * CHARACTER_BYTES
        } else {
            0
        };
        let contents = self.quantities(&part.units) + instructions;
        PART_BYTES + self.child + optional(part.rule.as_ref()) + contents + gates + waiting
    }

    fn quantities(&self, units: &UnitSet) -> usize {
        units.lines().count() * (QUANTITY_BYTES + self.child)
    }

    fn gate(&self, gate: &Gate) -> usize {
        let answer = gate.answer.as_ref().map_or(0, |answer| {
            let put_back = answer.put_back.len() * (QUANTITY_BYTES + self.child);
            answer.by.id.len() + put_back
        });
        GATE_BYTES + answer + gate_text_bytes(gate)
    }

    /// Of one without what its provider says.
    fn refund_bytes(&self) -> usize {
        // Its id stands in its cancellation once more.
        REFUND_BYTES + 5 * self.child + 2 * self.order + self.store
    }

    fn refund(&self, refund: &Refund) -> usize {
        let provider = refund.provider_refund_id.as_ref();
        let provider = provider.map_or(0, |id| id.as_str().len());
        let worker = refund.worker.as_ref();
        let worker = worker.map_or(0, |worker| worker.as_str().len());
        self.refund_bytes() + provider + worker + optional(refund.failure_code.as_ref())
    }

    fn incident(&self, incident: &Incident) -> usize {
        let by = incident.resolved_by.as_ref().map_or(0, |by| by.id.len());
        let ids = 3 * self.child + self.order + by;
        INCIDENT_BYTES + ids + optional(incident.note.as_ref())
    }

    /// Its own id, and that of what it is about.
    fn note(&self, note: &Note) -> usize {
        let ids = 2 * self.child + note.author.id.len();
        NOTE_BYTES + ids + note.text.len() + FIELD_BYTES
    }
}
