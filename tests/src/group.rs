//! A group of MySQL servers on this machine, with Group Replication: one primary, and members that
//! take over from it.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use secrecy::{ExposeSecret, SecretString};

use crate::instance::{Instance, session};
use crate::network::{Host, Network};
use crate::until;

/// Of the group; any UUID.
const NAME: &str = "5f0f8b7a-3c0e-4a53-9d0c-52b1f2c3a001";
/// The port of a member for the others, where it is alone on its host.
const ON_HOST: u16 = 33_061;
/// How long a look at one member may take: one that is cut off or killed says nothing.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Settings of the members by which a group takes over sooner than by its defaults.
///
/// They cost: a member that is silent for five seconds is thrown out, where the default gives it
/// five more; a primary without a majority gives up what waits in it.
pub const SHORT_GAP: &[&str] = &[
    "--loose-group-replication-member-expel-timeout=0",
    "--loose-group-replication-unreachable-majority-timeout=5",
    "--loose-group-replication-autorejoin-tries=3",
];

/// A group of MySQL servers. They end with it.
#[derive(Debug)]
pub struct Group {
    members: Vec<Instance>,
    /// Between them, if it can be cut.
    network: Option<Network>,
}

impl Group {
    /// Forms one of so many members, with a migrated database; `arguments` go to each mysqld.
    pub async fn start(members: usize, arguments: &[&str]) -> Self {
        let ports = free_ports(members);
        let seeds: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let begun =
            (0..members).map(|index| Instance::bare(arguments_of(index, &seeds, arguments)));
        let members = join_all(begun).await;
        Self::form(members, None).await
    }

    /// Forms one with a member on each host of a network, which can be cut between them.
    pub async fn start_on(network: Network, arguments: &[&str]) -> Self {
        let hosts = network.hosts();
        let seed = |host: &Host| format!("{}:{ON_HOST}", host.among_hosts);
        let seeds: Vec<String> = hosts.iter().map(seed).collect();
        let begun = hosts.iter().enumerate().map(|(index, host)| {
            let arguments = arguments_of(index, &seeds, arguments);
            Instance::bare_on(host, arguments)
        });
        let members = join_all(begun).await;
        Self::form(members, Some(network)).await
    }

    async fn form(members: Vec<Instance>, network: Option<Network>) -> Self {
        let group = Self { members, network };
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
        join_all((1..group.len()).map(|index| group.rejoin(index))).await;
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
        let places: Vec<String> = self.members.iter().map(Instance::place).collect();
        let url = first.serve_url().expose_secret().to_owned();
        SecretString::from(url.replacen(&first.place(), &places.join(","), 1))
    }

    /// The member that takes writes, as most of those see it who see any. One that was cut off says
    /// of itself for a while that it is the primary.
    pub async fn primary(&self) -> Option<usize> {
        let views = join_all(self.members.iter().map(View::of)).await;
        let seen_as_primary = |id: &str| {
            let seen = views.iter().flatten().filter(|view| view.primary == id);
            seen.count()
        };
        let most = views
            .iter()
            .flatten()
            .map(|view| seen_as_primary(&view.primary));
        let most = most.max()?;
        views.iter().position(|view| {
            view.as_ref().is_some_and(|view| {
                view.takes_writes && view.own == view.primary && seen_as_primary(&view.own) == most
            })
        })
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

    /// Waits until a member that was cut off is back. One that has given up is told to join, as an
    /// operator does it: by itself it tries once more after five minutes.
    pub async fn come_back(&self, index: usize) {
        until("the member is back", async || {
            let mut conn = look(&self.members[index]).await?;
            let id: Option<String> = conn.query_first("SELECT @@server_uuid").await.ok()?;
            let state = "SELECT MEMBER_STATE FROM performance_schema.replication_group_members \
                WHERE MEMBER_ID = ?";
            let own: Option<String> = conn.exec_first(state, (&id,)).await.ok()?;
            match own.as_deref() {
                // It may be about to try by itself.
                Some("ERROR" | "OFFLINE") => {
                    conn.query_drop("STOP GROUP_REPLICATION").await.ok()?;
                    conn.query_drop("START GROUP_REPLICATION").await.ok()?;
                    None
                }
                // That others have thrown it out it may not know yet.
                Some("ONLINE") => {
                    let primary = self.primary().await.filter(|primary| *primary != index)?;
                    let mut conn = look(&self.members[primary]).await?;
                    let seen: Option<String> = conn.exec_first(state, (&id,)).await.ok()?;
                    (seen.as_deref() == Some("ONLINE")).then_some(())
                }
                _ => None,
            }
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

    /// See [`Instance::freeze`].
    pub async fn freeze(&self, index: usize) {
        self.members[index].freeze().await;
    }

    pub fn thaw(&self, index: usize) {
        self.members[index].thaw();
    }

    /// Of a group that was started on one.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("it was started on a network")
    }
}

/// A member that has not left: its port, and the options it starts with.
fn arguments_of(index: usize, seeds: &[String], more: &[&str]) -> Vec<String> {
    let (address, _) = seeds[index].split_once(':').expect("an address and a port");
    let own = [
        format!("--server-id={}", index + 1),
        "--gtid-mode=ON".to_owned(),
        "--enforce-gtid-consistency=ON".to_owned(),
        format!("--report-host={address}"),
        "--plugin-load-add=group_replication.so".to_owned(),
        format!("--loose-group-replication-group-name={NAME}"),
        "--loose-group-replication-start-on-boot=OFF".to_owned(),
        format!("--loose-group-replication-local-address={}", seeds[index]),
        format!("--loose-group-replication-group-seeds={}", seeds.join(",")),
        "--loose-group-replication-recovery-get-public-key=ON".to_owned(),
        "--loose-group-replication-member-weight=50".to_owned(),
    ];
    let more = more.iter().map(ToString::to_string);
    own.into_iter().chain(more).collect()
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
pub(crate) async fn look(member: &Instance) -> Option<Conn> {
    let options = Opts::from_url(member.root_url().expose_secret()).expect("a URL");
    let connected = tokio::time::timeout(LOOK_MAX, Conn::new(options)).await;
    connected.ok()?.ok()
}

/// The view that a member has of the group that it is in.
#[derive(Debug)]
struct View {
    own: String,
    primary: String,
    takes_writes: bool,
}

impl View {
    /// None of a member that is in no group, or sees no majority of it.
    async fn of(member: &Instance) -> Option<Self> {
        let asked = async {
            let mut conn = look(member).await?;
            let query = "SELECT @@server_uuid, MEMBER_ID, NOT @@GLOBAL.super_read_only, \
                (SELECT SUM(MEMBER_STATE = 'UNREACHABLE') * 2 < COUNT(*) \
                 FROM performance_schema.replication_group_members) \
                FROM performance_schema.replication_group_members \
                WHERE MEMBER_ROLE = 'PRIMARY' AND MEMBER_STATE = 'ONLINE'";
            let row: Option<Row> = conn.query_first(query).await.ok()?;
            let (own, primary, takes_writes, has_majority): (String, String, bool, Option<bool>) =
                mysql_async::from_row(row?);
            (has_majority == Some(true)).then_some(Self {
                own,
                primary,
                takes_writes,
            })
        };
        let asked = tokio::time::timeout(LOOK_MAX, asked).await;
        asked.ok().flatten()
    }
}

async fn run(conn: &mut Conn, statement: &str) {
    let done = conn.query_drop(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
