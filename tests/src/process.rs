//! Programs of this workspace, each in a process of its own: for what a server tells its
//! surroundings.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxies::Backend;
use crate::{program, until};

/// A free port of this machine.
const FREE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
const ANYWHERE: Backend = Backend {
    address: FREE,
    admin: FREE,
};

/// A program that is built together with the tests, or the other one that is to be tried.
pub fn built(name: &str) -> PathBuf {
    if name == "belay"
        && let Some(other) = program::other()
    {
        return other.to_owned();
    }
    let this = std::env::current_exe().expect("a path");
    // Tests are in target/debug/deps, programs above it.
    let above = this.parent().and_then(|folder| match folder.file_name() {
        Some(name) if name == "deps" => folder.parent(),
        _ => Some(folder),
    });
    let path = above.expect("target/debug").join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace --bins --examples` first",
        path.display()
    );
    path
}

/// A running program and the lines it has written. It is killed with the test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// With what is set on `command`, and nothing to read.
    pub fn start(mut command: Command) -> Self {
        let piped = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it can be run");
        let lines = Arc::default();
        let out = child.stdout.take().expect("a pipe");
        let err = child.stderr.take().expect("a pipe");
        let readers = vec![read(out, &lines), read(err, &lines)];
        Self {
            child,
            lines,
            readers,
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits for a line that `find` finds something in.
    pub async fn until_said<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        until(what, async || {
            let found = self.lines().iter().find_map(|line| find(line));
            if found.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("{what}: it has ended with {status}: {}", self.said());
            }
            found
        })
        .await
    }

    /// From now on it may have no more descriptors than it has, and so many more.
    pub fn allow_descriptors(&self, more: usize) {
        let id = self.child.id();
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
        let open: BTreeSet<usize> = open
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // Every number below the limit may be taken, also those between the open ones.
        let mut free = (0..).filter(|number| !open.contains(number));
        let limit: usize = free.nth(more).expect("there is no end of numbers");
        let told = Command::new("prlimit")
            .args([format!("--pid={id}"), format!("--nofile={limit}")])
            .status();
        assert!(told.expect("there is prlimit").success());
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it has and does not share.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        let kib: u64 = kib.and_then(|text| text.parse().ok()).expect("a number");
        kib * 1024
    }

    /// As a service manager does it.
    pub fn tell_to_stop(&self) {
        self.signal("-TERM");
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, signal: &str) {
        let told = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(told.expect("there is kill").success());
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// After it was told to stop: how it ended, and all that it has written.
    pub async fn end(mut self) -> (ExitStatus, String) {
        let status = until("it ends", async || {
            self.child.try_wait().expect("it is ours")
        })
        .await;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader ends with its pipe");
        }
        (status, self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    })
}

/// The binary `belay` as a server.
#[derive(Debug)]
pub struct BelayProcess {
    pub running: Running,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl BelayProcess {
    /// On free ports, with a log in JSON and all reads in it.
    pub async fn start(
        database: &SecretString,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::start_as(
            Command::new(built("belay")),
            ANYWHERE,
            (database, arguments, environment),
        )
        .await
    }

    /// Any release of it, at an address of one's choice.
    pub async fn start_at(
        program: &Path,
        place: Backend,
        database: &SecretString,
        arguments: &[&str],
    ) -> Self {
        Self::start_as(Command::new(program), place, (database, arguments, &[])).await
    }

    /// Where a proxy finds it.
    pub fn backend(&self) -> Backend {
        Backend {
            address: self.address,
            admin: self.admin,
        }
    }

    /// The same, with no more descriptors than these.
    pub async fn start_with_descriptors(
        descriptors: u64,
        database: &SecretString,
        arguments: &[&str],
    ) -> Self {
        let mut limited = Command::new("prlimit");
        limited
            .arg(format!("--nofile={descriptors}"))
            .arg(built("belay"));
        let path = std::env::var("PATH").unwrap_or_default();
        let environment: &[(&str, &str)] = &[("PATH", &path)];
        Self::start_as(limited, ANYWHERE, (database, arguments, environment)).await
    }

    async fn start_as(
        mut belay: Command,
        place: Backend,
        (database, arguments, environment): (&SecretString, &[&str], &[(&str, &str)]),
    ) -> Self {
        belay
            .args(arguments)
            .args(["--grpc-address", &place.address.to_string()])
            .args(["--admin-listen", &place.admin.to_string()])
            .args(["--log-format", "json", "--log-reads", "1"])
            .env_clear()
            .env("BELAY_DATABASE_URL", database.expose_secret())
            .envs(environment.iter().copied());
        let mut running = Running::start(belay);
        let address = |line: &str, message: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let fields = line.get("fields")?;
            let is_it = fields.get("message")?.as_str()? == message;
            is_it.then(|| fields.get("address")?.as_str()?.parse().ok())?
        };
        let admin = running
            .until_said("the admin port opens", |line| {
                address(line, "the admin port is open")
            })
            .await;
        let address = running
            .until_said("it serves", |line| address(line, "serving"))
            .await;
        Self {
            running,
            address,
            admin,
        }
    }

    /// The messages of the log that `is_it` wants.
    pub fn messages(&self, is_it: impl Fn(&str) -> bool) -> usize {
        let said = self.running.said();
        let lines = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let message = |line: Value| line["fields"]["message"].as_str().is_some_and(&is_it);
        lines.filter(|line| message(Value::clone(line))).count()
    }

    /// What the log says of calls.
    pub fn calls(&self) -> Vec<Value> {
        calls(&self.running.said())
    }

    /// Asks the admin port.
    pub async fn get(&self, path: &str) -> HttpAnswer {
        HttpAnswer::to(
            self.admin,
            &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"),
        )
        .await
        .expect("the admin port answers")
    }
}

/// The fields of those lines of a log in JSON that are about calls.
pub fn calls(said: &str) -> Vec<Value> {
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["target"] == "belay::calls")
        .map(|line| line["fields"].clone())
        .collect()
}

/// An answer in HTTP/1.1, as it came.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    /// The head as it came.
    pub original: String,
    pub body: String,
}

impl HttpAnswer {
    /// To these bytes, up to the end of the connection; none where nothing came.
    pub async fn to(address: SocketAddr, request: &str) -> Option<Self> {
        let mut connection = TcpStream::connect(address).await.ok()?;
        // It may be refused before all of it is sent.
        let _ = connection.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self {
            status,
            head: head.to_lowercase(),
            original: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

/// A collector of traces in a process of its own.
#[derive(Debug)]
pub struct Collector {
    running: Running,
    pub endpoint: String,
}

impl Collector {
    pub async fn start() -> Self {
        let mut collector = Command::new(built("collector"));
        collector.env_clear();
        let mut running = Running::start(collector);
        let endpoint = running
            .until_said("the collector listens", |line| {
                line.strip_prefix("listening on ").map(str::to_owned)
            })
            .await;
        Self { running, endpoint }
    }

    /// All spans that came so far.
    pub fn spans(&self) -> Vec<Value> {
        let said = self.running.said();
        let lines = said.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).expect("a span a line"))
            .collect()
    }

    /// Waits for a span.
    pub async fn until_span(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(what, async || self.spans().into_iter().find(&is_it)).await
    }
}
