//! `make cluster`: three MySQL servers with Group Replication, two Belay servers and their callers
//! on this machine. Primaries are killed, switched, stopped, frozen and cut off from the network in
//! turn under load; then every acknowledged write is looked for. `--galera` has three nodes of
//! Galera that all take writes.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod cuts;
mod galera;
mod load;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_client::{Belay, Role, Store};
use belay_tests::group::{Group, SHORT_GAP};
use belay_tests::instance::Service;
use belay_tests::network::{self, Network};
use belay_tests::{SHOP, until};
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use load::Seen;
use report::{Event, Kind, Report};

/// Writes after an event by which the group is taken to serve again.
const WRITES_AFTER: usize = 20;

/// Takes primaries away under load, and counts what callers lose.
#[derive(Debug, Parser)]
struct Args {
    /// Times that the primary is killed (kill -9); it comes back each time.
    #[arg(long, default_value_t = 0)]
    kill: usize,
    /// Times that another member is made the primary, as operators do it.
    #[arg(long, default_value_t = 0)]
    switch: usize,
    /// Times that the primary is shut down in order; it comes back each time.
    #[arg(long, default_value_t = 0)]
    stop: usize,
    /// Times that the primary falls silent with its connections open (SIGSTOP), as one whose
    /// machine is cut off; it wakes up when another one serves.
    #[arg(long, default_value_t = 0)]
    freeze: usize,
    /// Times that the network is cut between the primary and the other members, while servers still
    /// reach it; it is healed when another one serves. Whatever cuts a network needs root or user
    /// namespaces.
    #[arg(long, default_value_t = 0)]
    partition: usize,
    /// The same, cut between the primary and servers too.
    #[arg(long, default_value_t = 0)]
    isolate: usize,
    /// Times that the network is cut between the primary and servers alone, for 20 seconds.
    #[arg(long, default_value_t = 0)]
    unreachable: usize,
    /// Times that the primary is cut off from all for 3 seconds, which is less than a group takes
    /// to notice.
    #[arg(long, default_value_t = 0)]
    blip: usize,
    /// Take Galera instead, in which all nodes take writes, and have both servers write the same
    /// orders through two of them. `--kill` kills a node, `--freeze` silences all but one.
    #[arg(long, conflicts_with_all = ["switch", "stop", "partition", "isolate", "unreachable", "blip", "defaults", "members"])]
    galera: bool,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=9))]
    members: u8,
    /// Callers, each with one call open; half of them write at either server.
    #[arg(long, default_value_t = 8)]
    callers: usize,
    /// Seconds of load before each event.
    #[arg(long, default_value_t = 3.0)]
    calm: f64,
    /// Leave the group its default settings.
    #[arg(long)]
    defaults: bool,
}

impl Args {
    /// Whether the network is cut.
    fn cuts(&self) -> bool {
        self.partition + self.isolate + self.unreachable + self.blip > 0
    }

    /// What is done, each kind in its turn.
    fn events(&self) -> Vec<Kind> {
        let mut left = vec![
            (Kind::Kill, self.kill),
            (Kind::Switch, self.switch),
            (Kind::Stop, self.stop),
            (Kind::Freeze, self.freeze),
            (Kind::Partition, self.partition),
            (Kind::Isolate, self.isolate),
            (Kind::Unreachable, self.unreachable),
            (Kind::Blip, self.blip),
        ];
        let is_given = left.iter().any(|(_, count)| *count > 0);
        if !is_given && self.galera {
            left = vec![(Kind::Kill, 3), (Kind::Freeze, 1)];
        } else if !is_given {
            left = vec![
                (Kind::Kill, 3),
                (Kind::Switch, 6),
                (Kind::Stop, 3),
                (Kind::Freeze, 1),
            ];
        }
        let mut events = Vec::new();
        while left.iter().any(|(_, count)| *count > 0) {
            for (kind, count) in left.iter_mut().filter(|(_, count)| *count > 0) {
                *count -= 1;
                events.push(*kind);
            }
        }
        events
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.cuts()
        && let Err(refusal) = network::enter()
    {
        eprintln!("{refusal}");
        return ExitCode::FAILURE;
    }
    start(args)
}

#[tokio::main]
async fn start(args: Args) -> ExitCode {
    // The servers end with what holds them, which a signal would not let go of.
    tokio::select! {
        code = run(args) => code,
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run(args: Args) -> ExitCode {
    let report = if args.galera {
        galera::run(&args, &args.events()).await
    } else {
        run_group(&args).await
    };
    show(&report);
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run_group(args: &Args) -> Report {
    let settings: &[&str] = if args.defaults { &[] } else { SHORT_GAP };
    eprintln!("forming a group of {}", args.members);
    let group = if args.cuts() {
        Group::start_on(Network::new(args.members), settings).await
    } else {
        Group::start(usize::from(args.members), settings).await
    };
    let serve = async || Service::start(group.serve_url(), |_| {}).await;
    let (left, right) = (serve().await, serve().await);
    left.create_shop().await;

    let seen = Arc::new(Seen::new());
    let mut callers = JoinSet::new();
    for index in 0..args.callers {
        let stores = (store(&left), store(&right));
        let (write, read) = if index % 2 == 0 {
            stores
        } else {
            (stores.1, stores.0)
        };
        let seen = seen.clone();
        callers.spawn(async move { seen.call(&write, &read).await });
    }
    let begun_at = Instant::now();
    let mut events = Vec::new();
    for kind in args.events() {
        let event = one(&group, kind, &seen, args.calm).await;
        eprintln!("{}", event.line(&seen));
        events.push(event);
    }
    sleep(Duration::from_secs_f64(args.calm)).await;
    let lasted = begun_at.elapsed();
    seen.stop.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}

    let primary = group.whole().await;
    let database = group.member(primary).database().await;
    let report = Report::of(&seen, &events, lasted, &database).await;
    left.stop().await;
    right.stop().await;
    report
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn show(report: &Report) {
    for line in report.lines() {
        println!("{line}");
    }
}

/// A client as anybody has it, by its defaults.
fn store(service: &Service) -> Store {
    let belay = Belay::builder(format!("http://{}", service.address()));
    let belay = belay.role(Role::Storefront, "web").build();
    belay.expect("a client").store(SHOP)
}

/// Takes the primary away once, and waits until the group is whole again.
async fn one(group: &Group, kind: Kind, seen: &Seen, calm: f64) -> Event {
    let primary = group.whole().await;
    sleep(Duration::from_secs_f64(calm)).await;
    let begun_at = Instant::now();
    eprintln!("{:.1?}: {} begins", seen.elapsed(), kind.name());
    match kind {
        Kind::Kill => group.kill(primary).await,
        Kind::Stop => group.member(primary).stop().await,
        Kind::Freeze => group.freeze(primary).await,
        Kind::Switch => group.switch((primary + 1) % group.len()).await,
        Kind::Partition | Kind::Isolate | Kind::Unreachable | Kind::Blip => {
            cuts::cut(group, kind, primary, seen).await;
        }
    }
    let done_at = Instant::now();
    if kind.replaces() {
        another_serves(group, primary).await;
    }
    writes_go_on(seen, done_at).await;
    match kind {
        Kind::Kill | Kind::Stop => {
            group.member(primary).restart().await;
            group.rejoin(primary).await;
        }
        Kind::Freeze => group.thaw(primary),
        Kind::Switch | Kind::Partition | Kind::Isolate | Kind::Unreachable | Kind::Blip => {}
    }
    group.whole().await;
    let ended_at = Instant::now();
    Event {
        kind,
        begun_at,
        ended_at,
    }
}

async fn another_serves(group: &Group, than: usize) {
    until("another primary takes writes", async || {
        let found = group.primary().await?;
        (found != than).then_some(())
    })
    .await;
}

async fn writes_go_on(seen: &Seen, after: Instant) {
    until("writes go on", async || {
        (seen.acknowledged_after(after) >= WRITES_AFTER).then_some(())
    })
    .await;
}
