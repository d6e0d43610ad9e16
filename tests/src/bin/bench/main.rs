//! `make bench`: what a command costs through Belay, beside a bare client that writes the same
//! rows.
//!
//! Everything is measured in one run on one database, in turns: raw, service, raw, service … A
//! round has a window of each kind, the next round has them in the opposite order, and medians over
//! the rounds are what is reported. So a machine that others use too slows both sides alike, and
//! the ratios mean more than the figures.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]
#![allow(clippy::as_conversions, reason = "counts become figures")]

mod audit;
mod baseline;
mod callers;
mod detail;
mod feed;
mod growth;
mod load;
mod measured;
mod meters;
mod overload;
mod profile;
mod projection;
mod raw;
mod readers;
mod replicas;
mod report;
mod secondaries;
mod service;
mod shop;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use callers::{Connections, Task};
use load::{Timing, Window, count};
use measured::Measured;
use meters::Meters;
use mimalloc::MiMalloc;
use profile::Recording;
use raw::Templates;
use report::{Kind, Series, Setting};
use service::Service;
use shop::Shop;

/// The load generator has the cores of what it measures, and decodes what watchers get: what it
/// needs itself is taken from both.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Callers that prepare orders between the windows.
const PREPARING: usize = 256;
/// Orders that one window may need at first, for each caller and second; corrected by what was
/// measured.
const GUESS_PER_SECOND: f64 = 25.0;
const CALIBRATION: Timing = Timing {
    warm_up: Duration::from_millis(300),
    measured: Duration::from_millis(1_200),
};

/// Measures Belay beside a bare client on the same database.
#[derive(Debug, Parser)]
struct Args {
    /// An empty database.
    #[arg(long, env = "BELAY_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The pid file of that database's mysqld, where it runs on this machine.
    #[arg(long)]
    mysqld_pid_file: Option<PathBuf>,
    /// The binary to measure.
    #[arg(long)]
    belay: PathBuf,
    /// How long one window is.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long each window runs before it is measured.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    callers: Vec<usize>,
    /// How many clients the bare client is tried with.
    #[arg(long, value_delimiter = ',', default_value = "16,32,64")]
    raw_clients: Vec<usize>,
    /// HTTP/2 connections that the callers share.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Lanes of the server; its own default if not given.
    #[arg(long)]
    lanes: Option<u16>,
    /// Show the database's account of the last round as well: statements, and rows by table.
    #[arg(long)]
    detail: bool,
    /// Show in which functions server and database spend their CPU as well, in the last round at
    /// the most callers. Needs `perf`.
    #[arg(long)]
    profile: bool,
    /// Set two servers on the database beside one as well, with commits that are slow.
    #[arg(long)]
    replicas: bool,
    /// Measure lists as well that a secondary answers: the URL of another mysqld of this machine,
    /// without a database. `make bench` gives it one for `--secondary-reads`.
    #[arg(long)]
    secondary: Option<String>,
    /// Measure the feed as well: reading it from its beginning, watching it, and the stock that
    /// follows it.
    #[arg(long)]
    feed: bool,
    /// With `--feed`: how long the full load is under which the stock must keep up.
    #[arg(long, default_value_t = 60.0)]
    lag_seconds: f64,
    /// Measure writes as well beside so many readers that ask for the largest pages without a
    /// pause, say 24.
    #[arg(long)]
    readers: Option<usize>,
    /// Measure creations as well with so many times the most callers, say 10, who come back when
    /// they are told to.
    #[arg(long)]
    overload: Option<usize>,
    /// Measure cancellations as well with so many orders in the database, say 100000,1000000. Takes
    /// long.
    #[arg(long, value_delimiter = ',')]
    growth: Vec<u64>,
    /// Compare with another revision, whose `bench` and `belay` are in this directory: both run in
    /// turns, each on databases of its own.
    #[arg(long)]
    baseline_built: Option<PathBuf>,
    /// Write the figures to this file too; README.md beside the bench's code says what each is.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let load_average = meters::load_average();
    let mut conn = create_database(&args.database_url).await?;
    let setting = Setting {
        server_version: service::version(&args.belay).await?,
        mysql_version: conn
            .query_first("SELECT VERSION()")
            .await?
            .context("the database has no version")?,
        cores: std::thread::available_parallelism()?.get(),
        load_average,
        seconds: args.seconds,
        rounds: args.rounds,
        connections: args.connections,
    };
    say(&format!("{setting:?}"));

    let service = Service::start(&args.belay, &args.database_url, args.lanes).await?;
    let mut bench = Bench::new(args, &service).await?;
    let measured = Measured::of(&mut bench, &service).await?;

    let comparisons = audit::compare_rows(&mut conn, &bench.shop).await?;
    audit::go_on(&bench.connections, &bench.shop).await?;
    audit::check_acknowledged(&mut conn, &bench.shop).await?;
    audit::check_positions(&mut conn).await?;
    service.stop().await?;

    let figures = serde_json::Value::Object(measured.figures(&setting));
    measured
        .lines(&bench, &comparisons)
        .iter()
        .for_each(|line| print(line));
    print(&figures.to_string());
    if let Some(file) = &bench.args.json {
        std::fs::write(file, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Connects to the database, which is made if it is not there. Its server must keep what it
/// acknowledges: without that the figures would be those of another thing.
async fn create_database(url: &str) -> anyhow::Result<Conn> {
    let (server, database) = url
        .rsplit_once('/')
        .context("the database's URL names no database")?;
    let mut conn = raw::connect(server).await?;
    let durable: Option<bool> = conn
        .query_first(
            "SELECT @@sync_binlog = 1 AND @@innodb_flush_log_at_trx_commit = 1 AND @@log_bin = 1",
        )
        .await?;
    anyhow::ensure!(
        durable == Some(true),
        "the database acknowledges commits that are not on the disk yet"
    );
    conn.query_drop(format!("CREATE DATABASE IF NOT EXISTS `{database}`"))
        .await?;
    conn.disconnect().await?;
    raw::connect(url).await
}

/// A run under way.
struct Bench {
    args: Args,
    shop: Arc<Shop>,
    connections: Connections,
    templates: Arc<Templates>,
    meters: Meters,
    detail: Conn,
    details: Vec<detail::Detail>,
    profiles: Vec<profile::Profile>,
    /// Cancellations per second so far: how many orders the next window may need.
    seen: Vec<(Kind, usize, f64)>,
}

impl Bench {
    /// Makes the store, and the first orders, from which the bare client learns what to write.
    async fn new(args: Args, service: &Service) -> anyhow::Result<Self> {
        let connections = Connections::open(&service.url, args.connections).await?;
        connections.create_store().await?;
        let shop = Arc::new(Shop::default());
        let (placed, cancelled) = (shop.new_order(), shop.new_order());
        let callers = connections.callers(1, &Task::Cancel, &shop);
        let mut caller = callers
            .into_iter()
            .next()
            .context("one caller was asked for")?;
        caller.create(placed).await?;
        shop.placed.put(placed);
        caller.create(cancelled).await?;
        caller.pay(cancelled).await?;
        caller.cancel(cancelled).await?;
        shop.cancelled.put(cancelled);

        let mut conn = raw::connect(&args.database_url).await?;
        let templates = Arc::new(Templates::learn(&mut conn, placed, cancelled).await?);
        let mysqld_pid = match &args.mysqld_pid_file {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .context("the pid file")?
                    .trim()
                    .parse()?,
            ),
            None => None,
        };
        let meters = Meters::new(
            raw::connect(&args.database_url).await?,
            service.pid,
            mysqld_pid,
        );
        let (details, profiles, seen) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            args,
            shop,
            connections,
            templates,
            meters,
            detail: conn,
            details,
            profiles,
            seen,
        })
    }

    fn timing(&self) -> Timing {
        let seconds = Duration::from_secs_f64;
        Timing {
            warm_up: seconds(self.args.warm_up),
            measured: seconds(self.args.seconds),
        }
    }

    /// With how many clients the bare client does most: two tries each, in turns.
    async fn best_clients(&mut self, task: raw::Task) -> anyhow::Result<usize> {
        let kind = if task == raw::Task::Create {
            Kind::RawCreate
        } else {
            Kind::RawCancel
        };
        let mut tries: Vec<(f64, usize)> = self
            .args
            .raw_clients
            .iter()
            .map(|clients| (0.0, *clients))
            .collect();
        for _ in 0..2 {
            for (sum, clients) in &mut tries {
                *sum += self.window(kind, *clients, CALIBRATION).await?.per_second();
            }
        }
        let figures: Vec<String> = tries
            .iter()
            .map(|(sum, n)| format!("{n} clients {:.0}/s", sum / 2.0))
            .collect();
        say(&format!("{}: {}", kind.label(), figures.join(", ")));
        let best = tries
            .into_iter()
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        best.map(|(_, clients)| clients)
            .context("no number of clients to try")
    }

    /// Gives one buyer many orders.
    async fn fill_list(&self) -> anyhow::Result<()> {
        load::exhaust(
            self.connections
                .callers(PREPARING, &Task::listed(), &self.shop),
        )
        .await
    }

    /// Creations first: what they place is cancelled afterwards, and what is cancelled is read.
    /// Beside a lone caller there is a lone client.
    fn all_series(&self, raw_create: usize, raw_cancel: usize) -> Vec<Series> {
        let lone = self.args.callers.contains(&1).then_some(1);
        let mut kinds = Vec::new();
        for (raw, best, service) in [
            (Kind::RawCreate, raw_create, Kind::Create),
            (Kind::RawCancel, raw_cancel, Kind::Cancel),
            // A read holds no locks: as many clients as cancel best are as many as the machine can
            // use.
            (Kind::RawGet, raw_cancel, Kind::Get),
        ] {
            kinds.push((raw, best));
            kinds.extend(lone.filter(|lone| *lone != best).map(|lone| (raw, lone)));
            kinds.extend(self.args.callers.iter().map(|callers| (service, *callers)));
        }
        kinds.extend([(Kind::RawList, raw_cancel), (Kind::List, raw_cancel)]);
        let most = self.args.callers.iter().copied().max();
        kinds.extend(most.map(|most| (Kind::ClientGet, most)));
        kinds
            .into_iter()
            .map(|(kind, callers)| Series {
                kind,
                callers,
                windows: Vec::new(),
            })
            .collect()
    }

    /// One window of each kind.
    async fn round(&mut self, round: usize, series: &mut [Series]) -> anyhow::Result<()> {
        let timing = self.timing();
        let is_last = round + 1 == self.args.rounds;
        let most = self.args.callers.iter().copied().max();
        for index in 0..series.len() {
            let index = if round.is_multiple_of(2) {
                index
            } else {
                series.len() - 1 - index
            };
            let Series { kind, callers, .. } = series[index];
            let is_detailed = match kind {
                Kind::RawCancel | Kind::RawCreate | Kind::RawGet => callers > 1,
                Kind::RawList | Kind::List => true,
                Kind::Cancel | Kind::Create | Kind::Get => Some(callers) == most,
                Kind::ClientGet => false,
            };
            let is_detailed = is_detailed && is_last && self.args.detail;
            let needed = self.needed(kind, callers, timing);
            self.stock_up(needed).await?;
            if is_detailed {
                detail::begin(&mut self.detail).await?;
            }
            let name = format!("{}, {callers} callers", kind.label());
            let is_profiled =
                self.args.profile && is_last && !kind.is_raw() && Some(callers) == most;
            let recording = if is_profiled {
                Some(Recording::begin(name.clone(), &self.meters.processes())?)
            } else {
                None
            };
            let window = self.window(kind, callers, timing).await?;
            if let Some(recording) = recording {
                self.profiles.push(recording.end().await?);
            }
            if is_detailed {
                self.details
                    .push(detail::end(&mut self.detail, name, window.done_in_all).await?);
            }
            let label = kind.label();
            say(&format!(
                "round {} {label:<20} {callers:>4} callers {:>8.0}/s",
                round + 1,
                window.per_second()
            ));
            series[index].windows.push(window);
        }
        Ok(())
    }

    async fn window(
        &mut self,
        kind: Kind,
        callers: usize,
        timing: Timing,
    ) -> anyhow::Result<Window> {
        let window = match kind {
            Kind::RawCreate => self.raw_writes(raw::Task::Create, callers, timing).await?,
            Kind::RawCancel => {
                self.stock_up(self.needed(kind, callers, timing)).await?;
                self.raw_writes(raw::Task::Cancel, callers, timing).await?
            }
            Kind::RawGet => {
                self.raw_reads(raw::reads::Task::Get, callers, timing)
                    .await?
            }
            Kind::RawList => {
                self.raw_reads(raw::reads::Task::List, callers, timing)
                    .await?
            }
            Kind::Create => {
                self.calls(&Task::create_without_end(), callers, timing)
                    .await?
            }
            Kind::Cancel => self.calls(&Task::Cancel, callers, timing).await?,
            Kind::Get => self.calls(&Task::Get, callers, timing).await?,
            Kind::ClientGet => self.calls(&Task::ClientGet, callers, timing).await?,
            Kind::List => self.calls(&Task::List, callers, timing).await?,
        };
        if matches!(kind, Kind::Cancel | Kind::RawCancel) {
            self.seen.push((kind, callers, window.per_second()));
        }
        Ok(window)
    }

    async fn raw_writes(
        &mut self,
        task: raw::Task,
        clients: usize,
        timing: Timing,
    ) -> anyhow::Result<Window> {
        let mut workers = Vec::with_capacity(clients);
        for _ in 0..clients {
            let (templates, shop) = (self.templates.clone(), self.shop.clone());
            workers.push(raw::Client::open(&self.args.database_url, task, templates, shop).await?);
        }
        load::measure(workers, timing, &mut self.meters).await
    }

    async fn raw_reads(
        &mut self,
        task: raw::reads::Task,
        clients: usize,
        timing: Timing,
    ) -> anyhow::Result<Window> {
        let mut workers = Vec::with_capacity(clients);
        for _ in 0..clients {
            workers.push(
                raw::reads::Reader::open(&self.args.database_url, task, self.shop.clone()).await?,
            );
        }
        load::measure(workers, timing, &mut self.meters).await
    }

    async fn calls(
        &mut self,
        task: &Task,
        callers: usize,
        timing: Timing,
    ) -> anyhow::Result<Window> {
        let workers = self.connections.callers(callers, task, &self.shop);
        load::measure(workers, timing, &mut self.meters).await
    }

    /// Paid orders that a window may use up: more than was seen, for what is left serves the next
    /// one.
    fn needed(&self, kind: Kind, callers: usize, timing: Timing) -> f64 {
        let per_second = match kind {
            Kind::Create
            | Kind::RawCreate
            | Kind::Get
            | Kind::ClientGet
            | Kind::RawGet
            | Kind::List
            | Kind::RawList => return 0.0,
            Kind::Cancel | Kind::RawCancel => {
                let alike = self
                    .seen
                    .iter()
                    .filter(|(seen, n, _)| *seen == kind && *n == callers);
                alike
                    .map(|(_, _, rate)| 1.5 * rate)
                    .reduce(f64::max)
                    .unwrap_or(600.0 + GUESS_PER_SECOND * count(callers as u64))
            }
        };
        per_second * (timing.warm_up + timing.measured).as_secs_f64()
    }

    /// The most of this kind that was seen in a second.
    fn seen(&self, kind: Kind) -> f64 {
        let alike = self.seen.iter().filter(|(seen, _, _)| *seen == kind);
        alike.map(|(_, _, rate)| *rate).fold(1.0, f64::max)
    }

    /// Has so many orders placed and paid.
    async fn stock_up(&self, needed: f64) -> anyhow::Result<()> {
        let has = |pile: &shop::Pile| count(pile.len() as u64);
        let missing = needed - has(&self.shop.paid) - has(&self.shop.placed);
        if missing > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number of orders"
            )]
            let task = Task::create(missing.ceil() as u64);
            load::exhaust(self.connections.callers(PREPARING, &task, &self.shop)).await?;
        }
        if has(&self.shop.paid) < needed {
            load::exhaust(self.connections.callers(PREPARING, &Task::Pay, &self.shop)).await?;
        }
        Ok(())
    }
}

/// How far it is.
fn say(line: &str) {
    eprintln!("bench: {line}");
}

/// What came out.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn print(line: &str) {
    println!("{line}");
}
