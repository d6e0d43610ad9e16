//! The errors of a call's arguments, found before anything is sent.

use crate::error::FieldViolation;
use crate::ids::{IdError, IntoId};

/// The errors of a call's arguments, by field.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArgumentErrors(pub(crate) Vec<FieldViolation>);

impl ArgumentErrors {
    /// The text of an id. An invalid id is an error of its field, and its text is never sent.
    pub(crate) fn id<T: Into<String>>(&mut self, field: &str, id: impl IntoId<T>) -> String {
        self.checked_id(field, id.into_id())
    }

    /// The same, of an id that was checked before.
    pub(crate) fn checked_id<T: Into<String>>(
        &mut self,
        field: &str,
        checked: Result<T, IdError>,
    ) -> String {
        match checked {
            Ok(id) => id.into(),
            Err(error) => {
                self.0.push(FieldViolation {
                    field: field.to_owned(),
                    description: error.to_string(),
                });
                String::new()
            }
        }
    }

    /// Adds the errors of an argument that is sent in this field.
    pub(crate) fn within(&mut self, field: &str, inner: ArgumentErrors) {
        for violation in inner.0 {
            self.0.push(FieldViolation {
                field: format!("{field}.{}", violation.field),
                ..violation
            });
        }
    }
}
