//! Instances for tests that break things: a mysqld of its own, and servers besides the one that the
//! harness starts.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::{Belay, RequestId, RetryPolicy, Role, Store};
use belay_server::auth::Authentication;
use belay_server::db::migrate;
use belay_server::grants::{Account, DatabaseName, GrantSet};
use belay_server::server::{Server, ServerSettings};
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::database::Database;
use crate::inside::Inside;
use crate::network::Host;
use crate::server::{BOOKMARK_INTERVAL, KEEP_ALL};
use crate::{HANG, SHOP, program, until};

/// The script that `make run` and `make test` start MySQL with.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/dev/mysql.sh");
/// The one database of a mysqld of its own.
const DATABASE: &str = "belay";
/// The account that serves it.
const SERVER: &str = "belay_serve";

/// A mysqld that belongs to one test, which may kill it. It ends with the test, also with one that
/// fails.
#[derive(Debug)]
pub struct Instance {
    folder: PathBuf,
    arguments: Vec<String>,
    site: Site,
    root: String,
}

/// The site of a mysqld, and which one it is.
#[derive(Debug)]
struct Site {
    /// The beginning of a command that is to run there, if that is not here.
    enter: Vec<String>,
    address: Ipv4Addr,
    environment: Vec<(&'static str, String)>,
}

impl Site {
    /// This machine, with the mysqld that the script finds.
    fn here(environment: Vec<(&'static str, String)>) -> Self {
        Self {
            enter: Vec::new(),
            address: Ipv4Addr::LOCALHOST,
            environment,
        }
    }
}

impl Instance {
    /// Starts one with a migrated database; `arguments` go to mysqld as they are.
    pub async fn start(arguments: &[&str]) -> Self {
        let instance = Self::bare(arguments.iter().map(ToString::to_string).collect()).await;
        instance.prepare().await;
        instance
    }

    /// Starts one that has no database yet.
    pub async fn bare(arguments: Vec<String>) -> Self {
        Self::launch(arguments, Site::here(Vec::new())).await
    }

    /// Starts one of what is found in an environment, such as another mysqld, without a database.
    pub async fn bare_in(environment: Vec<(&'static str, String)>, arguments: Vec<String>) -> Self {
        Self::launch(arguments, Site::here(environment)).await
    }

    /// Starts one on another host, without a database. Root may come to it from everywhere.
    pub async fn bare_on(host: &Host, mut arguments: Vec<String>) -> Self {
        arguments.push("--bind-address=*".to_owned());
        let site = Site {
            enter: host.enter(),
            address: host.address,
            environment: Vec::new(),
        };
        let instance = Self::launch(arguments, site).await;
        let root = "CREATE USER root@'%'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION";
        instance.script("client", &["--execute", root]).await;
        instance
    }

    async fn launch(arguments: Vec<String>, site: Site) -> Self {
        let folder = std::env::temp_dir().join(format!("belay-instance-{}", RequestId::mint()));
        let mut instance = Self {
            folder,
            arguments,
            site,
            root: String::new(),
        };
        instance.root = instance.script_start().await;
        instance
    }

    /// It starts with these from the next time on.
    pub fn set_arguments(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// Makes its database, migrated, and the account that serves it.
    pub async fn prepare(&self) {
        let mut connection = session(&self.root_url()).await;
        connection
            .query_drop(format!("CREATE DATABASE {DATABASE}"))
            .await
            .expect("a database can be created");
        migrate::run(&self.url())
            .await
            .expect("the database can be migrated");
        connection
            .query_drop(format!("CREATE USER {SERVER}"))
            .await
            .expect("an account can be created");
        let account = Account::parse(SERVER).expect("a name");
        let database = DatabaseName::parse(DATABASE).expect("a name");
        connection
            .query_drop(GrantSet::Serve.sql(&database, &account))
            .await
            .expect("it can be granted");
    }

    /// kill -9.
    pub async fn kill(&self) {
        self.script("kill", &[]).await;
    }

    /// SIGSTOP: its connections stay open and say nothing, as those of a machine that is cut off.
    ///
    /// The signal alone stops nothing at once: its threads go on until one of them is given a
    /// processor and hands it to the others. On a busy machine a mysqld would still answer
    /// meanwhile.
    pub async fn freeze(&self) {
        let pid = self.pid();
        signal("-STOP", pid);
        until("mysqld stops", async || is_stopped(pid).then_some(())).await;
    }

    pub fn thaw(&self) {
        signal("-CONT", self.pid());
    }

    /// After [`Self::kill`] or [`Self::stop`]: on the same port, with what was durable.
    pub async fn restart(&self) {
        let root = self.script_start().await;
        assert_eq!(root, self.root, "a killed mysqld comes back where it was");
    }

    /// The folder of its data, with the certificates that it has made for itself.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        let pid = fs::read_to_string(self.folder.join("mysqld.pid")).expect("it was started");
        pid.trim().parse().expect("a number")
    }

    /// Of the server, to no database.
    pub fn root_url(&self) -> SecretString {
        SecretString::from(self.root.clone())
    }

    /// Where it is found from here.
    pub fn place(&self) -> String {
        format!("{}:{}", self.site.address, self.port())
    }

    pub fn port(&self) -> u16 {
        let options = Opts::from_url(&self.root).expect("a URL");
        options.tcp_port()
    }

    /// A clean shutdown.
    pub async fn stop(&self) {
        self.script("stop", &[]).await;
    }

    /// The folder that has the tools of this MySQL: mysql, mysqldump and mysqlbinlog.
    pub async fn tools() -> PathBuf {
        let done = tokio::process::Command::new(SCRIPT)
            .arg("tools")
            .output()
            .await
            .expect("the script can be run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{SCRIPT} tools: {said}");
        PathBuf::from(String::from_utf8_lossy(&done.stdout).trim())
    }

    /// Of the database.
    pub fn url(&self) -> SecretString {
        SecretString::from(format!("{}/{DATABASE}", self.root))
    }

    /// For a server, which may do what [`GrantSet::Serve`] grants and nothing else.
    pub fn serve_url(&self) -> SecretString {
        let url = format!("{}/{DATABASE}", self.root);
        SecretString::from(url.replacen("root@", &format!("{SERVER}@"), 1))
    }

    /// The database as the harness sees one. Not to be held while mysqld is killed.
    pub async fn database(&self) -> Database {
        Database::open(self.url().expose_secret()).await
    }

    /// Its URL, for who calls from here.
    async fn script_start(&self) -> String {
        let arguments = self.arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = ["--"].into_iter().chain(arguments).collect();
        let root = self.script("start", &arguments).await;
        root.replacen("127.0.0.1", &self.site.address.to_string(), 1)
    }

    async fn script(&self, command: &str, arguments: &[&str]) -> String {
        let mut words = self.site.enter.iter().map(String::as_str).chain([SCRIPT]);
        let mut script = Command::new(words.next().expect("the script at least"));
        script.args(words).arg(command).arg(&self.folder);
        script.args(arguments).stdin(Stdio::null());
        // A small one, for it lives only some seconds.
        let environment = self.site.environment.iter();
        script
            .envs(environment.map(|(name, value)| (name, value)))
            .env("BELAY_MYSQL_BUFFER_POOL", "64M")
            .env("BELAY_MYSQL_REDO_LOG", "64M");
        let done = tokio::process::Command::from(script)
            .output()
            .await
            .expect("the script can be run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{SCRIPT} {command}: {said}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nobody needs its data: there is no clean end to wait for.
        let _ = Command::new(SCRIPT).arg("kill").arg(&self.folder).status();
        let _ = fs::remove_dir_all(&self.folder);
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

/// Whether each of its threads has stopped, as the third field of its `stat` says; the second is a
/// name in brackets.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// A Belay server in this process, on any database.
#[derive(Debug)]
pub struct Service {
    server: Server,
    belay: Belay,
}

impl Service {
    /// Starts one with the settings of the harness, which `change` may change.
    pub async fn start(database: SecretString, change: impl FnOnce(&mut ServerSettings)) -> Self {
        program::needs_its_own("it sets a server otherwise than flags do");
        let mut settings = ServerSettings::new(database, Authentication::Dev);
        settings.connections = 16;
        settings.feed.bookmark_interval = BOOKMARK_INTERVAL;
        settings.retention = KEEP_ALL;
        (settings.port.bounds.body_max, settings.port.stall_max) = (HANG, HANG);
        (settings.stop_notice, settings.drain_max) = (Duration::ZERO, HANG);
        settings.engine.wait_max = HANG;
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Server::start(settings, listener)
            .await
            .expect("the server starts");
        let belay = insistent(server.address());
        Self { server, belay }
    }

    /// Creates the store [`SHOP`] on a database that has none.
    pub async fn create_shop(&self) {
        let operator = self
            .belay
            .with_role(Role::Operator, "ops")
            .expect("a role to call in");
        operator
            .create_store(SHOP, FirstPolicy::preset("independent-site"))
            .await
            .expect("a store");
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it takes calls over HTTP, if it does.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.server.http_address()
    }

    /// Of its port for administration, if it has one.
    pub fn administration_address(&self) -> Option<SocketAddr> {
        self.server.administration_address()
    }

    /// Of its admin port, if that is open.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.server.admin_address()
    }

    pub fn inside(&self) -> Inside {
        Inside::of(&self.server)
    }

    /// A client that insists; see [`insistent`].
    pub fn belay(&self) -> &Belay {
        &self.belay
    }

    pub fn storefront(&self) -> Store {
        storefront(&self.belay)
    }

    pub fn payments(&self) -> Store {
        payments(&self.belay)
    }

    /// For a test that looks at how it stops.
    pub fn into_server(self) -> Server {
        self.server
    }

    /// No call is cut: where one does not end, the stop does not either.
    pub async fn stop(self) {
        assert_eq!(self.server.stop().await.cut_calls, 0, "calls were cut");
    }
}

/// The health service of a server, as a balancer calls it.
#[derive(Debug, Clone)]
pub struct Health {
    channel: Channel,
}

impl Health {
    /// Connects when it is first needed.
    pub fn of(address: SocketAddr) -> Self {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        Self {
            channel: endpoint.connect_lazy(),
        }
    }

    /// What the server says of a service; the empty name is the server as a whole.
    pub async fn is_serving(&mut self, service: &str) -> bool {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(self.channel.clone()).check(request).await;
        answer
            .unwrap_or_else(|status| panic!("{service}: {status}"))
            .into_inner()
            .status()
            == ServingStatus::Serving
    }

    pub async fn watch(&mut self, service: &str) -> Watch {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(self.channel.clone()).watch(request).await;
        Watch(
            answer
                .unwrap_or_else(|status| panic!("{service}: {status}"))
                .into_inner(),
        )
    }

    /// A stream of questions about the server that is open, and asks nothing more.
    pub async fn reflection(&mut self) -> Streaming<ServerReflectionResponse> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let open = stream::iter([request]).chain(stream::pending());
        let answer = ServerReflectionClient::new(self.channel.clone())
            .server_reflection_info(open)
            .await;
        let mut answers = answer.expect("reflection is on").into_inner();
        answers.message().await.expect("an answer");
        answers
    }
}

/// A stream of what a server says of its health.
#[derive(Debug)]
pub struct Watch(Streaming<HealthCheckResponse>);

impl Watch {
    /// Whether it serves; none once the stream has ended as it should.
    pub async fn next(&mut self) -> Option<bool> {
        let answer = self.0.message().await.expect("it ends in order");
        answer.map(|answer| answer.status() == ServingStatus::Serving)
    }
}

/// A hold of every lane of the servers on a database, right before its COMMIT, for as long as it
/// takes. A lock of a row would be waited for no longer than the session of a server waits for
/// locks, and that would be a second clock; a lock of the table has no such bound. The server's own
/// wait for the database must be [`HANG`].
#[derive(Debug)]
pub struct HeldLanes {
    holder: Conn,
}

impl HeldLanes {
    pub async fn hold(database: &SecretString) -> Self {
        let mut holder = session(database).await;
        holder
            .query_drop("LOCK TABLES partition_heads WRITE")
            .await
            .expect("a table can be locked");
        Self { holder }
    }

    /// Waits until so many lanes stand before the lock, each with a batch that it has begun.
    pub async fn until_held(database: &Database, lanes: u64) {
        until("lanes are held up", async || {
            // A look at the database's health waits as well, but has no order in its hands.
            let sql = "SELECT COUNT(DISTINCT owner_thread_id) FROM performance_schema.metadata_locks heads \
                JOIN performance_schema.metadata_locks orders USING (owner_thread_id, object_schema) \
                WHERE object_schema = DATABASE() AND heads.object_name = 'partition_heads' \
                AND heads.lock_status = 'PENDING' AND orders.object_name = 'orders' AND orders.lock_status = 'GRANTED'";
            let (waiting,): (u64,) = database.row(sql, ()).await;
            (waiting >= lanes).then_some(())
        })
        .await;
    }

    pub async fn release(mut self) {
        self.holder
            .query_drop("UNLOCK TABLES")
            .await
            .expect("the lock can be released");
    }
}

/// A session of somebody who goes past Belay.
pub async fn session(database: &SecretString) -> Conn {
    let options = Opts::from_url(database.expose_secret()).expect("a URL of MySQL");
    Conn::new(options).await.expect("MySQL answers")
}

/// A client that repeats what may be repeated for as long as it takes.
pub fn insistent(address: SocketAddr) -> Belay {
    let retry = RetryPolicy::default()
        .with_attempts_max(u32::MAX)
        .with_budget(100, 1_000_000);
    let builder = Belay::builder(format!("http://{address}"))
        .timeout(HANG)
        .attempt_timeout(HANG)
        .retry(retry);
    builder.build().expect("a client")
}

/// A client that repeats nothing: what it is told is what the server said.
pub fn literal(address: SocketAddr) -> Belay {
    let builder = Belay::builder(format!("http://{address}"))
        .timeout(HANG)
        .attempt_timeout(HANG)
        .retry(RetryPolicy::never());
    builder.build().expect("a client")
}

/// The calls that the harness's storefront makes, by another client.
pub fn storefront(belay: &Belay) -> Store {
    belay
        .with_role(Role::Storefront, "web")
        .expect("a role to call in")
        .store(SHOP)
}

pub fn payments(belay: &Belay) -> Store {
    belay
        .with_role(Role::Payments, "psp")
        .expect("a role to call in")
        .store(SHOP)
}

pub fn warehouse(belay: &Belay) -> Store {
    belay
        .with_role(Role::Warehouse, "main")
        .expect("a role to call in")
        .store(SHOP)
}
