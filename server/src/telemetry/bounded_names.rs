//! Names that others give, as many of them as a label may have.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use opentelemetry::Value;

/// For all that came when there were as many as may be. No code of a policy begins so.
pub(crate) const OTHER: &str = "_OTHER";

/// The names that came first, up to a bound. They are never forgotten: a series that a label begins
/// goes on until the process ends.
#[derive(Debug)]
pub(crate) struct BoundedNames {
    max: usize,
    known: Mutex<BTreeSet<String>>,
}

impl BoundedNames {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            known: Mutex::default(),
        }
    }

    /// The name, or [`OTHER`].
    pub(crate) fn name(&self, name: &str) -> Value {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(name) {
            if known.len() >= self.max {
                return OTHER.into();
            }
            known.insert(name.to_owned());
        }
        name.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_names_are_told_apart_and_no_more() {
        let names = BoundedNames::new(2);
        for (name, told) in [
            ("LATE", "LATE"),
            ("DAMAGED", "DAMAGED"),
            ("NEW", OTHER),
            ("LATE", "LATE"),
            ("NEW", OTHER),
        ] {
            assert_eq!(names.name(name).as_str(), told, "{name}");
        }
    }
}
