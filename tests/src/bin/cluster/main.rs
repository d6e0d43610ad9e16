//! `make cluster`: three MySQL servers with Group Replication, two Belay servers and their callers on this
//! machine. Primaries are killed, switched, stopped and frozen in turn under load; then every
//! acknowledged write is looked for.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod load;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_client::{Belay, Role, Store};
use belay_tests::group::{Group, SHORT_GAP};
use belay_tests::instance::Service;
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
    /// Times that the primary falls silent with its connections open (SIGSTOP), as one whose machine is
    /// cut off; it wakes up when another one serves.
    #[arg(long, default_value_t = 0)]
    freeze: usize,
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
    /// What is done, each kind in its turn.
    fn events(&self) -> Vec<Kind> {
        let mut left = [
            (Kind::Kill, self.kill),
            (Kind::Switch, self.switch),
            (Kind::Stop, self.stop),
            (Kind::Freeze, self.freeze),
        ];
        if left.iter().all(|(_, count)| *count == 0) {
            left = [
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

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // The servers end with what holds them, which a signal would not let go of.
    tokio::select! {
        code = run(args) => code,
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run(args: Args) -> ExitCode {
    let settings: &[&str] = if args.defaults { &[] } else { SHORT_GAP };
    eprintln!("forming a group of {}", args.members);
    let group = Group::start(usize::from(args.members), settings).await;
    let serve = async || Service::start(group.serve_url(), |_| {}).await;
    let (left, right) = (serve().await, serve().await);
    left.create_shop().await;

    let seen = Arc::new(Seen::default());
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
    show(&report);
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
    match kind {
        Kind::Kill => group.kill(primary).await,
        Kind::Stop => group.member(primary).stop().await,
        Kind::Freeze => group.freeze(primary).await,
        Kind::Switch => group.switch((primary + 1) % group.len()).await,
    }
    let done_at = Instant::now();
    until("another primary takes writes", async || {
        let found = group.primary().await?;
        (found != primary).then_some(())
    })
    .await;
    until("writes go on", async || {
        (seen.acknowledged_after(done_at) >= WRITES_AFTER).then_some(())
    })
    .await;
    match kind {
        Kind::Kill | Kind::Stop => {
            group.member(primary).restart().await;
            group.rejoin(primary).await;
        }
        Kind::Freeze => group.thaw(primary),
        Kind::Switch => {}
    }
    group.whole().await;
    let ended_at = Instant::now();
    Event {
        kind,
        begun_at,
        ended_at,
    }
}
