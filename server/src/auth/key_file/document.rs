//! Reads a key file and says everything that is wrong with it. Nothing is guessed: an unknown key,
//! an empty list or a key without a value is an error, because a limit that quietly falls away lets
//! its caller see more than was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use belay_domain::actor::{Actor, Role};
use belay_domain::document::{self, DocumentError, Errors, Node, Object};
use belay_domain::ids::{CarrierId, IdError, SellerId, StoreId, WarehouseId, WorkerId};
use belay_domain::scope::{Caller, IdFilter, SCOPE_IDS_MAX, Scope};
use serde_json::Value;

use super::{CALLERS_MAX, CallerKeys, HASH_PREFIX, SECRETS_MAX};

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
        Ok(value) => reader.callers(&Node::root(&value)),
        Err(description) => {
            reader.errors.add("", description);
            None
        }
    };
    match callers {
        Some(callers) if reader.errors.count() == 0 => Ok(callers),
        Some(_) | None => Err(reader.errors.into_list()),
    }
}

fn yaml(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is no UTF-8".to_owned())?;
    document::read(text, DEPTH_MAX).map_err(|description| format!("is no YAML: {description}"))
}

/// Goes on after an error, so that all are found.
#[derive(Default)]
struct Reader {
    errors: Errors,
    /// Where each secret and each caller was met first.
    secrets: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Reader {
    fn callers(&mut self, root: &Node<'_>) -> Option<Vec<CallerKeys>> {
        let document = root.object(&["callers"], &mut self.errors)?;
        let list = document.require("callers", &mut self.errors)?;
        let entries = list.filled_list(CALLERS_MAX, &mut self.errors);
        Some(
            entries
                .iter()
                .filter_map(|entry| self.caller(entry))
                .collect(),
        )
    }

    fn caller(&mut self, node: &Node<'_>) -> Option<CallerKeys> {
        let entry = node.object(KEYS, &mut self.errors)?;
        let id = entry
            .require("id", &mut self.errors)
            .and_then(|id| self.id(&id, WorkerId::parse));
        let role = entry
            .require("role", &mut self.errors)
            .and_then(|role| role.name(Role::CALLERS, &mut self.errors));
        let scope = Scope {
            stores: self.within(&entry, "stores", StoreId::parse),
            sellers: self.within(&entry, "sellers", SellerId::parse),
            warehouses: self.within(&entry, "warehouses", WarehouseId::parse),
            carriers: self.within(&entry, "carriers", CarrierId::parse),
        };
        let secrets = entry
            .require("secrets", &mut self.errors)
            .map(|list| self.secrets(&list));
        if let Some(role) = role
            && let Some(key) = own_business(role)
            && entry.get(key).is_none()
        {
            self.errors.add(
                &format!("{}.{key}", node.path),
                format!("is required of the role {role}: what it sees is its own"),
            );
        }
        let (id, role) = (id?, role?);
        let first = self
            .names
            .entry(format!("{role}/{id}"))
            .or_insert_with(|| node.path.clone());
        if *first != node.path {
            node.error(
                format!("is the same role and id as {first}; one caller may have several secrets"),
                &mut self.errors,
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

    /// A dimension of the scope. One that cannot be read counts as empty, never as everything.
    fn within<T: Ord + Display>(
        &mut self,
        entry: &Object<'_>,
        key: &str,
        parse: fn(String) -> Result<T, IdError>,
    ) -> IdFilter<T> {
        let Some(list) = entry.get(key) else {
            return IdFilter::All;
        };
        let mut ids = BTreeSet::new();
        for node in list.filled_list(SCOPE_IDS_MAX, &mut self.errors) {
            if let Some(id) = self.id(&node, parse)
                && let Some(id) = ids.replace(id)
            {
                node.error(format!("{id} stands here twice"), &mut self.errors);
            }
        }
        IdFilter::Only(ids)
    }

    fn secrets(&mut self, list: &Node<'_>) -> Vec<blake3::Hash> {
        let mut hashes = Vec::new();
        for node in list.filled_list(SECRETS_MAX, &mut self.errors) {
            let Some(text) = node.raw_text("a text", &mut self.errors) else {
                continue;
            };
            let hex = text
                .strip_prefix(HASH_PREFIX)
                .filter(|hex| !hex.bytes().any(|byte| byte.is_ascii_uppercase()));
            let Some(hash) = hex.and_then(|hex| blake3::Hash::from_hex(hex).ok()) else {
                // What stands there instead may be the secret itself.
                let description = "must be a line that `belay hash-secret` prints";
                node.error(description, &mut self.errors);
                continue;
            };
            let first = self
                .secrets
                .entry(text.to_owned())
                .or_insert_with(|| node.path.clone());
            if *first != node.path {
                node.error(format!("is the same secret as {first}"), &mut self.errors);
            }
            hashes.push(hash);
        }
        hashes
    }

    fn id<T>(&mut self, node: &Node<'_>, parse: fn(String) -> Result<T, IdError>) -> Option<T> {
        let text = node.raw_text("a text", &mut self.errors)?;
        parse(text.to_owned())
            .map_err(|error| node.error(error.to_string(), &mut self.errors))
            .ok()
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
