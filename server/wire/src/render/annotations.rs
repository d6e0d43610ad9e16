//! Annotations of orders and cancellations, and notes, as messages.

use std::collections::BTreeMap;

use belay_domain::annotations::{Annotations, NoteSubject};
use belay_domain::ids::{ChildKind, OrderId};
use belay_proto::v1 as pb;

pub(crate) fn metadata(annotations: &Annotations) -> BTreeMap<String, String> {
    let entries = annotations.metadata.iter();
    entries
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect()
}

pub(crate) fn external_references(annotations: &Annotations) -> Vec<pb::ExternalReference> {
    let references = annotations.references.iter();
    references
        .map(|(system, reference)| pb::ExternalReference {
            system: system.to_string(),
            id: reference.id.to_string(),
            url: reference.url.clone().unwrap_or_default(),
        })
        .collect()
}

/// The ids of the cancellation and of the shipment that a note is about; empty where it is about
/// none.
pub(crate) fn subject(order: &OrderId, subject: Option<NoteSubject>) -> (String, String) {
    match subject {
        None => (String::new(), String::new()),
        Some(NoteSubject::Cancellation(number)) => {
            (ChildKind::Cancellation.id(order, number), String::new())
        }
        Some(NoteSubject::Shipment(number)) => {
            (String::new(), ChildKind::Shipment.id(order, number))
        }
    }
}
