//! Annotations of orders and cancellations, and notes, as requests bring them.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::annotations::{
    Annotations, AnnotationsChange, METADATA_MAX, METADATA_VALUE_BYTES_MAX, NoteSubject,
    NoteVisibility, REFERENCE_URL_LENGTH_MAX, REFERENCES_MAX, Reference,
};
use belay_domain::commands::AddNote;
use belay_domain::ids::{ChildKind, ExternalId, IdError, MetadataKey, OrderId, SystemId};
use belay_proto::v1 as pb;

use super::bounds::NOTE_CHARS_MAX;
use super::{Violations, all, at_most, child_of, distinct, id, multiline_text, specified};

/// Characters of a key that is no key, as a violation shows it.
const SHOWN_KEY_CHARS_MAX: usize = 64;

/// What something begins with: the fields `metadata` and `external_references`.
pub(super) fn annotations(
    v: &mut Violations,
    entries: BTreeMap<String, String>,
    references: Vec<pb::ExternalReference>,
) -> Option<Annotations> {
    annotations_in(v, ["metadata", "external_references"], entries, references)
}

fn annotations_in(
    v: &mut Violations,
    [metadata_field, references_field]: [&str; 2],
    entries: BTreeMap<String, String>,
    references: Vec<pb::ExternalReference>,
) -> Option<Annotations> {
    let metadata = metadata(v, metadata_field, entries);
    let references = external_references(v, references_field, references);
    Some(Annotations {
        metadata: metadata?,
        references: references?,
    })
}

fn metadata(
    v: &mut Violations,
    field: &str,
    entries: BTreeMap<String, String>,
) -> Option<BTreeMap<MetadataKey, String>> {
    at_most(v, field, entries.len(), METADATA_MAX)?;
    let read = entries.into_iter().map(|(key, value)| {
        let shown: String = key.chars().take(SHOWN_KEY_CHARS_MAX).collect();
        let key = match MetadataKey::parse(key) {
            Ok(key) => Some(key),
            Err(error) => v.refuse(field, format!("key {shown:?} {error}")),
        };
        let value = match flaw(&value) {
            None => Some(value),
            Some(flaw) => v.refuse(field, format!("the value of {shown:?} {flaw}")),
        };
        Some((key?, value?))
    });
    all(read).map(|read| read.into_iter().collect())
}

/// What is wrong with a value of metadata.
fn flaw(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some("must not be empty".to_owned());
    }
    let length = value.len();
    if length > METADATA_VALUE_BYTES_MAX {
        return Some(format!(
            "must have at most {METADATA_VALUE_BYTES_MAX} bytes, has {length}"
        ));
    }
    let odd = value.chars().find(|c| c.is_control());
    odd.map(|odd| format!("must not hold {odd:?}"))
}

fn external_references(
    v: &mut Violations,
    field: &str,
    references: Vec<pb::ExternalReference>,
) -> Option<BTreeMap<SystemId, Reference>> {
    at_most(v, field, references.len(), REFERENCES_MAX)?;
    let system_field = |index: usize| format!("{field}[{index}].system");
    let systems = references.iter().map(|reference| reference.system.clone());
    let systems: Vec<String> = systems.collect();
    let read = references
        .into_iter()
        .enumerate()
        .map(|(index, reference)| {
            let at = |name: &str| format!("{field}[{index}].{name}");
            let system = id(v, &at("system"), reference.system, SystemId::parse);
            let external = id(v, &at("id"), reference.id, ExternalId::parse);
            let url = url(v, &at("url"), reference.url);
            let reference = Reference {
                id: external?,
                url: url?,
            };
            Some((system?, reference))
        });
    let read = all(read);
    let systems = systems.into_iter().enumerate();
    distinct(
        v,
        systems.map(|(index, system)| (system_field(index), Some(system))),
    );
    read.map(|read| read.into_iter().collect())
}

/// An address that people open; none where it is empty.
fn url(v: &mut Violations, field: &str, url: String) -> Option<Option<String>> {
    let length = url.chars().count();
    if url.is_empty() {
        return Some(None);
    }
    if length > REFERENCE_URL_LENGTH_MAX {
        let description =
            format!("must have at most {REFERENCE_URL_LENGTH_MAX} characters, has {length}");
        return v.refuse(field, description);
    }
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let is_address = rest.is_some_and(|rest| !rest.is_empty());
    if !is_address || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        let description = "must begin with https:// or http:// and hold only printable ASCII \
                           without spaces";
        return v.refuse(field, description);
    }
    Some(Some(url))
}

/// The fields of a change of what is kept.
pub(super) struct ChangeFields {
    pub(super) set_metadata: BTreeMap<String, String>,
    pub(super) delete_metadata: Vec<String>,
    pub(super) set_external_references: Vec<pb::ExternalReference>,
    pub(super) delete_external_references: Vec<String>,
}

/// Takes the fields of a change out of a request that has them.
macro_rules! change_fields {
    ($request:ident) => {
        $crate::parse::annotations::ChangeFields {
            set_metadata: $request.set_metadata,
            delete_metadata: $request.delete_metadata,
            set_external_references: $request.set_external_references,
            delete_external_references: $request.delete_external_references,
        }
    };
}
pub(super) use change_fields;

pub(super) fn change(v: &mut Violations, fields: ChangeFields) -> Option<AnnotationsChange> {
    let ChangeFields {
        set_metadata,
        delete_metadata,
        set_external_references,
        delete_external_references,
    } = fields;
    let is_empty = set_metadata.is_empty()
        && delete_metadata.is_empty()
        && set_external_references.is_empty()
        && delete_external_references.is_empty();
    if is_empty {
        let description = "one of set_metadata, delete_metadata, set_external_references and \
                           delete_external_references must be given";
        return v.refuse("set_metadata", description);
    }
    let set = annotations_in(
        v,
        ["set_metadata", "set_external_references"],
        set_metadata,
        set_external_references,
    );
    let keys = deleted(
        v,
        ("delete_metadata", METADATA_MAX),
        delete_metadata,
        MetadataKey::parse,
    );
    let systems = deleted(
        v,
        ("delete_external_references", REFERENCES_MAX),
        delete_external_references,
        SystemId::parse,
    );
    let (set, delete_metadata, delete_references) = (set?, keys?, systems?);
    for key in &delete_metadata {
        if set.metadata.contains_key(key) {
            v.add("delete_metadata", format!("{key} is set as well"));
        }
    }
    for system in &delete_references {
        if set.references.contains_key(system) {
            v.add(
                "delete_external_references",
                format!("{system} is set as well"),
            );
        }
    }
    Some(AnnotationsChange {
        set,
        delete_metadata,
        delete_references,
    })
}

fn deleted<T: Ord>(
    v: &mut Violations,
    (field, max): (&str, usize),
    names: Vec<String>,
    parse: fn(String) -> Result<T, IdError>,
) -> Option<BTreeSet<T>> {
    at_most(v, field, names.len(), max)?;
    let at = |index: usize| format!("{field}[{index}]");
    let known = names.clone().into_iter().enumerate();
    let read = names.into_iter().enumerate();
    let read = all(read.map(|(index, name)| id(v, &at(index), name, parse)));
    distinct(v, known.map(|(index, name)| (at(index), Some(name))));
    read.map(|read| read.into_iter().collect())
}

/// A note apart from the order that it is written about.
pub(super) fn note(
    v: &mut Violations,
    order: Option<&OrderId>,
    request: pb::AddNoteRequest,
) -> Option<AddNote> {
    let text = multiline_text(v, "text", request.text, NOTE_CHARS_MAX);
    let text = match text {
        Some(text) if text.trim().is_empty() => v.refuse("text", "must not be blank"),
        text => text,
    };
    let visibility: Option<NoteVisibility> = specified(v, "visibility", request.visibility);
    let about = |v: &mut Violations, field: &str, named: &str, kind: ChildKind| match named {
        "" => Some(None),
        named => child_of(v, field, named, kind, order).map(Some),
    };
    let (cancellation, shipment) = (request.cancellation_id, request.shipment_id);
    let of_cancellation = about(v, "cancellation_id", &cancellation, ChildKind::Cancellation);
    let of_shipment = about(v, "shipment_id", &shipment, ChildKind::Shipment);
    if !cancellation.is_empty() && !shipment.is_empty() {
        v.add("shipment_id", "must not be given with cancellation_id");
    }
    let of_cancellation = of_cancellation?.map(NoteSubject::Cancellation);
    let of_shipment = of_shipment?.map(NoteSubject::Shipment);
    Some(AddNote {
        text: text?,
        visibility: visibility?,
        subject: of_cancellation.or(of_shipment),
    })
}
