//! `belay load`: callers that place, pay, cancel and read orders, and how long that takes.
//!
//! It measures what a caller sees: nothing is repeated, and a call that fails counts as one.

mod mix;
mod schedule;
mod shop;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::{BelayBuilder, ErrorReason, RetryPolicy, Store};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use self::mix::Mix;
use self::schedule::Schedule;
use self::shop::Shop;
use self::tally::{Summary, Tally};
use crate::connection::Caller;
use crate::failure::{Class, Failure};
use crate::output::{Output, tell};

const CALLERS_MAX: u16 = 4_096;
const CONNECTIONS_MAX: u16 = 64;
const DURATION_MIN: Duration = Duration::from_secs(1);
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Calls a second.
const RATE_MAX: u32 = 1_000_000;
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// By it a store is known as one that was made for load.
const DISPLAY_NAME: &str = "belay load";
const PRESET: &str = "independent-site";

#[derive(Debug, Args)]
pub struct Load {
    /// The store to do it in, which is made where it is not there. One that was not made for load,
    /// or has orders of others, is refused.
    #[arg(long, default_value = "load", value_name = "STORE")]
    store: String,
    /// Callers at once, each of which has one call under way: 1 to 4096.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=i64::from(CALLERS_MAX)))]
    callers: u16,
    /// Connections that the callers share: 1 to 64.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(CONNECTIONS_MAX)))]
    connections: u16,
    /// How long calls are begun: such as 30s or 5m, from 1s to 24h.
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    duration: Duration,
    /// Calls to begin a second, evenly: 1 to 1000000. A call is as slow as it is late, also where
    /// no caller was free. Each caller asks again as soon as it is answered where it is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)), value_name = "A_SECOND")]
    rate: Option<u32>,
    /// How often each call is made, of all of them: create, pay, cancel, get and list, from 0 to
    /// 1000 each. A call on an order that is not there makes one first.
    #[arg(
        long,
        default_value = "create=3,pay=2,cancel=1,get=8,list=1",
        value_name = "CALL=SHARE,…"
    )]
    mix: Mix,
    /// How long a call may take: such as 10s or 500ms, from 10ms to 60s.
    #[arg(long, default_value = "10s", value_parser = timeout, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    caller: Caller,
    #[command(flatten)]
    output: Output,
}

fn duration(text: &str) -> Result<Duration, String> {
    within(text, DURATION_MIN, DURATION_MAX)
        .ok_or_else(|| "must be a duration such as 30s or 5m, from 1s to 24h".to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, TIMEOUT_MIN, TIMEOUT_MAX)
        .ok_or_else(|| "must be a duration such as 10s or 500ms, from 10ms to 60s".to_owned())
}

fn within(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    let duration = Duration::try_from(parsed).ok()?;
    (least..=most).contains(&duration).then_some(duration)
}

impl Load {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // Listened to before anything is made, so that it ends in order from the beginning.
        let mut stop = Stop::listen()?;
        let prepared = tokio::select! {
            stores = self.stores() => stores?,
            () = stop.received() => return Err(Failure::new(Class::No, "stopped before it began")),
        };
        tell(&format!(
            "{} callers for {:#} on the store {}; Ctrl-C ends it sooner",
            self.callers,
            jiff::SignedDuration::try_from(self.duration).unwrap_or_default(),
            self.store
        ));
        let summary = self.measure(prepared, &mut stop).await?;
        summary.show(self.output)?;
        summary.verdict()
    }

    /// The store over each connection, each of which is open.
    async fn stores(&self) -> Result<Vec<Store>, Failure> {
        let mut stores = Vec::new();
        for _ in 0..self.connections {
            let builder = BelayBuilder::from_env()?.timeout(self.timeout);
            let belay = self.caller.belay(builder.retry(RetryPolicy::never()))?;
            if stores.is_empty() {
                let policy = FirstPolicy::preset(PRESET);
                let made = belay
                    .create_store(self.store.as_str(), policy)
                    .display_name(DISPLAY_NAME);
                made.await.map_err(|error| self.not_ours(error.into()))?;
            }
            let store = belay.store(self.store.as_str());
            store.get_store().await?;
            stores.push(store);
        }
        match stores.first() {
            Some(store) if !shop::is_for_load_alone(store).await? => Err(self.has_others()),
            Some(_) | None => Ok(stores),
        }
    }

    fn not_ours(&self, error: belay_client::Error) -> Failure {
        if error.has_reason(&ErrorReason::StoreAlreadyExists) {
            return self.refused("is there and was not made for load");
        }
        Failure::from(error)
    }

    fn has_others(&self) -> Failure {
        self.refused("has orders that are not of `belay load`")
    }

    fn refused(&self, why: &str) -> Failure {
        let store = &self.store;
        let message = format!("the store {store} {why}: name one of its own, by --store");
        Failure::new(Class::Rejected, message)
    }

    /// Until the time is over or somebody stops it. What is under way then is waited for, unless
    /// somebody stops that too.
    async fn measure(&self, stores: Vec<Store>, stop: &mut Stop) -> Result<Summary, Failure> {
        let schedule = Arc::new(Schedule::begin(self.duration, self.rate));
        let (shop, tally) = (Arc::new(Shop::open()), Arc::new(Tally::new()));
        let mut callers = JoinSet::new();
        for store in stores.iter().cycle().take(usize::from(self.callers)) {
            let (schedule, shop) = (schedule.clone(), shop.clone());
            let (tally, mix, store) = (tally.clone(), self.mix, store.clone());
            callers.spawn(async move {
                while let Some(due) = schedule.next().await {
                    let call = shop.next(mix.pick());
                    let answered = shop.make(&call, &store).await;
                    tally.count(call.kind(), due.elapsed(), answered.err());
                }
            });
        }
        let is_interrupted = tokio::select! {
            () = all(&mut callers) => false,
            () = stop.received() => true,
        };
        if is_interrupted {
            schedule.stop();
            tell("no call begins any more; those under way are waited for");
            tokio::select! {
                () = all(&mut callers) => {}
                () = stop.received() => callers.abort_all(),
            }
        }
        let mut summary = tally.summary(&schedule);
        summary.store.clone_from(&self.store);
        summary.callers = self.callers;
        summary.connections = self.connections;
        summary.rate = self.rate;
        summary.interrupted = is_interrupted;
        Ok(summary)
    }
}

async fn all(callers: &mut JoinSet<()>) {
    while callers.join_next().await.is_some() {}
}

/// Ctrl-C, or the signal that service managers send.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            let signal = signal(kind);
            signal.map_err(|error| Failure::new(Class::Internal, format!("signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        load: Load,
    }

    fn given(flag: &str, value: &str) -> Result<Load, clap::Error> {
        let program = Program::try_parse_from(["load", &format!("{flag}={value}")]);
        program.map(|program| program.load)
    }

    #[test]
    fn each_argument_has_its_bounds() {
        let rows = [
            ("--callers", ["1", "4096"], ["0", "4097"]),
            ("--connections", ["1", "64"], ["0", "65"]),
            ("--duration", ["1s", "24h"], ["999ms", "24h 1ms"]),
            ("--rate", ["1", "1000000"], ["0", "1000001"]),
            ("--timeout", ["10ms", "60s"], ["9ms", "60s 1ms"]),
        ];
        for (flag, taken, refused) in rows {
            for value in taken {
                given(flag, value).unwrap_or_else(|error| panic!("{flag} {value}: {error}"));
            }
            for value in refused.into_iter().chain(["", "soon"]) {
                given(flag, value).expect_err(value);
            }
        }
    }

    #[test]
    fn the_store_of_the_environment_is_not_meant() {
        assert_eq!(given("--callers", "1").unwrap().store, "load");
    }
}
