//! Lists that a secondary answers, beside the same lists at the primary.
//!
//! Both databases, the server and the load generator share this machine, so the lists a second say
//! little: what counts is how much CPU a list costs the primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use belay_client::{Belay, Role};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::callers::{Connections, Task};
use crate::load::{self, Window, count};
use crate::meters::Meters;
use crate::report::{hundredths, median, whole};
use crate::service::Service;
use crate::shop::STORE;
use crate::{Bench, raw, say};

/// How old a list may be, and long enough that none is refused for it.
pub(crate) const STALENESS: &str = "5s";
/// How long the secondary may take to have everything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Windows of the same lists at the primary and at the secondary.
#[derive(Debug)]
pub(crate) struct Secondaries {
    callers: usize,
    primary: Vec<Window>,
    secondary: Vec<Window>,
    /// Of the lists that a secondary could answer, those that one did.
    share: f64,
}

/// In turns, like everything. `root` is another mysqld, without a database.
pub(crate) async fn measure(bench: &mut Bench, root: &str) -> anyhow::Result<Secondaries> {
    let (_, database) = bench
        .args
        .database_url
        .rsplit_once('/')
        .context("the database's URL names no database")?;
    follow(&mut bench.detail, root).await?;
    let url = format!("{root}/{database}");
    let arguments = ["--database-secondaries", &url];
    let service = Service::start_with(
        &bench.args.belay,
        &bench.args.database_url,
        bench.args.lanes,
        &arguments,
    )
    .await?;
    let connections = Connections::open(&service.url, bench.args.connections).await?;
    warm_up(&service.url).await?;
    let mysqld = bench.meters.mysqld_pid();
    let mut meters = Meters::new(
        raw::connect(&bench.args.database_url).await?,
        service.pid,
        mysqld,
    );
    let callers = 16;
    let mut measured = Secondaries {
        callers,
        primary: Vec::new(),
        secondary: Vec::new(),
        share: 0.0,
    };
    let (mut there, mut all) = (0, 0);
    for round in 0..bench.args.rounds {
        let turns = if round.is_multiple_of(2) {
            [false, true]
        } else {
            [true, false]
        };
        for anywhere in turns {
            let from_secondary = Arc::<AtomicU64>::default();
            let task = if anywhere {
                Task::ListAnywhere(from_secondary.clone())
            } else {
                Task::List
            };
            let workers = connections.callers(callers, &task, &bench.shop);
            let window = load::measure(workers, bench.timing(), &mut meters).await?;
            say(&format!(
                "round {} ListOrders at the {} {:>8.0}/s",
                round + 1,
                if anywhere { "secondary" } else { "primary" },
                window.per_second(),
            ));
            if anywhere {
                there += from_secondary.load(Ordering::Relaxed);
                all += window.done_in_all;
                measured.secondary.push(window);
            } else {
                measured.primary.push(window);
            }
        }
    }
    measured.share = count(there) / count(all);
    service.stop().await?;
    Ok(measured)
}

/// Has the other mysqld follow the primary, and waits until it has all.
async fn follow(primary: &mut Conn, root: &str) -> anyhow::Result<()> {
    let port: Option<u16> = primary.query_first("SELECT @@port").await?;
    let port = port.context("the database has no port")?;
    let mut conn = raw::connect(root).await?;
    for statement in [
        "RESET BINARY LOGS AND GTIDS",
        "SET GLOBAL super_read_only = ON",
        &format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
             SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
        ),
        "START REPLICA",
    ] {
        conn.query_drop(statement)
            .await
            .with_context(|| statement.to_owned())?;
    }
    let executed: Option<String> = primary.query_first("SELECT @@GLOBAL.gtid_executed").await?;
    let executed = executed.unwrap_or_default().replace('\n', "");
    anyhow::ensure!(
        !executed.is_empty(),
        "the database gives its transactions no ids"
    );
    let wait = format!(
        "SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', {})",
        PATIENCE.as_secs()
    );
    let behind: Option<u8> = conn.query_first(wait).await?;
    anyhow::ensure!(behind == Some(0), "the secondary does not catch up");
    Ok(())
}

/// Until lists come from the secondary.
async fn warm_up(url: &str) -> anyhow::Result<()> {
    let belay = Belay::builder(url)
        .role(Role::Storefront, "bench")
        .build()?;
    let (store, begun) = (belay.store(STORE), Instant::now());
    while begun.elapsed() < Duration::from_secs(3) {
        let list = store.list_orders().page_size(1);
        list.max_staleness(Duration::from_secs(5)).await?;
    }
    Ok(())
}

impl Secondaries {
    /// CPU of the primary, of the server, and of what else is on the machine, for a list, in µs.
    fn costs(windows: &[Window]) -> [f64; 3] {
        let of = |usage: fn(&Window) -> f64| {
            median(windows, |window| usage(window) * 1e6 / window.per_second())
        };
        [
            of(|window| window.usage.mysqld.unwrap_or(f64::NAN)),
            of(|window| window.usage.server),
            of(|window| window.usage.others.unwrap_or(f64::NAN)),
        ]
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |name: &str, windows: &[Window]| {
            let [primary, server, others] = Self::costs(windows);
            format!(
                "ListOrders of {} callers at the {name}: {:.0} a second, p50 {:.1} ms; CPU of a list: \
                 {primary:.0} µs of the primary, {server:.0} µs of the server, {others:.0} µs of all others, the \
                 secondary among them",
                self.callers,
                median(windows, Window::per_second),
                median(windows, |window| window.latency_ms(0.5)),
            )
        };
        vec![
            line("primary", &self.primary),
            line("secondary", &self.secondary),
            format!(
                "{:.1} % of the lists that the secondary could answer it did",
                self.share * 100.0
            ),
        ]
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let rate = |windows: &[Window]| median(windows, Window::per_second);
        let (primary, secondary) = (rate(&self.primary), rate(&self.secondary));
        let [at_primary, ..] = Self::costs(&self.primary);
        let [at_secondary, ..] = Self::costs(&self.secondary);
        for (name, figure) in [
            ("secondary_list_rps_at_primary", primary),
            ("secondary_list_rps", secondary),
            ("secondary_list_primary_us_at_primary", at_primary),
            ("secondary_list_primary_us", at_secondary),
        ] {
            object.insert(name.to_owned(), whole(Some(figure)));
        }
        for (name, ratio) in [
            ("secondary_list_ratio", secondary / primary),
            (
                "secondary_list_primary_cpu_ratio",
                at_secondary / at_primary,
            ),
            ("secondary_list_share", self.share),
        ] {
            object.insert(name.to_owned(), hundredths(Some(ratio)));
        }
    }
}
