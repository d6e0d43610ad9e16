//! What is kept with orders and cancellations, and notes: what they change, and what they do not.

use std::collections::BTreeMap;

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::{
    AnnotationsChange, METADATA_VALUE_BYTES_MAX, NoteSubject, NoteVisibility, Reference,
};
use belay_domain::commands::{Command, UpdateMetadata, Work};
use belay_domain::erasure::{ERASED_TEXT, blank_annotations};
use belay_domain::event::{EventDetail, EventType};
use belay_domain::ids::{ExternalId, MetadataKey, SystemId};
use belay_domain::incident::Resolution;
use belay_domain::order::OrderState;
use belay_domain::rejection::{Limit, Rejection};
use belay_domain::shipment::Stage;
use belay_domain::terms::{GoodsCondition, Path};
use belay_domain::weight::TEXTS_BYTES_MAX;
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, gate};

pub(crate) fn key(text: &str) -> MetadataKey {
    MetadataKey::parse(text).unwrap()
}

pub(crate) fn system(text: &str) -> SystemId {
    SystemId::parse(text).unwrap()
}

/// So many entries: k1, k2 and so on.
pub(crate) fn metadata(count: usize) -> BTreeMap<MetadataKey, String> {
    let entry = |number| (key(&format!("k{number}")), format!("value {number}"));
    (1..=count).map(entry).collect()
}

/// So many references, of s1, s2 and so on.
pub(crate) fn references(count: usize) -> BTreeMap<SystemId, Reference> {
    let reference = |number| {
        let reference = Reference {
            id: ExternalId::parse(format!("{number}")).unwrap(),
            url: Some(format!("https://example.org/{number}")),
        };
        (system(&format!("s{number}")), reference)
    };
    (1..=count).map(reference).collect()
}

pub(crate) fn change() -> AnnotationsChange {
    AnnotationsChange::default()
}

fn setting(name: &str, value: &str) -> AnnotationsChange {
    let mut change = change();
    change.set.metadata = [(key(name), value.to_owned())].into();
    change
}

impl Case {
    fn keep(
        &mut self,
        cancellation: Option<u32>,
        change: AnnotationsChange,
    ) -> Result<(), Rejection> {
        let command = UpdateMetadata {
            cancellation,
            change,
        };
        let done = self.run(Role::Support, None, Command::UpdateMetadata(command));
        done.map(|_| ())
    }
}

/// Orders in all states that are the last, and one that is on its way.
fn ended() -> Vec<Case> {
    let mut unpaid = Cart::of(&[(2, 200)]).place();
    unpaid.wait(SignedDuration::from_hours(24 * 365)).settle();
    let mut cancelled = Cart::of(&[(2, 200)]).paid();
    cancelled.cancel(CancellationRequest::all()).unwrap();
    let mut delivered = Cart::of(&[(2, 200)]).paid();
    delivered.bring_to(1, Stage::Delivered);
    let mut shipped = Cart::of(&[(2, 200)]).paid();
    shipped.bring_to(1, Stage::InTransit);
    vec![unpaid, cancelled, delivered, shipped]
}

#[test]
fn orders_are_annotated_in_whatever_state_they_are() {
    let states: Vec<OrderState> = ended().iter().map(Case::state).collect();
    use OrderState::{Cancelled, ClosedUnpaid, Delivered, Shipped};
    assert_eq!(states, [ClosedUnpaid, Cancelled, Delivered, Shipped]);
    for mut case in ended() {
        let before = case.order.clone();
        case.note(NoteVisibility::Private, "Called.", None).unwrap();
        case.keep(None, setting("channel", "web")).unwrap();
        assert_eq!(case.order.notes.len(), 1);
        assert_eq!(case.order.annotations.metadata[&key("channel")], "web");
        if !case.order.cancellations.is_empty() {
            case.keep(Some(1), setting("case", "9")).unwrap();
        }
        // Nothing else is other than it was.
        let mut after = case.order.clone();
        after.annotations = before.annotations.clone();
        after.notes = before.notes.clone();
        for cancellation in &mut after.cancellations {
            cancellation.annotations = belay_domain::annotations::Annotations::default();
        }
        (after.version, after.update_time) = (before.version, before.update_time);
        assert_eq!(after, before);
    }
}

#[test]
fn a_change_tells_keys_and_no_values_and_no_change_tells_nothing() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.keep(None, setting("channel", "web")).unwrap();
    let EventDetail::MetadataChanged {
        cancellation,
        changed,
    } = &case.event(EventType::MetadataChanged).detail
    else {
        panic!("{:?}", case.last.events)
    };
    assert_eq!(
        (*cancellation, &*changed.set_keys),
        (None, &[key("channel")][..])
    );
    let (version, told) = (case.order.version, case.history.len());
    case.keep(None, setting("channel", "web")).unwrap();
    let mut nothing = change();
    nothing.delete_metadata = [key("never-there")].into();
    case.keep(None, nothing).unwrap();
    assert_eq!((case.order.version, case.history.len()), (version, told));
}

#[test]
fn a_note_has_its_author_its_time_and_what_it_is_about() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(SignedDuration::from_hours(1));
    let about = Some(NoteSubject::Cancellation(1));
    case.note(NoteVisibility::Public, "We are sorry.", about)
        .unwrap();
    let [note] = &*case.order.notes else {
        panic!("{:?}", case.order.notes)
    };
    assert_eq!((note.number, note.subject), (1, about));
    assert_eq!(note.author, Actor::new(Role::Support, "someone"));
    assert_eq!(note.create_time, case.now);
    let detail = &case.event(EventType::NoteAdded).detail;
    assert_eq!(
        *detail,
        EventDetail::NoteAdded {
            note: 1,
            visibility: NoteVisibility::Public,
            subject: about
        }
    );
}

#[test]
fn what_an_order_begins_with_is_part_of_its_content() {
    let plain = Cart::of(&[(1, 100)]);
    let mut annotated = plain.clone();
    annotated.0.annotations.metadata = metadata(1);
    annotated.0.annotations.references = references(1);
    let case = annotated.place();
    assert_eq!(case.order.annotations, annotated.0.annotations);
    let hash = |cart: &Cart| Work::Create(cart.0.clone()).fingerprint().unwrap().hash;
    assert_ne!(hash(&plain), hash(&annotated));
    // What names none is hashed as it was before there were any.
    let encoded = serde_json::to_string(&plain.0).unwrap();
    assert!(!encoded.contains("annotations"), "{encoded}");
    let request = CancellationRequest::all().request;
    let encoded = serde_json::to_string(&request).unwrap();
    assert!(!encoded.contains("annotations"), "{encoded}");
}

#[test]
fn a_request_brings_what_is_kept_with_its_cancellation() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    let mut asked = CancellationRequest::lines(&[(1, 1)]);
    asked.request.annotations.metadata = metadata(2);
    asked.request.annotations.references = references(1);
    let annotations = asked.request.annotations.clone();
    case.cancel(asked).unwrap();
    assert_eq!(case.cancellation(1).annotations, *annotations);
}

/// What others know one cancellation by is not the next.
#[test]
fn what_support_pays_for_later_is_not_known_by_the_names_of_the_first() {
    let mut case =
        Cart::of(&[(2, 200)]).paid_under(outside(&[&gate("PARCEL_RECEIPT", "REFUSE", "BAR")]));
    case.bring_to(1, Stage::Delivered);
    let mut asked = CancellationRequest::all().paths(&[Path::ReturnOpened]);
    asked.request.annotations.references = references(1);
    case.cancel(asked).unwrap();
    case.wait(SignedDuration::from_hours(48))
        .receive(1, GoodsCondition::Opened)
        .unwrap();
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!(case.order.cancellations.len(), 2);
    assert!(!case.cancellation(1).annotations.is_empty());
    assert!(case.cancellation(2).annotations.is_empty());
}

#[test]
fn notes_and_metadata_have_as_much_room_as_requests() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    let value = "v".repeat(METADATA_VALUE_BYTES_MAX);
    let empty = case.order.text_bytes();
    let mut kept = case.clone();
    kept.keep(Some(1), setting("k", &value)).unwrap();
    let entry = kept.order.text_bytes() - empty;
    let mut noted = case.clone();
    noted.note(NoteVisibility::Private, &value, None).unwrap();
    let note = noted.order.text_bytes() - empty;
    let max = Err(Rejection::LimitReached {
        limit: Limit::TextBytes,
        max: TEXTS_BYTES_MAX,
    });
    let filled = |bytes: usize| {
        let mut case = case.clone();
        case.order.cancellations[0].note = Some("n".repeat(bytes));
        let over = case.order.text_bytes() - bytes;
        case.order.cancellations[0].note = Some("n".repeat(bytes - over));
        assert_eq!(case.order.text_bytes(), bytes);
        case
    };
    for (room, is_room) in [(0, true), (1, false)] {
        let mut full = filled(TEXTS_BYTES_MAX - entry + room);
        let done = full.keep(Some(1), setting("k", &value));
        assert_eq!(done, if is_room { Ok(()) } else { max.clone() });
        let mut full = filled(TEXTS_BYTES_MAX - note + room);
        let done = full.note(NoteVisibility::Private, &value, None);
        assert_eq!(done, if is_room { Ok(()) } else { max.clone() });
    }
}

#[test]
fn an_erased_order_keeps_keys_and_references_and_no_texts() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    let mut all = change();
    (all.set.metadata, all.set.references) = (metadata(2), references(2));
    case.keep(None, all.clone()).unwrap();
    case.keep(Some(1), all.clone()).unwrap();
    case.note(NoteVisibility::Public, "For Ann.", None).unwrap();
    let mut order = case.order.clone();
    blank_annotations(&mut order);
    for annotations in [&order.annotations, &order.cancellations[0].annotations] {
        assert_eq!(annotations.references, all.set.references);
        let keys: Vec<&MetadataKey> = annotations.metadata.keys().collect();
        assert_eq!(keys, all.set.metadata.keys().collect::<Vec<_>>());
        assert!(
            annotations
                .metadata
                .values()
                .all(|value| value == ERASED_TEXT)
        );
    }
    assert_eq!(order.notes[0].text, ERASED_TEXT);
    assert_eq!(order.notes[0].author, case.order.notes[0].author);
}
