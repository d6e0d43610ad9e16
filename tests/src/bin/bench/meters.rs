//! The cost of a window: CPU of the three processes and of the rest of the machine, transactions
//! and statements of the database.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::load::count;

/// Linux counts CPU time for user space in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// The meters, and where they are read.
#[derive(Debug)]
pub(crate) struct Meters {
    database: Conn,
    server_pid: u32,
    mysqld_pid: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    server: Duration,
    mysqld: Option<Duration>,
    generator: Duration,
    machine: Duration,
    commits: u64,
    statements: u64,
    prepares: u64,
    redo_bytes: u64,
    binlog_bytes: u64,
}

/// Between two readings. CPU is in seconds per second: 1 is one core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) server: f64,
    pub(crate) mysqld: Option<f64>,
    pub(crate) generator: f64,
    /// Of processes that have nothing to do with the bench.
    pub(crate) others: Option<f64>,
    /// Per second, like the next two.
    pub(crate) commits: f64,
    /// BEGIN and COMMIT included.
    pub(crate) statements: f64,
    pub(crate) prepares: f64,
    /// Written to InnoDB's redo log and to the binary log, by everybody.
    pub(crate) redo_bytes: f64,
    pub(crate) binlog_bytes: f64,
}

impl Meters {
    pub(crate) fn new(database: Conn, server_pid: u32, mysqld_pid: Option<u32>) -> Self {
        Self {
            database,
            server_pid,
            mysqld_pid,
        }
    }

    /// That of the database, where it runs on this machine.
    pub(crate) fn mysqld_pid(&self) -> Option<u32> {
        self.mysqld_pid
    }

    /// The processes that serve, as far as they run on this machine.
    pub(crate) fn processes(&self) -> Vec<(&'static str, u32)> {
        let mysqld = self.mysqld_pid.map(|pid| ("mysqld", pid));
        mysqld
            .into_iter()
            .chain([("belay", self.server_pid)])
            .collect()
    }

    pub(crate) async fn read(&mut self) -> anyhow::Result<Reading> {
        let at = Instant::now();
        let status: Vec<(String, String)> = self
            .database
            .query(
                // Questions counts what is executed, by name or as text; neither PREPARE nor CLOSE.
                "SHOW GLOBAL STATUS WHERE Variable_name IN \
                 ('Com_commit', 'Com_stmt_prepare', 'Questions', 'Innodb_os_log_written')",
            )
            .await?;
        let status = |name: &str| -> anyhow::Result<u64> {
            let value = status
                .iter()
                .find(|(variable, _)| variable == name)
                .with_context(|| format!("no status {name}"))?;
            Ok(value.1.parse()?)
        };
        // Name, size, whether it is encrypted.
        let binlog: Vec<(String, u64, String)> = self.database.query("SHOW BINARY LOGS").await?;
        Ok(Reading {
            at,
            server: process_cpu(&self.server_pid.to_string())?,
            mysqld: self
                .mysqld_pid
                .map(|pid| process_cpu(&pid.to_string()))
                .transpose()?,
            generator: process_cpu("self")?,
            machine: machine_cpu()?,
            commits: status("Com_commit")?,
            statements: status("Questions")?,
            prepares: status("Com_stmt_prepare")?,
            redo_bytes: status("Innodb_os_log_written")?,
            binlog_bytes: binlog.iter().map(|(_, size, _)| size).sum(),
        })
    }
}

impl Reading {
    pub(crate) fn until(&self, later: &Reading) -> Usage {
        let seconds = (later.at - self.at).as_secs_f64();
        let cpu = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() / seconds
        };
        let rate = |before: u64, after: u64| count(after - before) / seconds;
        let server = cpu(self.server, later.server);
        let generator = cpu(self.generator, later.generator);
        let mysqld = self
            .mysqld
            .zip(later.mysqld)
            .map(|(before, after)| cpu(before, after));
        let machine = cpu(self.machine, later.machine);
        Usage {
            server,
            mysqld,
            generator,
            others: mysqld.map(|mysqld| (machine - server - mysqld - generator).max(0.0)),
            commits: rate(self.commits, later.commits),
            statements: rate(self.statements, later.statements),
            prepares: rate(self.prepares, later.prepares),
            redo_bytes: rate(self.redo_bytes, later.redo_bytes),
            binlog_bytes: rate(self.binlog_bytes, later.binlog_bytes),
        }
    }
}

/// CPU time that a process has used, all threads that ever were included.
fn process_cpu(pid: &str) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the name in brackets and may hold anything; user and system time are
    // fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    Ok(TICK * ticks)
}

/// CPU time that all processes have used.
fn machine_cpu() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let all = stat.lines().next().unwrap_or_default();
    // user, nice and system are what processes use; what follows is idle, or belongs to no process.
    Ok(TICK
        * all
            .split_whitespace()
            .skip(1)
            .take(3)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum())
}

/// The first figure of the load average, as the kernel writes it.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
