//! `belay orders` and `belay history`.

use std::collections::BTreeMap;

use belay_client::calls::OrderSearch;
use belay_client::model::{
    Actor, Event, EventDetail, ExternalReference, NoteVisibility, OrderState,
};
use belay_client::{ErrorReason, Store};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::connection::Connection;
use crate::failure::{Class, Failure};
use crate::names::named;
use crate::output::{
    Column, LIMIT_DEFAULT, Output, Paint, line, painted, taken, tell, tell_more, value,
};
use crate::text;

#[derive(Debug, Args)]
pub struct Orders {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: OrdersCommand,
}

#[derive(Debug, Subcommand)]
enum OrdersCommand {
    /// Show one order as it stands.
    Get {
        /// The order.
        order: String,
    },
    /// List orders, the latest first.
    List(List),
    /// Find orders by what somebody has in hand, the latest first.
    Find(Find),
    /// Write a note about an order: for staff alone, unless it is public.
    Note {
        /// The order.
        order: String,
        /// What it says.
        text: String,
        /// The buyer may read it.
        #[arg(long)]
        public: bool,
        /// The cancellation that it is about, such as A-1:c1.
        #[arg(long, conflicts_with = "shipment")]
        cancellation: Option<String>,
        /// The shipment that it is about, such as A-1:s1.
        #[arg(long)]
        shipment: Option<String>,
    },
    /// Set and delete metadata and external references of an order or a cancellation.
    Set(Set),
}

#[derive(Debug, Args)]
struct Set {
    /// The order, or a cancellation such as A-1:c1.
    of: String,
    /// What to set, such as channel=web. May be given more than once.
    #[arg(value_parser = pair, value_name = "KEY=VALUE")]
    set: Vec<(String, String)>,
    /// A key to delete. May be given more than once.
    #[arg(long, value_name = "KEY")]
    delete: Vec<String>,
    /// What another system knows it by, such as sap=4711, in the place of what that system had, its
    /// address included. May be given more than once.
    #[arg(long, value_parser = pair, value_name = "SYSTEM=ID")]
    reference: Vec<(String, String)>,
    /// A system whose reference is to be deleted. May be given more than once.
    #[arg(long, value_name = "SYSTEM")]
    delete_reference: Vec<String>,
}

/// Up to the first `=`, and what is behind it.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must be a name and a value with = between")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Puts the arguments into the call, which is one of two that take the same.
macro_rules! with_changes {
    ($call:expr, $set:expr) => {{
        let mut call = $call;
        for (key, value) in $set.set {
            call = call.set(key, value);
        }
        for key in $set.delete {
            call = call.delete(key);
        }
        for (system, id) in $set.reference {
            call = call.set_external_reference(ExternalReference::new(system, id));
        }
        for system in $set.delete_reference {
            call = call.delete_external_reference(system);
        }
        call
    }};
}

#[derive(Debug, Args)]
struct List {
    /// Only of this buyer.
    #[arg(long)]
    buyer: Option<String>,
    /// Only of this seller.
    #[arg(long)]
    seller: Option<String>,
    /// Only in this state, such as TO_SHIP.
    #[arg(long, value_parser = order_state)]
    state: Option<OrderState>,
    /// Only with a line of this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = LIMIT_DEFAULT)]
    limit: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Find {
    /// By the buyer's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// By the tracking number of a shipment.
    #[arg(long)]
    tracking: Option<String>,
    /// By how the order's id begins.
    #[arg(long)]
    id: Option<String>,
}

impl Find {
    fn search(self) -> Option<OrderSearch> {
        let email = self.email.map(OrderSearch::buyer_email);
        let tracking = self.tracking.map(OrderSearch::tracking_number);
        let id = self.id.map(OrderSearch::order_id_prefix);
        email.or(tracking).or(id)
    }
}

/// Orders that a search shows at most: one page of the largest.
const FOUND_MAX: i32 = 100;

pub(crate) const ORDERS: &[Column] = &[
    ("ORDER", "order_id"),
    ("STATE", "state"),
    ("SHOWN AS", "display_state"),
    ("CANCELLABLE", "cancellable_now"),
    ("SELLER", "seller_id"),
    ("TO", "destination.country_code"),
    ("TOTAL", "totals.total"),
    ("PLACED", "create_time"),
];

/// The parts of an order that have tables of their own, by the field that holds them.
const PARTS: &[(&str, &[Column])] = &[
    (
        "lines",
        &[
            ("LINE", "line_id"),
            ("SKU", "sku"),
            ("TITLE", "title"),
            ("QUANTITY", "quantity"),
        ],
    ),
    (
        "payments",
        &[
            ("PAYMENT", "payment_id"),
            ("STATE", "state"),
            ("METHOD", "method"),
            ("CAPTURED", "captured"),
        ],
    ),
    (
        "shipments",
        &[
            ("SHIPMENT", "shipment_id"),
            ("STAGE", "stage"),
            ("WAREHOUSE", "warehouse_id"),
            ("CARRIER", "carrier_id"),
            ("FENCE", "fence"),
            ("CONTENTS", "contents"),
        ],
    ),
    ("cancellations", crate::lists::CANCELLATIONS),
    ("refunds", crate::lists::REFUNDS),
    ("incidents", crate::lists::INCIDENTS),
    (
        "external_references",
        &[("SYSTEM", "system"), ("ID", "id"), ("URL", "url")],
    ),
    (
        "notes",
        &[
            ("NOTE", "note_id"),
            ("FOR", "visibility"),
            ("BY", "author.role"),
            ("", "author.id"),
            ("AT", "create_time"),
            ("CANCELLATION", "cancellation_id"),
            ("SHIPMENT", "shipment_id"),
            ("TEXT", "text"),
        ],
    ),
];

pub(crate) fn order_state(name: &str) -> Result<OrderState, String> {
    const STATES: [OrderState; 8] = [
        OrderState::AwaitingPayment,
        OrderState::ClosedUnpaid,
        OrderState::Cancelled,
        OrderState::ToShip,
        OrderState::Processing,
        OrderState::PartlyShipped,
        OrderState::Shipped,
        OrderState::Delivered,
    ];
    named(name, &STATES)
}

impl Orders {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let output = self.connection.output;
        match self.command {
            OrdersCommand::Get { order } => {
                let order = store.get_order(order).await?;
                if output.is_for_people() {
                    show(output, value(&order)?)
                } else {
                    output.one(&order)
                }
            }
            OrdersCommand::List(list) => list.run(&store, output).await,
            OrdersCommand::Find(find) => {
                let Some(search) = find.search() else {
                    let nothing = "one of --email, --tracking and --id must be given";
                    return Err(Failure::new(Class::Usage, nothing));
                };
                let found = store.find_orders(search).page_size(FOUND_MAX).await?;
                output.many(ORDERS, &found.orders)?;
                if found.next_page_token.is_some() || found.ids_left_out {
                    tell(
                        "there are more; a longer beginning of the id, or `orders list`, shows them",
                    );
                }
                Ok(())
            }
            OrdersCommand::Note {
                order,
                text,
                public,
                cancellation,
                shipment,
            } => {
                let visibility = if public {
                    NoteVisibility::Public
                } else {
                    NoteVisibility::Private
                };
                let mut note = store.add_note(order, text, visibility);
                if let Some(cancellation) = cancellation {
                    note = note.cancellation_id(cancellation);
                }
                if let Some(shipment) = shipment {
                    note = note.shipment_id(shipment);
                }
                output.one(&note.await?.note)
            }
            OrdersCommand::Set(set) => set.run(&store, output).await,
        }
    }
}

impl List {
    async fn run(self, store: &Store, output: Output) -> Result<(), Failure> {
        let mut list = store.list_orders();
        if let Some(buyer) = self.buyer {
            list = list.buyer_id(buyer);
        }
        if let Some(seller) = self.seller {
            list = list.seller_id(seller);
        }
        if let Some(state) = self.state {
            list = list.state(state);
        }
        if let Some(sku) = self.sku {
            list = list.sku(sku);
        }
        let (orders, has_more) = taken(list.stream(), self.limit).await?;
        output.many(ORDERS, &orders)?;
        if has_more {
            tell_more(self.limit);
        }
        Ok(())
    }
}

impl Set {
    async fn run(self, store: &Store, output: Output) -> Result<(), Failure> {
        let of = self.of.clone();
        // An order's id has no colon.
        if of.contains(':') {
            let call = with_changes!(store.update_cancellation_metadata(of), self);
            let cancellation = call.await?.cancellation;
            output.one(&Kept {
                metadata: &cancellation.metadata,
                external_references: &cancellation.external_references,
            })
        } else {
            let kept = with_changes!(store.update_order_metadata(of), self).await?;
            output.one(&Kept {
                metadata: &kept.metadata,
                external_references: &kept.external_references,
            })
        }
    }
}

/// The annotations after a change.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    metadata: &'a BTreeMap<String, String>,
    external_references: &'a [ExternalReference],
}

/// An order for people: what it is, and a table for each of its parts.
fn show(output: Output, mut order: Value) -> Result<(), Failure> {
    let Some(fields) = order.as_object_mut() else {
        return Err(Failure::new(Class::Internal, "an order is no object"));
    };
    let parts = PARTS
        .iter()
        .map(|(name, columns)| (*name, *columns, fields.remove(*name)));
    let parts: Vec<_> = parts.collect();
    output.one(&order)?;
    for (name, columns, part) in parts {
        let entries = part.as_ref().and_then(Value::as_array);
        if let Some(entries) = entries.filter(|entries| !entries.is_empty()) {
            line("")?;
            line(&painted(Paint::Dim, name))?;
            output.many(columns, entries)?;
        }
    }
    Ok(())
}

#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    connection: Connection,
    /// The order.
    order: String,
}

impl History {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let history = store.list_order_history(self.order.as_str());
        let mut events = history.include_rejected_requests().stream();
        if !self.connection.output.is_for_people() {
            let mut all = Vec::new();
            while let Some(event) = events.try_next().await? {
                all.push(event);
            }
            return self.connection.output.many(&[], &all);
        }
        while let Some(event) = events.try_next().await? {
            line(&told(&event)?)?;
        }
        Ok(())
    }
}

fn told_rejection(event: &Event, reason: Option<&ErrorReason>) -> String {
    let at = text::instant(event.event_time);
    let reason = reason.map(ToString::to_string).unwrap_or_default();
    let request = format!("by {}, request {}", told_actor(&event.actor), event.cause);
    let request = painted(Paint::Dim, &request);
    let rejected = painted(Paint::Bad, &format!("{:<23}", "rejected"));
    format!("{at}  {rejected} {reason}  {request}")
}

fn told_actor(actor: &Actor) -> String {
    match &actor.id {
        Some(id) => format!("{} {id}", actor.role),
        None => actor.role.to_string(),
    }
}

/// An event in one line: when, what, the facts, by whom and by which rule.
pub(crate) fn told(event: &Event) -> Result<String, Failure> {
    if let Some(EventDetail::RequestRejected { reason, .. }) = &event.detail {
        return Ok(told_rejection(event, reason.as_ref()));
    }
    let detail = value(&event.detail)?;
    // A detail stands under the name of its kind, which the type of the event says already.
    let facts = detail.as_object().and_then(|kinds| kinds.values().next());
    let facts = facts.map(text::text).unwrap_or_default();
    let mut by = told_actor(&event.actor);
    if let Some(other) = &event.on_behalf_of {
        by = format!("{by} for {}", told_actor(other));
    }
    let rule = event.rule.as_ref();
    let rule = rule
        .map(|rule| format!(", rule {rule}"))
        .unwrap_or_default();
    let (at, what) = (text::instant(event.event_time), &event.event_type);
    let by = painted(Paint::Dim, &format!("by {by}{rule}"));
    let line = format!("{at}  {:<23} {facts}  {by}", what.to_string());
    Ok(line.trim_end().to_owned())
}
