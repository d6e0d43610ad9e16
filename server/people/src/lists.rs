//! Lists of what hangs on orders, of stock, and the quality of a seller.

use std::collections::BTreeMap;

use belay_client::model::{CancellationState, IncidentState, Party, RefundState};
use clap::{Args, Subcommand};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::names::named;
use crate::output::{Column, LIMIT_DEFAULT, length, taken, tell_more};

pub(crate) const CANCELLATIONS: &[Column] = &[
    ("CANCELLATION", "cancellation_id"),
    ("STATE", "state"),
    ("OUTCOME", "outcome"),
    ("REASON", "reason"),
    ("BY", "requester.role"),
    ("REFUND", "expected_refund.total"),
    ("REQUESTED", "create_time"),
];
pub(crate) const REFUNDS: &[Column] = &[
    ("REFUND", "refund_id"),
    ("STATE", "state"),
    ("KIND", "kind"),
    ("AMOUNT", "amount.total"),
    ("DUE BY", "due_by"),
    ("OVERDUE", "overdue"),
    ("FAILURE", "failure_code"),
];
pub(crate) const INCIDENTS: &[Column] = &[
    ("INCIDENT", "incident_id"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("ABOUT", "subject_id"),
    ("AMOUNT", "amount"),
    ("MAY BE RESOLVED BY", "allowed_resolutions"),
    ("OPENED", "create_time"),
];
pub(crate) const STOCK: &[Column] = &[
    ("WAREHOUSE", "warehouse_id"),
    ("SKU", "sku"),
    ("ON HAND", "on_hand_quantity"),
    ("RESERVED", "reserved_quantity"),
    ("AVAILABLE", "available_quantity"),
    ("ARCHIVED", "archived"),
    ("TOLD", "tell_time"),
];

#[derive(Debug, Args)]
pub struct Cancellations {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: CancellationsCommand,
}

#[derive(Debug, Subcommand)]
enum CancellationsCommand {
    /// Those that wait for a party: seller, support, warehouse or carrier.
    Awaiting {
        #[arg(value_parser = party)]
        party: Party,
        /// How many at most.
        #[arg(long, default_value_t = LIMIT_DEFAULT)]
        limit: u32,
    },
    /// All of them, the latest first.
    List {
        /// Only in this state, such as PENDING.
        #[arg(long, value_parser = cancellation_state)]
        state: Option<CancellationState>,
        /// Only of this order.
        #[arg(long)]
        order: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = LIMIT_DEFAULT)]
        limit: u32,
    },
}

fn party(name: &str) -> Result<Party, String> {
    let known = [
        Party::Seller,
        Party::Support,
        Party::Warehouse,
        Party::Carrier,
    ];
    named(name, &known)
}

fn cancellation_state(name: &str) -> Result<CancellationState, String> {
    const STATES: [CancellationState; 4] = [
        CancellationState::Pending,
        CancellationState::Completed,
        CancellationState::Rejected,
        CancellationState::Withdrawn,
    ];
    named(name, &STATES)
}

impl Cancellations {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut list = self.connection.store()?.list_cancellations();
        let mut columns = CANCELLATIONS.to_vec();
        let limit = match self.command {
            CancellationsCommand::Awaiting { party, limit } => {
                list = list.awaiting(party);
                columns.push(("WAITS FOR", "parts.0.gates"));
                limit
            }
            CancellationsCommand::List {
                state,
                order,
                limit,
            } => {
                if let Some(state) = state {
                    list = list.state(state);
                }
                if let Some(order) = order {
                    list = list.order_id(order);
                }
                limit
            }
        };
        let (found, has_more) = taken(list.stream(), limit).await?;
        self.connection.output.many(&columns, &found)?;
        if has_more {
            tell_more(limit);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Refunds {
    #[command(flatten)]
    connection: Connection,
    /// Which: due, overdue, blocked, submitted, settled, failed, unknown, dropped, cancelled or
    /// all.
    #[arg(value_parser = which)]
    which: Which,
    /// How many at most.
    #[arg(long, default_value_t = LIMIT_DEFAULT)]
    limit: u32,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    Overdue,
    In(RefundState),
}

fn which(name: &str) -> Result<Which, String> {
    const STATES: [RefundState; 8] = [
        RefundState::Due,
        RefundState::Blocked,
        RefundState::Submitted,
        RefundState::Settled,
        RefundState::Failed,
        RefundState::Unknown,
        RefundState::Dropped,
        RefundState::Cancelled,
    ];
    match name {
        "all" => Ok(Which::All),
        "overdue" => Ok(Which::Overdue),
        name => {
            let state = named(name, &STATES).map(Which::In);
            state.map_err(|error| format!("{error}, OVERDUE, ALL"))
        }
    }
}

/// States in which a refund may be overdue: those that have not come to an end.
const UNSETTLED: [RefundState; 5] = [
    RefundState::Due,
    RefundState::Blocked,
    RefundState::Submitted,
    RefundState::Failed,
    RefundState::Unknown,
];

impl Refunds {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let (found, has_more) = match self.which {
            Which::All => taken(store.list_refunds().stream(), self.limit).await?,
            Which::In(state) => {
                let list = store.list_refunds().state(state);
                taken(list.stream(), self.limit).await?
            }
            Which::Overdue => {
                // One that moves on meanwhile is in the lists of two states.
                let mut found = BTreeMap::new();
                for state in UNSETTLED {
                    let mut refunds = store.list_refunds().state(state).stream();
                    while let Some(refund) = refunds.try_next().await? {
                        if refund.overdue {
                            found.insert(refund.refund_id.clone(), refund);
                        }
                    }
                }
                let mut found: Vec<_> = found.into_values().collect();
                // Whoever has waited longest is first.
                found.sort_by_key(|refund| refund.due_by);
                let has_more = found.len() > length(self.limit);
                found.truncate(length(self.limit));
                (found, has_more)
            }
        };
        self.connection.output.many(REFUNDS, &found)?;
        if has_more {
            tell_more(self.limit);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Incidents {
    #[command(flatten)]
    connection: Connection,
    /// Also those that are resolved.
    #[arg(long)]
    all: bool,
    /// How many at most.
    #[arg(long, default_value_t = LIMIT_DEFAULT)]
    limit: u32,
}

impl Incidents {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut list = self.connection.store()?.list_incidents();
        if !self.all {
            list = list.state(IncidentState::Open);
        }
        let (found, has_more) = taken(list.stream(), self.limit).await?;
        self.connection.output.many(INCIDENTS, &found)?;
        if has_more {
            tell_more(self.limit);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Stock {
    #[command(flatten)]
    connection: Connection,
    /// Only of this warehouse.
    #[arg(long)]
    warehouse: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = LIMIT_DEFAULT)]
    limit: u32,
}

impl Stock {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut list = self.connection.store()?.list_stock();
        if let Some(warehouse) = self.warehouse {
            list = list.warehouse_id(warehouse);
        }
        let (found, has_more) = taken(list.stream(), self.limit).await?;
        self.connection.output.many(STOCK, &found)?;
        if has_more {
            tell_more(self.limit);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Quality {
    #[command(flatten)]
    connection: Connection,
    /// The seller.
    seller: String,
}

impl Quality {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let quality = self.connection.store()?.get_seller_quality(self.seller);
        match quality.await? {
            Some(quality) => self.connection.output.one(&quality),
            None => Err(Failure::new(
                crate::failure::Class::No,
                "the policy of this store measures no quality",
            )),
        }
    }
}
