//! The commands of `belay` for people: what support, sellers' desks, warehouses and operators ask
//! of a server from a terminal.
//!
//! A client like any other: whatever is shown here can be had over gRPC. What a policy says is also
//! read and asked offline, by the code that decides.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod bulk;
mod cancel;
mod connection;
mod events;
mod explain;
mod export;
mod failure;
mod lists;
mod load;
mod names;
mod orders;
mod output;
mod policy;
mod policy_diff;
mod policy_test;
pub mod sources;
mod text;

use std::process::ExitCode;

use clap::Subcommand;

pub use self::failure::{Class, Failure};
pub use self::policy_test::{TestedPolicy, test_policy};

/// A command for people.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Show orders.
    Orders(orders::Orders),
    /// Show what happened to an order, as a timeline.
    History(orders::History),
    /// Say of every path of an order whether it is open now, by which rule and why not; or why a
    /// decision fell as it did.
    Explain(explain::Explain),
    /// Cancel an order, a shipment or some units; or only say what would come of it.
    Cancel(cancel::Cancel),
    /// List cancellations, also by whom they wait for.
    Cancellations(lists::Cancellations),
    /// List refunds that are due, overdue or in another state.
    Refunds(lists::Refunds),
    /// List incidents: what somebody must look at.
    Incidents(lists::Incidents),
    /// Validate, test, compare and activate policies.
    Policy(policy::PolicyArguments),
    /// Follow the feed of events.
    Events(events::Events),
    /// Cancel many orders, and show how far it is.
    Bulk(bulk::Bulk),
    /// Show the stock of SKUs.
    Stock(lists::Stock),
    /// Show the quality of a seller.
    Quality(lists::Quality),
    /// Write a whole list as NDJSON or CSV.
    Export(export::Export),
    /// Place, pay, cancel and read orders in a store of its own, and say how long calls take.
    Load(load::Load),
}

impl PeopleCommand {
    /// Runs it and says on the standard error why it failed. The exit code is the class of the
    /// failure.
    pub async fn run(self) -> ExitCode {
        let done = match self {
            Self::Orders(command) => command.run().await,
            Self::History(command) => command.run().await,
            Self::Explain(command) => command.run().await,
            Self::Cancel(command) => command.run().await,
            Self::Cancellations(command) => command.run().await,
            Self::Refunds(command) => command.run().await,
            Self::Incidents(command) => command.run().await,
            Self::Policy(command) => command.run().await,
            Self::Events(command) => command.run().await,
            Self::Bulk(command) => command.run().await,
            Self::Stock(command) => command.run().await,
            Self::Quality(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Load(command) => command.run().await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.tell(),
        }
    }
}
