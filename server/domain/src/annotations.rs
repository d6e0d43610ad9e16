//! Annotations: what integrators keep with an order or a cancellation, and what people write about
//! an order. No rule reads any of it, so it may change in whatever state an order is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::ids::{ExternalId, MetadataKey, SystemId};
use crate::names::named_enum;

/// Entries of metadata of an order, and of a cancellation.
pub const METADATA_MAX: usize = 16;
/// Of a value of metadata, in UTF-8.
pub const METADATA_VALUE_BYTES_MAX: usize = 512;
/// External references of an order, and of a cancellation.
pub const REFERENCES_MAX: usize = 10;
/// Of the address of an external reference, which is ASCII.
pub const REFERENCE_URL_LENGTH_MAX: usize = 2_048;
/// Notes of an order.
pub const NOTES_MAX: usize = 100;

/// Annotations of an order or a cancellation: entries by key, and what other systems know it by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotations {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<MetadataKey, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<SystemId, Reference>,
}

/// A reference to the same thing in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub id: ExternalId,
    /// Where people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A change of annotations: what is named neither among what is set nor among what is deleted
/// stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationsChange {
    pub set: Annotations,
    pub delete_metadata: BTreeSet<MetadataKey>,
    pub delete_references: BTreeSet<SystemId>,
}

/// The result of a change, without what was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedAnnotations {
    pub set_keys: Vec<MetadataKey>,
    pub deleted_keys: Vec<MetadataKey>,
    pub set_systems: Vec<SystemId>,
    pub deleted_systems: Vec<SystemId>,
}

impl Annotations {
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty() && self.references.is_empty()
    }

    /// Applies a change, and says what is other than before.
    pub fn change(&mut self, change: &AnnotationsChange) -> ChangedAnnotations {
        let (set_keys, deleted_keys) = merge(
            &mut self.metadata,
            &change.set.metadata,
            &change.delete_metadata,
        );
        let (set_systems, deleted_systems) = merge(
            &mut self.references,
            &change.set.references,
            &change.delete_references,
        );
        ChangedAnnotations {
            set_keys,
            deleted_keys,
            set_systems,
            deleted_systems,
        }
    }
}

/// The keys that were set to something else, and those that are gone.
fn merge<K: Ord + Clone, V: PartialEq + Clone>(
    entries: &mut BTreeMap<K, V>,
    set: &BTreeMap<K, V>,
    delete: &BTreeSet<K>,
) -> (Vec<K>, Vec<K>) {
    let mut changed = Vec::new();
    for (key, value) in set {
        if entries.get(key) != Some(value) {
            entries.insert(key.clone(), value.clone());
            changed.push(key.clone());
        }
    }
    let deleted = delete.iter().filter(|key| entries.remove(*key).is_some());
    (changed, deleted.cloned().collect())
}

named_enum! {
    /// The readers of a note.
    pub enum NoteVisibility {
        /// Staff alone.
        Private = "PRIVATE",
        /// The buyer too.
        Public = "PUBLIC",
    }
}

impl NoteVisibility {
    /// Whether a role that is shown the notes of an order is shown this one. A storefront may show
    /// its buyer all that it reads, and who moves the money has no business with what staff think.
    pub fn is_read_by(self, role: Role) -> bool {
        match (self, role) {
            (NoteVisibility::Public, _)
            | (
                NoteVisibility::Private,
                Role::Seller | Role::Support | Role::Operator | Role::Auditor | Role::System,
            ) => true,
            (
                NoteVisibility::Private,
                Role::Storefront | Role::Payments | Role::Warehouse | Role::Carrier | Role::Buyer,
            ) => false,
        }
    }
}

/// The subject of a note besides its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteSubject {
    Cancellation(u32),
    Shipment(u32),
}

/// A note: what somebody wrote about an order. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub number: u32,
    pub visibility: NoteVisibility,
    pub text: String,
    pub author: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<NoteSubject>,
    pub create_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> MetadataKey {
        MetadataKey::parse(text).unwrap()
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_tells_what_is_other_than_before() {
        let mut kept = Annotations::default();
        let entry = |name: &str, value: &str| (key(name), value.to_owned());
        let first = AnnotationsChange {
            set: Annotations {
                metadata: BTreeMap::from([entry("a", "1"), entry("b", "2"), entry("c", "3")]),
                ..Annotations::default()
            },
            ..AnnotationsChange::default()
        };
        assert_eq!(kept.change(&first).set_keys, [key("a"), key("b"), key("c")]);
        let second = AnnotationsChange {
            set: Annotations {
                metadata: BTreeMap::from([entry("a", "1"), entry("b", "other")]),
                ..Annotations::default()
            },
            delete_metadata: BTreeSet::from([key("c"), key("d")]),
            ..AnnotationsChange::default()
        };
        let expected = ChangedAnnotations {
            set_keys: vec![key("b")],
            deleted_keys: vec![key("c")],
            ..ChangedAnnotations::default()
        };
        assert_eq!(kept.change(&second), expected);
        let left = BTreeMap::from([entry("a", "1"), entry("b", "other")]);
        assert_eq!(kept.metadata, left);
        assert_eq!(kept.change(&second), ChangedAnnotations::default());
    }

    #[test]
    fn a_private_note_is_for_staff_and_a_public_one_for_all_who_see_notes() {
        let staff = [Role::Seller, Role::Support, Role::Operator, Role::Auditor];
        for role in Role::ALL {
            assert!(NoteVisibility::Public.is_read_by(*role), "{role}");
            let is_staff = staff.contains(role) || *role == Role::System;
            assert_eq!(
                NoteVisibility::Private.is_read_by(*role),
                is_staff,
                "{role}"
            );
        }
    }
}
