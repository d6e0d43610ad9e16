//! A caller as somebody describes it: in a key file, or in the claims of a token.
//!
//! Nothing is guessed. Every dimension of the scope is written, and what cannot be read is an error
//! and never everything: a limit that quietly falls away lets its caller see more than was meant.

use std::collections::BTreeSet;
use std::fmt::Display;

use belay_domain::actor::{Actor, Role};
use belay_domain::document::{Errors, Node, Object};
use belay_domain::ids::{CarrierId, IdError, SellerId, StoreId, WarehouseId, WorkerId};
use belay_domain::scope::{Caller, IdFilter, SCOPE_IDS_MAX, Scope};

/// The keys of a description.
pub(super) const KEYS: [&str; 6] = ["id", "role", "stores", "sellers", "warehouses", "carriers"];
/// What a dimension says that has no limit.
const ALL: &str = "ALL";

/// Reads a description, and adds all that is wrong with it.
pub(super) fn caller(entry: &Object<'_>, errors: &mut Errors) -> Option<Caller> {
    let id = entry
        .require("id", errors)
        .and_then(|node| id(&node, WorkerId::parse, errors));
    let role = entry
        .require("role", errors)
        .and_then(|node| node.name(Role::CALLERS, errors));
    let scope = Scope {
        stores: within(entry, "stores", StoreId::parse, role, errors),
        sellers: within(entry, "sellers", SellerId::parse, role, errors),
        warehouses: within(entry, "warehouses", WarehouseId::parse, role, errors),
        carriers: within(entry, "carriers", CarrierId::parse, role, errors),
    };
    Some(Caller {
        actor: Actor::new(role?, id?.as_str()),
        scope,
    })
}

/// A dimension of the scope. One that cannot be read counts as empty, never as everything.
fn within<T: Ord + Display>(
    entry: &Object<'_>,
    key: &str,
    parse: fn(String) -> Result<T, IdError>,
    role: Option<Role>,
    errors: &mut Errors,
) -> IdFilter<T> {
    let nothing = IdFilter::Only(BTreeSet::new());
    let Some(node) = entry.get(key) else {
        let description = format!("is required: a list of ids, or {ALL}");
        errors.add(&entry.path_of(key), description);
        return nothing;
    };
    if node.as_text() == Some(ALL) {
        let Some(role) = role.filter(|role| own_business(*role) == Some(key)) else {
            return IdFilter::All;
        };
        node.error(
            format!("must be a list of ids for the role {role}: what it sees is its own"),
            errors,
        );
        return nothing;
    }
    if let Some(text) = node.as_text() {
        let description = format!("must be a list of ids, or {ALL}; found {text:?}");
        node.error(
            description
                .chars()
                .take(ERROR_CHARS_MAX)
                .collect::<String>(),
            errors,
        );
        return nothing;
    }
    let mut ids = BTreeSet::new();
    for node in node.filled_list(SCOPE_IDS_MAX, errors) {
        if node.as_text() == Some(ALL) {
            node.error(format!("is no id: all are meant by `{key}: {ALL}`"), errors);
        } else if let Some(id) = id(&node, parse, errors)
            && let Some(id) = ids.replace(id)
        {
            node.error(format!("{id} stands here twice"), errors);
        }
    }
    IdFilter::Only(ids)
}

/// Of an error that repeats what it found.
const ERROR_CHARS_MAX: usize = 100;

fn id<T>(
    node: &Node<'_>,
    parse: fn(String) -> Result<T, IdError>,
    errors: &mut Errors,
) -> Option<T> {
    let text = node.raw_text("a text", errors)?;
    parse(text.to_owned())
        .map_err(|error| node.error(error.to_string(), errors))
        .ok()
}

/// The dimension without which a caller of this role would see the business of others.
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
