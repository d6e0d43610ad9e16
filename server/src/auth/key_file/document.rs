//! Reads a key file and says everything that is wrong with it. Nothing is guessed: an unknown key,
//! an empty list or a key without a value is an error, because a limit that quietly falls away lets
//! its caller see more than was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{CarrierId, IdError, SellerId, StoreId, WarehouseId, WorkerId};
use belay_domain::policy::DocumentError;
use belay_domain::scope::{Caller, IdFilter, SCOPE_IDS_MAX, Scope};
use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::{CALLERS_MAX, CallerKeys, HASH_PREFIX, SECRETS_MAX};

/// Characters of a parser's message: it may repeat what it could not read.
const MESSAGE_CHARS_MAX: usize = 200;
/// Characters of a wrong value that an error repeats.
const QUOTED_CHARS_MAX: usize = 40;
/// A file needs four levels; what is nested deeper is no key file.
const DEPTH_MAX: usize = 8;

const KEYS: &[&str] = &[
    "id",
    "role",
    "stores",
    "sellers",
    "warehouses",
    "carriers",
    "secrets",
];

/// Every error is listed; a text that is no YAML at all has one.
pub(super) fn parse(text: &[u8]) -> Result<Vec<CallerKeys>, Vec<DocumentError>> {
    let mut reader = Reader::default();
    let callers = match yaml(text) {
        Ok(value) => reader.callers(&value),
        Err(description) => {
            reader.error("", description);
            Vec::new()
        }
    };
    if reader.errors.is_empty() {
        Ok(callers)
    } else {
        Err(reader.errors)
    }
}

fn yaml(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is no UTF-8".to_owned())?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_anchors: 0,
            max_documents: 1,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    };
    let value = serde_saphyr::from_str_with_options(text, options);
    value.map_err(|error| {
        format!(
            "is no YAML: {}",
            shortened(&error.to_string(), MESSAGE_CHARS_MAX)
        )
    })
}

/// Goes on after an error, so that all are found.
#[derive(Default)]
struct Reader {
    errors: Vec<DocumentError>,
    /// Where each secret and each caller was met first.
    secrets: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Reader {
    fn error(&mut self, path: &str, description: impl Into<String>) {
        self.errors.push(DocumentError {
            path: path.to_owned(),
            description: description.into(),
        });
    }

    fn callers(&mut self, value: &Value) -> Vec<CallerKeys> {
        let Some(document) = self.object("", value, &["callers"]) else {
            return Vec::new();
        };
        let Some(list) = self.required("", document, "callers") else {
            return Vec::new();
        };
        let entries = self.list("callers", list, CALLERS_MAX);
        let numbered = entries.iter().enumerate();
        numbered
            .filter_map(|(index, entry)| self.caller(&format!("callers[{index}]"), entry))
            .collect()
    }

    fn caller(&mut self, path: &str, value: &Value) -> Option<CallerKeys> {
        let entry = self.object(path, value, KEYS)?;
        let id = self
            .required(path, entry, "id")
            .and_then(|id| self.id(&child(path, "id"), id, WorkerId::parse));
        let role = self
            .required(path, entry, "role")
            .and_then(|role| self.role(&child(path, "role"), role));
        let scope = Scope {
            stores: self.within(path, entry, "stores", StoreId::parse),
            sellers: self.within(path, entry, "sellers", SellerId::parse),
            warehouses: self.within(path, entry, "warehouses", WarehouseId::parse),
            carriers: self.within(path, entry, "carriers", CarrierId::parse),
        };
        let secrets = self
            .required(path, entry, "secrets")
            .map(|list| self.secrets(&child(path, "secrets"), list));
        if let Some(key) = role.and_then(own_business)
            && !entry.contains_key(key)
        {
            let role = role.map(|role| role.name()).unwrap_or_default();
            self.error(
                &child(path, key),
                format!("is required of the role {role}: what it sees is its own"),
            );
        }
        let (id, role) = (id?, role?);
        let first = self
            .names
            .entry(format!("{role}/{id}"))
            .or_insert_with(|| path.to_owned())
            .clone();
        if first != path {
            self.error(
                path,
                format!("is the same role and id as {first}; one caller may have several secrets"),
            );
        }
        Some(CallerKeys {
            caller: Caller {
                actor: Actor::new(role, id.as_str()),
                scope,
            },
            secrets: secrets?,
        })
    }

    fn role(&mut self, path: &str, value: &Value) -> Option<Role> {
        let text = self.text(path, value)?;
        let role = Role::CALLERS
            .iter()
            .copied()
            .find(|role| role.name() == text);
        if role.is_none() {
            let names: Vec<&str> = Role::CALLERS.iter().map(|role| role.name()).collect();
            self.error(
                path,
                format!(
                    "must be one of {}; found {}",
                    names.join(", "),
                    quoted(text)
                ),
            );
        }
        role
    }

    /// A dimension of the scope. One that cannot be read counts as empty, never as everything.
    fn within<T: Ord + Display>(
        &mut self,
        path: &str,
        entry: &Map<String, Value>,
        key: &str,
        parse: fn(String) -> Result<T, IdError>,
    ) -> IdFilter<T> {
        let Some(value) = entry.get(key) else {
            return IdFilter::All;
        };
        let path = child(path, key);
        let mut ids = BTreeSet::new();
        for (index, entry) in self.list(&path, value, SCOPE_IDS_MAX).iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(id) = self.id(&path, entry, parse)
                && let Some(id) = ids.replace(id)
            {
                self.error(&path, format!("{id} stands here twice"));
            }
        }
        IdFilter::Only(ids)
    }

    fn secrets(&mut self, path: &str, value: &Value) -> Vec<blake3::Hash> {
        let mut hashes = Vec::new();
        for (index, entry) in self.list(path, value, SECRETS_MAX).iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(text) = self.text(&path, entry) else {
                continue;
            };
            let hex = text
                .strip_prefix(HASH_PREFIX)
                .filter(|hex| !hex.bytes().any(|byte| byte.is_ascii_uppercase()));
            match hex.and_then(|hex| blake3::Hash::from_hex(hex).ok()) {
                // What stands there instead may be the secret itself.
                None => self.error(&path, "must be a line that `belay hash-secret` prints"),
                Some(hash) => {
                    let first = self
                        .secrets
                        .entry(text.to_owned())
                        .or_insert_with(|| path.clone())
                        .clone();
                    if first != path {
                        self.error(&path, format!("is the same secret as {first}"));
                    }
                    hashes.push(hash);
                }
            }
        }
        hashes
    }

    fn id<T>(
        &mut self,
        path: &str,
        value: &Value,
        parse: fn(String) -> Result<T, IdError>,
    ) -> Option<T> {
        let text = self.text(path, value)?;
        parse(text.to_owned())
            .map_err(|error| self.error(path, error.to_string()))
            .ok()
    }

    fn text<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.error(path, format!("must be a text, is {}", kind(value)));
        }
        text
    }

    /// A list with something in it.
    fn list<'v>(&mut self, path: &str, value: &'v Value, max: usize) -> &'v [Value] {
        match value {
            Value::Array(entries) if entries.is_empty() => {
                self.error(path, "must have at least one entry")
            }
            Value::Array(entries) if entries.len() > max => {
                self.error(
                    path,
                    format!("may have at most {max} entries, has {}", entries.len()),
                );
            }
            Value::Array(entries) => return entries,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                self.error(path, format!("must be a list, is {}", kind(value)));
            }
        }
        &[]
    }

    /// A mapping with no other keys than these.
    fn object<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(entries) = value.as_object() else {
            self.error(path, format!("must be a mapping, is {}", kind(value)));
            return None;
        };
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let key = shortened(key, QUOTED_CHARS_MAX);
            self.error(
                &child(path, &key),
                format!("is not a key here; the keys are {}", known.join(", ")),
            );
        }
        Some(entries)
    }

    fn required<'v>(
        &mut self,
        path: &str,
        entries: &'v Map<String, Value>,
        key: &str,
    ) -> Option<&'v Value> {
        let value = entries.get(key);
        if value.is_none() {
            self.error(&child(path, key), "is required");
        }
        value
    }
}

/// The key without which a caller of this role would see the business of others.
fn own_business(role: Role) -> Option<&'static str> {
    match role {
        Role::Seller => Some("sellers"),
        Role::Warehouse => Some("warehouses"),
        Role::Carrier => Some("carriers"),
        Role::Storefront
        | Role::Payments
        | Role::Support
        | Role::Operator
        | Role::Auditor
        | Role::Buyer
        | Role::System => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, QUOTED_CHARS_MAX))
}

fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}
