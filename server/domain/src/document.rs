//! Documents that people write, policies and others: what is read out of one, and everything that
//! is wrong with it.
//!
//! A node knows where it stands, so that every error can say so; what cannot be read adds its error
//! and is `None`, and the reading goes on.

use std::fmt::Display;

use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

/// Errors told at once; a last one says how many more there are.
pub const ERRORS_MAX: usize = 100;
/// Characters of a wrong value that an error repeats.
const QUOTED_CHARS_MAX: usize = 40;
/// Characters of a parser's message: it may repeat what it could not read.
const MESSAGE_CHARS_MAX: usize = 200;

/// Something wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{description}", path, if path.is_empty() { "" } else { ": " })]
pub struct DocumentError {
    /// Where it stands, such as `rules[2].when.stage[0]`; empty where it is about the document as a
    /// whole.
    pub path: String,
    pub description: String,
}

/// Reads YAML. Anchors, aliases, merge keys and tags are refused: a document says what it says
/// where it says it, small text cannot become a large document, and every document can be written
/// in JSON as well.
pub fn read(text: &str, depth_max: usize) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: depth_max,
            max_anchors: 0,
            max_documents: 1,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        // Norway is `NO`, and no boolean.
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| unreadable(&error, depth_max))
}

/// What a person can do about it, where the parser's own words speak of its options and budgets.
fn unreadable(error: &serde_saphyr::Error, depth_max: usize) -> String {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;

    let description = if let Error::Budget {
        breach: BudgetBreach::Depth { .. },
        ..
    } = error
    {
        format!("may be nested at most {depth_max} deep")
    } else if let Error::Budget {
        breach: BudgetBreach::Documents { .. },
        ..
    } = error
    {
        "must be one document, without a second one after ---".to_owned()
    } else if let Error::Budget {
        breach: BudgetBreach::Anchors { .. },
        ..
    } = error
    {
        "must not use anchors (&) and aliases (*): write it out".to_owned()
    } else if let Error::MergeKeyNotAllowed { .. } = error {
        "must not use merge keys (<<): write it out".to_owned()
    } else if let Error::DuplicateMappingKey { key: Some(key), .. } = error {
        format!("has the key {} twice", quoted(key))
    } else {
        return shortened(&error.to_string(), MESSAGE_CHARS_MAX);
    };
    match error.location() {
        Some(at) => format!("{description} (line {}, column {})", at.line(), at.column()),
        None => description,
    }
}

/// The errors that were found so far.
#[derive(Debug, Default)]
pub struct Errors {
    found: Vec<DocumentError>,
    left_out: usize,
}

impl Errors {
    pub fn add(&mut self, path: &str, description: impl Into<String>) {
        if self.found.len() < ERRORS_MAX {
            self.found.push(DocumentError {
                path: path.to_owned(),
                description: description.into(),
            });
        } else {
            self.left_out += 1;
        }
    }

    pub fn count(&self) -> usize {
        self.found.len() + self.left_out
    }

    pub fn into_list(mut self) -> Vec<DocumentError> {
        if self.left_out > 0 {
            let description = format!("{} more errors are not shown", self.left_out);
            self.found.push(DocumentError {
                path: String::new(),
                description,
            });
        }
        self.found
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub struct Node<'a> {
    pub path: String,
    pub(crate) value: &'a Value,
}

impl<'a> Node<'a> {
    pub fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    pub fn error(&self, description: impl Into<String>, errors: &mut Errors) {
        errors.add(&self.path, description);
    }

    pub(crate) fn wrong_type(&self, wanted: &str, errors: &mut Errors) {
        let found = match self.value {
            // Not the same as leaving the key out: an empty condition would match everything.
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        self.error(format!("must be {wanted}, is {found}"), errors);
    }

    /// A mapping with no other keys than these.
    pub fn object(&self, known: &[&str], errors: &mut Errors) -> Option<Object<'a>> {
        let Value::Object(entries) = self.value else {
            self.wrong_type("a mapping", errors);
            return None;
        };
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let description = format!("is not a key here; the keys are {}", known.join(", "));
            errors.add(&child(&self.path, key), description);
        }
        Some(Object {
            path: self.path.clone(),
            entries,
        })
    }

    pub fn list(&self, max: usize, errors: &mut Errors) -> Vec<Node<'a>> {
        let Value::Array(values) = self.value else {
            self.wrong_type("a list", errors);
            return Vec::new();
        };
        if values.len() > max {
            self.error(
                format!("may have at most {max} entries, has {}", values.len()),
                errors,
            );
            return Vec::new();
        }
        let node = |(index, value)| Node {
            path: format!("{}[{index}]", self.path),
            value,
        };
        values.iter().enumerate().map(node).collect()
    }

    /// A list with something in it.
    pub fn filled_list(&self, max: usize, errors: &mut Errors) -> Vec<Node<'a>> {
        if matches!(self.value, Value::Array(values) if values.is_empty()) {
            self.error("must have at least one entry", errors);
        }
        self.list(max, errors)
    }

    /// The text, where there may be something else as well.
    pub fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub fn raw_text(&self, wanted: &str, errors: &mut Errors) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.wrong_type(wanted, errors);
                None
            }
        }
    }

    pub fn boolean(&self, errors: &mut Errors) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.wrong_type("true or false", errors);
        }
        boolean
    }

    /// One of these names.
    pub fn name<T: Copy + Display>(&self, allowed: &[T], errors: &mut Errors) -> Option<T> {
        let text = self.raw_text("a name", errors)?;
        let named = allowed.iter().find(|value| value.to_string() == text);
        if named.is_none() {
            let names: Vec<String> = allowed.iter().map(T::to_string).collect();
            self.error(
                format!(
                    "must be one of {}; found {}",
                    names.join(", "),
                    quoted(text)
                ),
                errors,
            );
        }
        named.copied()
    }
}

/// A mapping and where it stands.
#[derive(Debug)]
pub struct Object<'a> {
    pub path: String,
    entries: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.entries.get(key).map(|value| Node {
            path: child(&self.path, key),
            value,
        })
    }

    /// Where `key` stands, or would.
    pub fn path_of(&self, key: &str) -> String {
        child(&self.path, key)
    }

    pub fn require(&self, key: &str, errors: &mut Errors) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            errors.add(&child(&self.path, key), "is required");
        }
        node
    }
}

/// Reads every node, and none twice the same.
pub fn distinct<'a, T: PartialEq>(
    nodes: &[Node<'a>],
    errors: &mut Errors,
    read: impl Fn(&Node<'a>, &mut Errors) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(nodes.len());
    for node in nodes {
        match read(node, errors) {
            Some(value) if values.contains(&value) => node.error("stands here twice", errors),
            Some(value) => values.push(value),
            None => {}
        }
    }
    values
}

/// The path of what stands under `key`.
pub(crate) fn child(path: &str, key: &str) -> String {
    let key = shortened(key, QUOTED_CHARS_MAX);
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// The beginning of a wrong value: it may be as long as the document.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, QUOTED_CHARS_MAX))
}

fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
