//! `belay bulk`: many orders at once, with how far it is.

use std::io;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use belay_client::calls::{BulkOrders, MatchingOrders};
use belay_client::model::{BulkCancellation, BulkOutcome, BulkState};
use belay_client::{BulkCancellationId, Store};
use clap::{Args, Subcommand};

use crate::connection::Connection;
use crate::failure::{Class, Failure};
use crate::output::{Column, LIMIT_DEFAULT, Output, taken, tell_more};

#[derive(Debug, Args)]
pub struct Bulk {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: BulkCommand,
}

#[derive(Debug, Subcommand)]
enum BulkCommand {
    /// Cancel the orders whose ids stand on the standard input, one a line, or those with a SKU;
    /// and wait for the end.
    Start {
        /// Those with a line of this SKU that may still be cancelled, instead of named ones.
        #[arg(long)]
        sku: Option<String>,
        /// Of those with the SKU, only of this seller.
        #[arg(long, requires = "sku")]
        seller: Option<String>,
        /// Why, as a code of the policy.
        #[arg(long)]
        reason: Option<String>,
        /// Change nothing, and say what would come of each.
        #[arg(long)]
        dry_run: bool,
    },
    /// Wait for the end of one that runs.
    Watch { id: String },
    /// What came of each order.
    Results {
        id: String,
        /// Only those that were rejected.
        #[arg(long)]
        rejected: bool,
        /// How many at most.
        #[arg(long, default_value_t = LIMIT_DEFAULT)]
        limit: u32,
    },
    /// Stop one: what is done stays done.
    Stop { id: String },
    /// List them, the latest first.
    List,
}

const JOBS: &[Column] = &[
    ("BULK CANCELLATION", "bulk_cancellation_id"),
    ("STATE", "state"),
    ("DRY RUN", "dry_run"),
    ("ORDERS", "total_orders"),
    ("WAITING", "waiting_orders"),
    ("COMPLETED", "completed_orders"),
    ("PENDING", "pending_orders"),
    ("REJECTED", "rejected_orders"),
    ("FAILED", "failed_orders"),
    ("STARTED", "create_time"),
];
const RESULTS: &[Column] = &[
    ("ORDER", "order_id"),
    ("OUTCOME", "outcome"),
    ("CANCELLATION", "cancellation_id"),
    ("REFUND", "expected_refund"),
    ("REJECTED FOR", "rejections.0.reason"),
    ("FAILED FOR", "failure_reason"),
];

impl Bulk {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let output = self.connection.output;
        match self.command {
            BulkCommand::Start {
                sku,
                seller,
                reason,
                dry_run,
            } => {
                let orders = match sku {
                    Some(sku) => matching(sku, seller),
                    None => BulkOrders::named(named_orders()?),
                };
                let mut start = store.start_bulk_cancellation(orders);
                if let Some(reason) = reason {
                    start = start.reason(reason);
                }
                if dry_run {
                    start = start.dry_run();
                }
                let job = start.await?;
                watch(&store, output, job.bulk_cancellation_id).await
            }
            BulkCommand::Watch { id } => watch(&store, output, job_id(&id)?).await,
            BulkCommand::Results {
                id,
                rejected,
                limit,
            } => {
                let mut list = store.list_bulk_results(job_id(&id)?);
                if rejected {
                    list = list.outcome(BulkOutcome::Rejected);
                }
                let (found, has_more) = taken(list.stream(), limit).await?;
                output.many(RESULTS, &found)?;
                if has_more {
                    tell_more(limit);
                }
                Ok(())
            }
            BulkCommand::Stop { id } => {
                let job = store.stop_bulk_cancellation(job_id(&id)?).await?;
                output.many(JOBS, &[job])
            }
            BulkCommand::List => {
                let list = store.list_bulk_cancellations();
                let (found, _) = taken(list.stream(), LIMIT_DEFAULT).await?;
                output.many(JOBS, &found)
            }
        }
    }
}

fn job_id(id: &str) -> Result<BulkCancellationId, Failure> {
    let id = BulkCancellationId::parse(id);
    id.map_err(|error| Failure::usage(format!("the id {error}")))
}

fn matching(sku: String, seller: Option<String>) -> BulkOrders {
    let matching = MatchingOrders::new().sku(sku);
    match seller {
        Some(seller) => matching.seller_id(seller).into(),
        None => matching.into(),
    }
}

fn named_orders() -> Result<Vec<String>, Failure> {
    let mut orders = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::usage(format!("the standard input: {error}")))?;
        let order = line.trim();
        if !order.is_empty() {
            orders.push(order.to_owned());
        }
    }
    if orders.is_empty() {
        return Err(Failure::usage(
            "name orders on the standard input, one a line, or take --sku",
        ));
    }
    Ok(orders)
}

/// Shows how far it is until it has ended. The exit code says whether every order was taken.
async fn watch(store: &Store, output: Output, id: BulkCancellationId) -> Result<(), Failure> {
    let mut progress = store.watch_bulk_cancellation(id.clone()).await?;
    let mut bar = Bar::default();
    let mut last: Option<BulkCancellation> = None;
    while let Some(job) = progress.try_next().await? {
        bar.show(&job);
        last = Some(job);
    }
    bar.end();
    let job = match last {
        Some(job) if job.end_time.is_some() => job,
        Some(_) | None => store.get_bulk_cancellation(id).await?,
    };
    output.many(JOBS, std::slice::from_ref(&job))?;
    if job.state != BulkState::Completed {
        return Err(Failure::new(Class::No, "it has not come to its end"));
    }
    if job.rejected_orders + job.failed_orders > 0 {
        return Err(Failure::no());
    }
    Ok(())
}

/// A bar on the standard error, on a terminal alone.
#[derive(Debug, Default)]
struct Bar {
    is_drawn: bool,
}

const BAR_SIGNS: i64 = 40;

impl Bar {
    fn show(&mut self, job: &BulkCancellation) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r{}", drawn(job));
            self.is_drawn = true;
        }
    }

    fn end(&self) {
        if self.is_drawn {
            let _ = writeln!(io::stderr());
        }
    }
}

fn drawn(job: &BulkCancellation) -> String {
    let total = i64::from(job.total_orders);
    let done = total - i64::from(job.waiting_orders);
    let signs = (done * BAR_SIGNS).checked_div(total).unwrap_or(0);
    let bar: String = (0..BAR_SIGNS)
        .map(|sign| if sign < signs { '#' } else { '.' })
        .collect();
    let rejected = job.rejected_orders;
    format!("[{bar}] {done} of {total}, {rejected} rejected")
}
