//! `proto/ROLES.md` says what the tables of the server say, and so do the comments of the messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{read_to_string, write};

use belay_domain::actor::Role;
use belay_domain::scope::View;
use belay_proto::FILE_DESCRIPTOR_SET;
use belay_wire::auth::{Access, access};
use belay_wire::views::{Group, Row, Visibility, table};
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/ROLES.md");
const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/belay/v1");
/// Set by `make roles`, which writes the manual anew.
const WRITE: &str = "BELAY_ROLES_WRITE";

/// The roles that see parcels, in the order of the manual.
const PARCELS: [Role; 2] = [Role::Warehouse, Role::Carrier];

fn access_of(method: &MethodDescriptor) -> Access {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    access(&path).unwrap_or_else(|error| panic!("{path}: {error:?}"))
}

/// How the scope of a caller bears on a method.
fn scope_of(method: &MethodDescriptor) -> &'static str {
    let names: BTreeSet<String> = method
        .input()
        .fields()
        .map(|field| field.name().to_owned())
        .collect();
    let has = |name: &str| names.contains(name);
    let children = ["cancellation_id", "refund_id", "incident_id"];
    if access_of(method).whole_store {
        "every order of the store"
    } else if method.name() == "CreateOrder" {
        "seller, warehouses, carriers"
    } else if has("shipment_id") {
        "the shipment"
    } else if has("page_size") || method.name().starts_with("Summarize") {
        "what is seen"
    } else if has("order_id") || children.into_iter().any(has) {
        "the order"
    } else if has("warehouse_id") {
        "the warehouse"
    } else if has("store_id") || has("carrier") || has("filter") {
        "the store"
    } else {
        "—"
    }
}

fn rows_of(message: &MessageDescriptor) -> Vec<&'static Row> {
    table()
        .filter(|row| row.message == message.name())
        .collect()
}

/// Whether something of the answer is not for this role.
fn is_cut(message: &MessageDescriptor, role: Role, seen: &mut BTreeSet<String>) -> bool {
    if !seen.insert(message.full_name().to_owned()) {
        return false;
    }
    let rows = rows_of(message);
    let hides = |row: &&Row| {
        let mut fields = row.fields.iter();
        row.of_shipments || fields.any(|(_, group)| group.seen_by(role) != Visibility::Seen)
    };
    rows.iter().any(hides)
        || message.fields().any(|field| {
            let inner = field.kind().as_message().cloned();
            inner.is_some_and(|inner| is_cut(&inner, role, seen))
        })
}

fn mark(method: &MethodDescriptor, role: Role) -> &'static str {
    let access = access_of(method);
    if !access.roles.contains(&role) {
        ""
    } else if access.by_setting.is_some_and(|(of, _)| of == role) {
        "setting"
    } else if View::of(role) == View::Parcels
        && is_cut(&method.output(), role, &mut BTreeSet::new())
    {
        "parcels"
    } else {
        "yes"
    }
}

fn of_rpcs(pool: &DescriptorPool, out: &mut String) {
    let mut services: Vec<_> = pool.services().collect();
    services.sort_by_key(|service| service.full_name().to_owned());
    let names: Vec<&str> = Role::CALLERS.iter().map(|role| role.name()).collect();
    let _ = writeln!(out, "| RPC | Scope | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|---|{}", "---|".repeat(names.len()));
    for method in services.iter().flat_map(|service| service.methods()) {
        let service = method.parent_service().name().to_owned();
        let marks: Vec<&str> = Role::CALLERS
            .iter()
            .map(|role| mark(&method, *role))
            .collect();
        let _ = writeln!(
            out,
            "| {service}/{} | {} | {} |",
            method.name(),
            scope_of(&method),
            marks.join(" | ")
        );
    }
}

fn of_groups(out: &mut String) {
    let names: Vec<&str> = Role::CALLERS.iter().map(|role| role.name()).collect();
    let _ = writeln!(out, "| Group | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(names.len()));
    for group in Group::ALL {
        let cells: Vec<&str> = Role::CALLERS
            .iter()
            .map(|role| match group.seen_by(*role) {
                Visibility::Seen => "yes",
                Visibility::Own => "own",
                Visibility::Hidden => "",
            })
            .collect();
        let _ = writeln!(out, "| {group:?} | {} |", cells.join(" | "));
    }
}

/// Of each message, its fields by their group; those that everybody sees are the rest.
fn of_fields(out: &mut String) {
    let _ = writeln!(
        out,
        "| Message | Of own shipments only | Fields of other groups than Parcel |"
    );
    let _ = writeln!(out, "|---|---|---|");
    let mut messages: BTreeMap<&str, (bool, Vec<String>)> = BTreeMap::new();
    for row in table() {
        let (of_shipments, groups) = messages.entry(row.message).or_default();
        *of_shipments |= row.of_shipments;
        for group in Group::ALL.iter().filter(|group| **group != Group::Parcel) {
            let fields: Vec<&str> = in_group(row, *group).collect();
            if !fields.is_empty() {
                groups.push(format!("{group:?}: {}", fields.join(", ")));
            }
        }
    }
    for (message, (of_shipments, groups)) in messages {
        if of_shipments || !groups.is_empty() {
            let own = if of_shipments { "yes" } else { "" };
            let _ = writeln!(out, "| {message} | {own} | {} |", groups.join("; "));
        }
    }
}

fn in_group(row: &Row, group: Group) -> impl Iterator<Item = &'static str> {
    let fields = row.fields.iter().filter(move |(_, of)| *of == group);
    fields.map(|(name, _)| *name)
}

fn manual() -> String {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors of the protos");
    let mut out = String::from(
        "# Who may do what, and who sees what\n\n\
         Made by `make roles` of the tables in `server/wire/src/auth/roles.rs` and `server/wire/src/views/`; a test holds it to them.\n\n\
         ## Calls\n\n\
         `yes`: the role may call it, and sees the answer whole. `parcels`: it may call it, and sees of the answer what its parcels need:\n\
         the groups below. `setting`: it may call it where the store's setting lets it (`Store.storefront_records_payments`). Empty:\n\
         ROLE_NOT_ALLOWED. The scope says what must be the caller's; what is not is answered as if it did not exist, and a call about\n\
         every order of a store is OUT_OF_SCOPE for who sees some.\n\n",
    );
    of_rpcs(&pool, &mut out);
    out.push_str(
        "\n## Groups of fields\n\n\
         `own`: what the role's own party wrote, or who in it did. Who sees no Money sees no currency either: a carrier that collects on\n\
         delivery, or declares goods at customs, has amount and value from the consignment itself; Belay tells it destination, contents and\n\
         the customs flag. Of the notes of an order STOREFRONT and PAYMENTS see the public ones.\n\n",
    );
    of_groups(&mut out);
    out.push_str(
        "\n## Fields\n\n\
         A field that is not named here is in the group Parcel.\n\n",
    );
    of_fields(&mut out);
    out
}

#[test]
fn the_manual_says_what_the_tables_say() {
    let manual = manual();
    if std::env::var_os(WRITE).is_some() {
        write(MANUAL, &manual).expect("the manual can be written");
    }
    let written = read_to_string(MANUAL).expect("the manual");
    assert!(
        written == manual,
        "proto/ROLES.md is out of date: `make roles`"
    );
}

/// What the comment of a message says of its fields, as the table has it.
fn sentences(row: &Row) -> Vec<String> {
    let mut sentences = Vec::new();
    let hidden_from = |roles: &[Role]| {
        let is_hidden = |group: &Group| {
            let hidden = PARCELS
                .into_iter()
                .filter(|role| group.seen_by(*role) == Visibility::Hidden);
            hidden.collect::<Vec<_>>() == roles
        };
        let fields = row.fields.iter().filter(|(_, group)| is_hidden(group));
        let names: Vec<&str> = fields.map(|(name, _)| *name).collect();
        names.join(", ")
    };
    for roles in [&PARCELS[..], &PARCELS[1..]] {
        let fields = hidden_from(roles);
        if !fields.is_empty() {
            let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
            sentences.push(format!("Not for {}: {fields}.", roles.join(" and ")));
        }
    }
    let words: Vec<&str> = in_group(row, Group::Words).collect();
    if !words.is_empty() {
        let words = words.join(", ");
        sentences.push(format!(
            "For WAREHOUSE and CARRIER of their own party only: {words}."
        ));
    }
    sentences
}

#[test]
fn the_comments_of_messages_say_which_roles_see_which_fields() {
    let protos: String = std::fs::read_dir(PROTOS)
        .expect("the protos")
        .map(|file| read_to_string(file.expect("a file").path()).expect("a proto"))
        .collect();
    for row in table() {
        let (before, _) = protos
            .split_once(&format!("\nmessage {} {{", row.message))
            .unwrap_or_else(|| panic!("no message {}", row.message));
        let comment: Vec<&str> = before
            .lines()
            .rev()
            .take_while(|line| line.starts_with("//"))
            .collect();
        let words = comment
            .iter()
            .rev()
            .map(|line| line.trim_start_matches('/').trim());
        let comment = words.collect::<Vec<_>>().join(" ");
        for sentence in sentences(row) {
            assert!(comment.contains(&sentence), "{}: {sentence}", row.message);
        }
    }
}
