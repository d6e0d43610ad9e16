//! A group of MySQL servers on this machine, with Group Replication: one primary, and members that
//! take over from it.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use secrecy::{ExposeSecret, SecretString};

use crate::instance::{Instance, session};
use crate::until;

/// Of the group; any UUID.
const NAME: &str = "5f0f8b7a-3c0e-4a53-9d0c-52b1f2c3a001";
/// How long a look at one member may take: one that is cut off or killed says nothing.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Settings of the members by which a group takes over sooner than by its defaults.
///
/// They cost: a member that is silent for five seconds is thrown out, where the default gives it five
/// more; a primary without a majority gives up what waits in it.
pub const SHORT_GAP: &[&str] = &[
    "--loose-group-replication-member-expel-timeout=0",
    "--loose-group-replication-unreachable-majority-timeout=5",
    "--loose-group-replication-autorejoin-tries=3",
];

/// A group of MySQL servers. They end with it.
#[derive(Debug)]
pub struct Group {
    members: Vec<Instance>,
}

impl Group {
    /// Forms one of so many members, with a migrated database; `arguments` go to each mysqld.
    pub async fn start(members: usize, arguments: &[&str]) -> Self {
        let ports = free_ports(members);
        let seeds: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let begun = (0..members).map(|index| {
            let mut own = arguments_of(index, &seeds);
            own.extend(arguments.iter().map(ToString::to_string));
            Instance::bare(own)
        });
        let group = Self {
            members: join_all(begun).await,
        };
        for member in &group.members {
            let mut conn = session(&member.root_url()).await;
            // Each has made its own while it was initialised.
            run(&mut conn, "RESET BINARY LOGS AND GTIDS").await;
            let recovery = "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'root' \
                FOR CHANNEL 'group_replication_recovery'";
            run(&mut conn, recovery).await;
        }
        let first = &group.members[0];
        let mut conn = session(&first.root_url()).await;
        run(
            &mut conn,
            "SET GLOBAL group_replication_bootstrap_group = ON",
        )
        .await;
        run(&mut conn, "START GROUP_REPLICATION").await;
        run(
            &mut conn,
            "SET GLOBAL group_replication_bootstrap_group = OFF",
        )
        .await;
        until("the first member takes writes", async || {
            (group.primary().await == Some(0)).then_some(())
        })
        .await;
        first.prepare().await;
        join_all((1..members).map(|index| group.rejoin(index))).await;
        group
    }

    pub fn member(&self, index: usize) -> &Instance {
        &self.members[index]
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The URL of all members, for a server.
    pub fn serve_url(&self) -> SecretString {
        let first = &self.members[0];
        let hosts: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("127.0.0.1:{}", member.port()))
            .collect();
        let url = first.serve_url().expose_secret().to_owned();
        let host = format!("127.0.0.1:{}", first.port());
        SecretString::from(url.replacen(&host, &hosts.join(","), 1))
    }

    /// The member that takes writes, if one says so of itself and has the majority with it.
    pub async fn primary(&self) -> Option<usize> {
        let roles = join_all(self.members.iter().map(is_primary)).await;
        roles.iter().position(|is_primary| *is_primary)
    }

    /// Waits until there is a primary that all members are with.
    pub async fn whole(&self) -> usize {
        until("all members are online", async || {
            let primary = self.primary().await?;
            let mut conn = look(&self.members[primary]).await?;
            let query = "SELECT COUNT(*) FROM performance_schema.replication_group_members \
                WHERE MEMBER_STATE = 'ONLINE'";
            let online: Option<usize> = conn.query_first(query).await.ok()?;
            (online == Some(self.members.len())).then_some(primary)
        })
        .await
    }

    /// Brings a member in, or back after it was stopped or killed and started again.
    pub async fn rejoin(&self, index: usize) {
        until("the member joins", async || {
            let mut conn = look(&self.members[index]).await?;
            conn.query_drop("START GROUP_REPLICATION").await.ok()
        })
        .await;
    }

    /// Another member becomes the primary, as an operator asks for it.
    pub async fn switch(&self, to: usize) {
        let mut conn = session(&self.members[to].root_url()).await;
        let uuid: Option<String> = conn.query_first("SELECT @@server_uuid").await.expect("one");
        let uuid = uuid.expect("each has one");
        run(
            &mut conn,
            &format!("SELECT group_replication_set_as_primary('{uuid}')"),
        )
        .await;
    }

    /// kill -9.
    pub async fn kill(&self, index: usize) {
        self.members[index].kill().await;
    }

    /// SIGSTOP: its connections stay open and say nothing, as those of a machine that is cut off.
    ///
    /// The signal alone stops nothing at once: its threads go on until one of them is given a processor
    /// and hands it to the others. On a busy machine a member would still answer meanwhile.
    pub async fn freeze(&self, index: usize) {
        let pid = self.members[index].pid();
        signal("-STOP", pid);
        until("the member stops", async || is_stopped(pid).then_some(())).await;
    }

    pub fn thaw(&self, index: usize) {
        signal("-CONT", self.members[index].pid());
    }
}

fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(
        sent.expect("kill can be run").success(),
        "kill {signal} {pid}"
    );
}

/// Whether each of its threads has stopped, as the third field of its `stat` says; the second is a name
/// in brackets.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// A member that has not left: its port, and the options it starts with.
fn arguments_of(index: usize, seeds: &[String]) -> Vec<String> {
    vec![
        format!("--server-id={}", index + 1),
        "--gtid-mode=ON".to_owned(),
        "--enforce-gtid-consistency=ON".to_owned(),
        "--report-host=127.0.0.1".to_owned(),
        "--plugin-load-add=group_replication.so".to_owned(),
        format!("--loose-group-replication-group-name={NAME}"),
        "--loose-group-replication-start-on-boot=OFF".to_owned(),
        format!("--loose-group-replication-local-address={}", seeds[index]),
        format!("--loose-group-replication-group-seeds={}", seeds.join(",")),
        "--loose-group-replication-recovery-get-public-key=ON".to_owned(),
        "--loose-group-replication-member-weight=50".to_owned(),
    ]
}

/// Ports that are free now, below those that outgoing connections take.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u64 = 12_000;
    let random = RandomState::new();
    let tried = (0..).map(|turn: u64| {
        let place = u16::try_from(random.hash_one(turn) % COUNT).expect("it is less");
        TcpListener::bind(("127.0.0.1", FIRST + place))
    });
    // All are held until all are known, so that they differ.
    let held: Vec<TcpListener> = tried.filter_map(Result::ok).take(count).collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    held.iter().map(port).collect()
}

/// A session with a member that may be gone.
async fn look(member: &Instance) -> Option<Conn> {
    let options = Opts::from_url(member.root_url().expose_secret()).expect("a URL");
    let connected = tokio::time::timeout(LOOK_MAX, Conn::new(options)).await;
    connected.ok()?.ok()
}

async fn is_primary(member: &Instance) -> bool {
    let asked = async {
        let mut conn = look(member).await?;
        let query = "SELECT @@GLOBAL.super_read_only, \
            (SELECT COUNT(*) FROM performance_schema.replication_group_members \
             WHERE MEMBER_ID = @@server_uuid AND MEMBER_ROLE = 'PRIMARY' AND MEMBER_STATE = 'ONLINE'), \
            (SELECT SUM(MEMBER_STATE = 'UNREACHABLE') * 2 < COUNT(*) \
             FROM performance_schema.replication_group_members)";
        let row: Option<Row> = conn.query_first(query).await.ok()?;
        let (read_only, is_primary, has_majority): (u8, u8, Option<u8>) =
            mysql_async::from_row(row?);
        Some(read_only == 0 && is_primary == 1 && has_majority == Some(1))
    };
    let asked = tokio::time::timeout(LOOK_MAX, asked).await;
    asked.ok().flatten().unwrap_or(false)
}

async fn run(conn: &mut Conn, statement: &str) {
    let done = conn.query_drop(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
