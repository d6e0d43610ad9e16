//! Arguments of `belay deliver` and `belay dead-letters`, and their bounds.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use belay_domain::event::EventType;
use belay_domain::ids::{CarrierId, ConsumerId, OrderId, OrderKey, SellerId, StoreId, WarehouseId};
use clap::{Args, Subcommand, ValueEnum};
use http::Uri;

use super::dead_letters::{self, Action, DeadLetterSelection, LIST_MAX};
use super::receiver::parse_url;
use super::retry::RetryPlan;
use crate::command_line::database::DatabaseArguments;
use crate::command_line::schema::SchemaArguments;
use crate::db::held_events::EventPlace;
use crate::db::{Conn, migrate, pool};
use crate::durations;

const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const RETRY_DELAY: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3_600);
/// Timeouts within a lease: enough that it is renewed long before nothing may be sent any more.
const TIMEOUTS_OF_LEASE: u32 = 3;

/// The event with which a name begins that is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// The next one.
    Now,
    /// The oldest that is kept.
    Oldest,
}

/// The arguments of `belay deliver`.
#[derive(Debug, Args)]
pub struct Deliver {
    #[command(flatten)]
    pub database: DatabaseArguments,
    #[command(flatten)]
    pub schema: SchemaArguments,
    /// The name under which it is kept how far this is. Instances with one name share the events,
    /// and are to be started with the same arguments.
    #[arg(long, value_parser = id(ConsumerId::parse))]
    pub consumer: ConsumerId,
    /// Where events are sent by POST, over http or https. Redirects are not followed.
    #[arg(long, value_parser = |text: &str| parse_url(text))]
    pub url: Uri,
    /// A file with one secret that signs what is sent, or two, a line each: whsec_ and the base64
    /// of 24 to 64 bytes. A change of it is taken over.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// The source of the CloudEvents: a URI reference. One for each database that a receiver hears
    /// of.
    #[arg(long, default_value = "belay")]
    pub source: String,
    /// Only events of this store.
    #[arg(long, value_parser = id(StoreId::parse))]
    pub store: Option<StoreId>,
    /// Only events of orders of this seller. May be given several times, as those below.
    #[arg(long = "seller", value_parser = id(SellerId::parse))]
    pub sellers: Vec<SellerId>,
    /// Only events about shipments of this warehouse.
    #[arg(long = "warehouse", value_parser = id(WarehouseId::parse))]
    pub warehouses: Vec<WarehouseId>,
    /// Only events about shipments of this carrier.
    #[arg(long = "carrier", value_parser = id(CarrierId::parse))]
    pub carriers: Vec<CarrierId>,
    /// Only events of this type, such as GATE_OPENED.
    #[arg(long = "event-type", value_parser = event_type)]
    pub event_types: Vec<EventType>,
    /// Where a name begins that is not known yet.
    #[arg(long, value_enum, default_value_t = Start::Now)]
    pub start: Start,
    /// Go on with the oldest event that is kept where the next one was pruned.
    #[arg(long)]
    pub skip_pruned: bool,
    /// Events that are on their way at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub in_flight: u16,
    /// How long one attempt may take, with its connection and its answer: 100ms to 1m.
    #[arg(long, default_value = "10s", value_parser = within(TIMEOUT), value_name = "DURATION")]
    pub timeout: Duration,
    /// How long a partition stays with an instance that is not heard of: 1s to 10m, and at least
    /// three times the timeout.
    #[arg(long, default_value = "30s", value_parser = within(LEASE), value_name = "DURATION")]
    pub lease: Duration,
    /// How often an event is sent before it is a dead letter.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// Between the first attempt and the second; doubled with each: 10ms to 24h.
    #[arg(long, default_value = "1s", value_parser = within(RETRY_DELAY), value_name = "DURATION")]
    pub retry_delay: Duration,
    /// The longest between two attempts, also where the receiver asks for more: 10ms to 24h.
    #[arg(long, default_value = "1h", value_parser = within(RETRY_DELAY), value_name = "DURATION")]
    pub retry_delay_max: Duration,
    /// Where to listen for those who run this, in HTTP: GET /metrics, /livez and /readyz.
    #[arg(long, env = "BELAY_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
}

impl Deliver {
    /// What no single argument can tell.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.lease >= self.timeout * TIMEOUTS_OF_LEASE,
            "--lease must be at least {TIMEOUTS_OF_LEASE} times --timeout: nothing is sent that could outlast it"
        );
        anyhow::ensure!(
            self.retry_delay <= self.retry_delay_max,
            "--retry-delay must not be above --retry-delay-max"
        );
        Ok(())
    }

    pub(super) fn plan(&self) -> RetryPlan {
        RetryPlan {
            attempts_max: self.attempts,
            delay: self.retry_delay,
            delay_max: self.retry_delay_max,
        }
    }
}

/// The arguments of `belay dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List them, a line of JSON each.
    List {
        #[command(flatten)]
        whose: Whose,
        /// How many.
        #[arg(long, default_value_t = 100,
            value_parser = clap::value_parser!(u16).range(1..=i64::from(LIST_MAX)))]
        limit: u16,
    },
    /// Have them sent again, each order's in their order.
    Replay {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        which: Which,
    },
    /// Forget them.
    Drop {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        which: Which,
    },
}

impl DeadLettersCommand {
    /// Whether it says which are meant.
    fn check(&self) -> anyhow::Result<()> {
        match self {
            DeadLettersCommand::List { .. } => {}
            DeadLettersCommand::Replay { whose, which }
            | DeadLettersCommand::Drop { whose, which } => anyhow::ensure!(
                which.all || whose.order.is_some() || !which.events.is_empty(),
                "which dead letters? give --event, --store and --order, or --all"
            ),
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
struct Whose {
    /// The name that they were delivered under.
    #[arg(long, value_parser = id(ConsumerId::parse))]
    consumer: ConsumerId,
    /// The store of --order.
    #[arg(long, value_parser = id(StoreId::parse), requires = "order")]
    store: Option<StoreId>,
    /// Those of this order.
    #[arg(long, value_parser = id(OrderId::parse), requires = "store")]
    order: Option<OrderId>,
}

impl Whose {
    fn order(&self) -> Option<OrderKey> {
        let (store, order) = self.store.as_ref().zip(self.order.as_ref())?;
        Some(OrderKey::of(store, order))
    }
}

#[derive(Debug, Args)]
struct Which {
    /// This one, by its id, such as 12:345. May be given several times.
    #[arg(long = "event", value_parser = place, conflicts_with_all = ["all", "order"])]
    events: Vec<EventPlace>,
    /// All of them.
    #[arg(long, conflicts_with = "order")]
    all: bool,
}

impl DeadLetters {
    /// Does what is asked for, and says what came of it.
    pub async fn run(self) -> anyhow::Result<()> {
        self.command.check()?;
        let mut conn = pool::connect(&self.database.url()?)
            .await
            .context("the database cannot be reached")?;
        migrate::check(&mut conn).await?;
        match self.command {
            DeadLettersCommand::List { whose, limit } => {
                let order = whose.order();
                let found = dead_letters::list(&mut conn, &whose.consumer, order, limit).await?;
                for letter in found {
                    print(&serde_json::to_string(&letter)?);
                }
                Ok(())
            }
            DeadLettersCommand::Replay { whose, which } => {
                let count = change(&mut conn, &whose, which, Action::Replay).await?;
                print(&format!("{count} are sent again"));
                Ok(())
            }
            DeadLettersCommand::Drop { whose, which } => {
                let count = change(&mut conn, &whose, which, Action::Drop).await?;
                print(&format!("{count} are dropped"));
                Ok(())
            }
        }
    }
}

async fn change(
    conn: &mut Conn,
    whose: &Whose,
    which: Which,
    action: Action,
) -> anyhow::Result<usize> {
    let selection = match (which.all, whose.order()) {
        (true, _) => DeadLetterSelection::All,
        (false, Some(order)) => DeadLetterSelection::Order(order),
        (false, None) => DeadLetterSelection::Events(which.events),
    };
    Ok(dead_letters::change(conn, &whose.consumer, &selection, action).await?)
}

#[expect(
    clippy::print_stdout,
    reason = "what a person asked for on the command line is answered there"
)]
fn print(line: &str) {
    println!("{line}");
}

/// A parser of an id.
fn id<T, E: ToString>(
    parse: impl Fn(String) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| parse(text.to_owned()).map_err(|error| error.to_string())
}

fn event_type(name: &str) -> Result<EventType, String> {
    let names: Vec<&str> = EventType::ALL.iter().map(|known| known.name()).collect();
    EventType::parse(name).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

/// A parser of a duration between two others.
fn within(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let (least, most) = (bounds.start(), bounds.end());
        let refused = || format!("must be a duration such as 3s or 500ms, {least:?} to {most:?}");
        durations::within(text, bounds.clone()).ok_or_else(refused)
    }
}

/// The place of an event, as its id tells it: `partition:position`.
fn place(id: &str) -> Result<EventPlace, String> {
    let refused = || "must be the id of an event, such as 12:345".to_owned();
    let (partition, position) = id.split_once(':').ok_or_else(refused)?;
    let partition = partition.parse().map_err(|_| refused())?;
    let position = position.parse().map_err(|_| refused())?;
    Ok((partition, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_bounds_on_both_sides() {
        let timeout = within(TIMEOUT);
        for (text, is_good) in [
            ("100ms", true),
            ("60s", true),
            ("99ms", false),
            ("60001ms", false),
            ("-1s", false),
            ("10", false),
        ] {
            assert_eq!(timeout(text).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn an_id_of_an_event_is_a_partition_and_a_position() {
        assert_eq!(place("12:345"), Ok((12, 345)));
        for odd in ["", "12", "12:", ":1", "a:1", "-1:1", "70000:1", "1:2:3"] {
            assert!(place(odd).is_err(), "{odd:?}");
        }
    }
}
