//! Two servers on one database beside one, when commits are slow.
//!
//! A commit holds the heads of the partitions that it took positions from, so the commits of a
//! partition are serial across servers; the slower a commit is, the more that could cost. MySQL
//! itself is made slow: it waits before it brings a group of commits to the disk, as it would for a
//! disk or a replica far away.

use std::time::Duration;

use anyhow::Context as _;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Map, Value, json};

use crate::callers::{Connections, Task};
use crate::load::{self, Window};
use crate::report::{Kind, hundredths, median, whole};
use crate::service::Service;
use crate::{Bench, say};

/// What a commit takes longer.
const COMMIT_DELAY: Duration = Duration::from_millis(5);

/// Windows of all callers at one server, and of half of them at each of two.
#[derive(Debug)]
pub(crate) struct Replicas {
    callers: usize,
    one: Vec<Window>,
    two: Vec<Window>,
}

/// In turns, like everything.
pub(crate) async fn compare(bench: &mut Bench) -> anyhow::Result<Replicas> {
    let callers = bench
        .args
        .callers
        .iter()
        .copied()
        .max()
        .context("no number of callers to try")?;
    let second = Service::start(
        &bench.args.belay,
        &bench.args.database_url,
        bench.args.lanes,
    )
    .await?;
    let of_second = Connections::open(&second.url, bench.args.connections).await?;
    let mut replicas = Replicas {
        callers,
        one: Vec::new(),
        two: Vec::new(),
    };
    delay_commits(&mut bench.detail, COMMIT_DELAY).await?;
    for round in 0..bench.args.rounds {
        let turns = if round.is_multiple_of(2) {
            [1, 2]
        } else {
            [2, 1]
        };
        for servers in turns {
            bench
                .stock_up(bench.needed(Kind::Cancel, callers, bench.timing()))
                .await?;
            let mut all = bench
                .connections
                .callers(callers / servers, &Task::Cancel, &bench.shop);
            if servers == 2 {
                all.extend(of_second.callers(callers - callers / 2, &Task::Cancel, &bench.shop));
            }
            let window = load::measure(all, bench.timing(), &mut bench.meters).await?;
            say(&format!(
                "round {} slow commits, servers: {servers} {:>8.0}/s",
                round + 1,
                window.per_second()
            ));
            if servers == 1 {
                &mut replicas.one
            } else {
                &mut replicas.two
            }
            .push(window);
        }
    }
    delay_commits(&mut bench.detail, Duration::ZERO).await?;
    second.stop().await?;
    Ok(replicas)
}

async fn delay_commits(conn: &mut Conn, delay: Duration) -> anyhow::Result<()> {
    let set = format!(
        "SET GLOBAL binlog_group_commit_sync_delay = {}",
        delay.as_micros()
    );
    conn.query_drop(set)
        .await
        .context("the database does not let its commits be slowed down")
}

impl Replicas {
    pub(crate) fn line(&self) -> String {
        format!(
            "cancellations of {} callers with commits {} ms slower: {:.0} a second at one server, {:.0} at two",
            self.callers,
            COMMIT_DELAY.as_millis(),
            median(&self.one, Window::per_second),
            median(&self.two, Window::per_second),
        )
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let (one, two) = (
            median(&self.one, Window::per_second),
            median(&self.two, Window::per_second),
        );
        object.insert(
            "slow_commit_delay_ms".to_owned(),
            json!(COMMIT_DELAY.as_secs_f64() * 1e3),
        );
        object.insert("slow_commit_one_server_rps".to_owned(), whole(Some(one)));
        object.insert("slow_commit_two_servers_rps".to_owned(), whole(Some(two)));
        object.insert(
            "slow_commit_servers_ratio".to_owned(),
            hundredths(Some(two / one)),
        );
    }
}
