//! Annotations of an order and its cancellations, and its notes, as one value in the order's own
//! row. Most orders have none, and then there is no value. It is read with the row, and written
//! only when it changes; nothing is searched in it.

use std::collections::BTreeMap;

use belay_domain::annotations::{Annotations, Note};
use belay_domain::order::Order;
use serde::{Deserialize, Serialize};

use crate::db::error::DbError;

/// The names of the fields are a stored format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAnnotations {
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    order: Annotations,
    /// By number, of those that have any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cancellations: BTreeMap<u32, Annotations>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
}

impl StoredAnnotations {
    /// None where the order has none.
    pub(crate) fn of(order: &Order) -> Option<Self> {
        let cancellations = order.cancellations.iter();
        let annotated = cancellations.filter(|of| !of.annotations.is_empty());
        let annotated = annotated.map(|of| (of.number, of.annotations.clone()));
        let stored = Self {
            order: order.annotations.clone(),
            cancellations: annotated.collect(),
            notes: order.notes.clone(),
        };
        (stored != Self::default()).then_some(stored)
    }

    /// Puts them where they belong: on an order that has its cancellations already.
    pub(crate) fn give(self, order: &mut Order) -> Result<(), DbError> {
        order.annotations = self.order;
        order.notes = self.notes;
        for (number, annotations) in self.cancellations {
            let mut cancellations = order.cancellations.iter_mut();
            let Some(of) = cancellations.find(|of| of.number == number) else {
                return Err(DbError::Corrupt(format!(
                    "{}/{} keeps something with cancellation {number}, which it does not have",
                    order.store, order.id
                )));
            };
            of.annotations = annotations;
        }
        Ok(())
    }

    /// Texts double where each character of them must be escaped.
    pub(crate) fn bytes(&self) -> usize {
        let of = |annotations: &Annotations| -> usize {
            let metadata = annotations.metadata.iter();
            let metadata = metadata.map(|(key, value)| key.as_str().len() + 2 * value.len() + 8);
            let references = annotations.references.iter().map(|(system, reference)| {
                let url = reference.url.as_ref().map_or(0, String::len);
                system.as_str().len() + 2 * (reference.id.as_str().len() + url) + 32
            });
            metadata.chain(references).sum()
        };
        let notes = self.notes.iter();
        let notes = notes.map(|note| 2 * note.text.len() + note.author.id.len() + 192);
        let cancellations = self.cancellations.values().map(|each| of(each) + 64);
        64 + of(&self.order) + cancellations.chain(notes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again_by_these_names() {
        let text = concat!(
            r#"{"order":{"metadata":{"channel":"web"},"references":{"sap":{"id":"4711","url":"https://erp/4711"}}},"#,
            r#""cancellations":{"2":{"metadata":{"case":"9"}}},"#,
            r#""notes":[{"number":1,"visibility":"PRIVATE","text":"Called back.","#,
            r#""author":{"role":"SUPPORT","id":"ann"},"subject":{"Cancellation":2},"#,
            r#""create_time":"2026-03-01T09:00:00Z"}]}"#,
        );
        let stored: StoredAnnotations = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&stored).unwrap(), text);
        assert!(stored.bytes() > text.len());
    }
}
