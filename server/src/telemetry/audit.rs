//! The audit log: one record for each write, for each call that was refused and for each read of
//! personal data, as a JSON object a line. It is never sampled and holds no secrets and no texts:
//! ids, and what came of it.
//!
//! A thread of its own writes it. Where the file cannot be written to, what waits is tried again
//! until it can; what does not fit into the queue meanwhile is dropped and counted, and the first
//! record after it says how many. No call waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use belay_domain::ids::{OrderId, StoreId};
use belay_domain::scope::{Caller, IdFilter};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// Records that wait to be written; one more is dropped.
pub const RECORDS_MAX: usize = 8_192;
/// Ids of one dimension of a scope that a record tells.
pub const SCOPE_IDS_TOLD_MAX: usize = 16;
/// Bytes that are written at once, unless a single record is longer.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Between two attempts to write what could not be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of the process waits for what is left to be written.
const LAST_RECORDS_MAX: Duration = Duration::from_secs(5);
/// Whoever may read the file is chosen by who owns it.
const FILE_MODE: u32 = 0o600;

/// The place of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    Off,
    StandardOutput,
    /// Appended to, and opened anew on SIGHUP.
    File(PathBuf),
}

impl FromStr for AuditTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("must be a file, stdout or off".to_owned()),
            "off" => Ok(Self::Off),
            "stdout" => Ok(Self::StandardOutput),
            file => Ok(Self::File(file.into())),
        }
    }
}

/// A call, as its record tells it.
#[derive(Debug)]
pub(crate) struct AuditRecord<'a> {
    pub(crate) method: &'static str,
    pub(crate) is_read: bool,
    /// What personal data the method gives out or looks for.
    pub(crate) personal: &'static [Personal],
    pub(crate) code: &'static str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) store: Option<&'a StoreId>,
    pub(crate) order: Option<&'a OrderId>,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) trace_id: String,
}

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Personal {
    /// The id of a buyer, of an order or as the requester of something.
    BuyerId,
    /// What somebody wrote about an order, a cancellation or an incident.
    Note,
    /// What integrators keep with an order or a cancellation.
    Metadata,
    /// Where proof is to be found.
    Evidence,
    /// A buyer is looked for, by id, e-mail address or user name.
    BuyerLookup,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    access: &'static str,
    method: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "<[Personal]>::is_empty")]
    personal: &'static [Personal],
    trace_id: &'a str,
}

#[derive(Serialize)]
struct ScopeLine<'a> {
    stores: IdsLine<'a>,
    sellers: IdsLine<'a>,
    warehouses: IdsLine<'a>,
    carriers: IdsLine<'a>,
}

/// The ids of a dimension, which may be more than are told.
#[derive(Serialize)]
#[serde(untagged)]
enum IdsLine<'a> {
    All(&'static str),
    Only { only: Vec<&'a str>, more: usize },
}

impl<'a> IdsLine<'a> {
    fn of<T: AsRef<str>>(filter: &'a IdFilter<T>) -> Self {
        match filter {
            IdFilter::All => IdsLine::All("ALL"),
            IdFilter::Only(ids) => IdsLine::Only {
                only: ids
                    .iter()
                    .take(SCOPE_IDS_TOLD_MAX)
                    .map(AsRef::as_ref)
                    .collect(),
                more: ids.len().saturating_sub(SCOPE_IDS_TOLD_MAX),
            },
        }
    }
}

/// The audit log as those see it who write to it. Cloning it shares it.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Queue>);

#[derive(Debug, Clone)]
struct Queue {
    commands: SyncSender<Command>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Command {
    Write(String),
    Reopen,
    /// Writes what waits, says so and ends.
    End(SyncSender<()>),
}

impl Audit {
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn record(&self, record: &AuditRecord<'_>) {
        let Some(queue) = &self.0 else { return };
        let caller = record.caller;
        let line = Line {
            time: now(),
            access: if record.is_read { "READ" } else { "WRITE" },
            method: record.method,
            code: record.code,
            reason: record.reason,
            role: caller.map(|caller| caller.actor.role.to_string()),
            actor: caller.map(|caller| caller.actor.id.as_str()),
            scope: caller.map(|Caller { scope, .. }| ScopeLine {
                stores: IdsLine::of(&scope.stores),
                sellers: IdsLine::of(&scope.sellers),
                warehouses: IdsLine::of(&scope.warehouses),
                carriers: IdsLine::of(&scope.carriers),
            }),
            peer: record.peer,
            store: record.store.map(StoreId::as_str),
            order: record.order.map(OrderId::as_str),
            request_id: record.request_id.map(|id| id.to_string()),
            personal: record.personal,
            trace_id: &record.trace_id,
        };
        let mut line = serde_json::to_string(&line)
            .unwrap_or_else(|error| panic!("a record is plain data: {error}"));
        line.push('\n');
        match queue.commands.try_send(Command::Write(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                queue.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Has the file opened anew: it was moved away.
    pub fn reopen(&self) {
        if let Some(queue) = &self.0 {
            // Where the queue is full, whoever moved the file asks again.
            let _ = queue.commands.try_send(Command::Reopen);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a record says when this machine wrote it; nothing is decided by it"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The thread that writes. Dropping it writes what is left.
#[derive(Debug)]
pub struct AuditLog {
    queue: Option<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl AuditLog {
    /// # Errors
    /// Where the file cannot be opened.
    pub fn start(target: &AuditTarget) -> anyhow::Result<Self> {
        let sink = match target {
            AuditTarget::Off => {
                return Ok(Self {
                    queue: None,
                    thread: None,
                });
            }
            AuditTarget::StandardOutput => Sink::StandardOutput,
            AuditTarget::File(path) => Sink::File {
                file: open(path).with_context(|| {
                    format!("the audit log {} cannot be opened", path.display())
                })?,
                path: path.clone(),
            },
        };
        let (commands, waiting) = sync_channel(RECORDS_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer::new(sink, dropped.clone());
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&waiting))
            .context("the thread of the audit log")?;
        Ok(Self {
            queue: Some(Queue { commands, dropped }),
            thread: Some(thread),
        })
    }

    pub fn audit(&self) -> Audit {
        Audit(self.queue.clone())
    }

    /// How many records were dropped so far.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.queue
            .as_ref()
            .map(|queue| queue.dropped.clone())
            .unwrap_or_default()
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        let (Some(queue), Some(thread)) = (self.queue.take(), self.thread.take()) else {
            return;
        };
        let (ended, end) = sync_channel(1);
        // A full queue has a writer that cannot write.
        if queue.commands.try_send(Command::End(ended)).is_ok()
            && end.recv_timeout(LAST_RECORDS_MAX).is_ok()
        {
            let _ = thread.join();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(FILE_MODE).open(path)
}

/// The place that is written to.
enum Sink {
    StandardOutput,
    File {
        file: File,
        path: PathBuf,
    },
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::StandardOutput => {
                let mut out = io::stdout().lock();
                let written = out.write(bytes)?;
                out.flush()?;
                Ok(written)
            }
            Sink::File { file, .. } => file.write(bytes),
            #[cfg(test)]
            Sink::Test(sink) => sink.write(bytes),
        }
    }

    /// Goes on with the old one where the new one cannot be had.
    fn reopen(&mut self) {
        if let Sink::File { file, path } = self {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => {
                    tracing::error!(%error, file = %path.display(), "the audit log cannot be opened anew");
                }
            }
        }
    }
}

struct Writer {
    sink: Sink,
    dropped: Arc<AtomicU64>,
    /// Of the dropped records, those that the log tells of.
    told: u64,
    /// What is to be written, from the beginning of a record or from where a write broke off.
    bytes: Vec<u8>,
    is_failing: bool,
}

impl Writer {
    fn new(sink: Sink, dropped: Arc<AtomicU64>) -> Self {
        Self {
            sink,
            dropped,
            told: 0,
            bytes: Vec::new(),
            is_failing: false,
        }
    }

    /// Runs until it is told to end, or nobody is left who could tell it.
    fn run(&mut self, waiting: &Receiver<Command>) {
        loop {
            // What is left over comes first; it is tried again now and then.
            if !self.bytes.is_empty() {
                self.put();
            }
            let next = if self.bytes.is_empty() {
                waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if self.bytes.len() >= WRITE_BYTES_MAX {
                std::thread::sleep(RETRY_INTERVAL);
                continue;
            } else {
                waiting.recv_timeout(RETRY_INTERVAL)
            };
            match next {
                Ok(command) => {
                    if self.obey(command) || self.fill(waiting) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.put();
                    return;
                }
            }
        }
    }

    /// Takes what waits, as much as one write holds. Whether it ends.
    fn fill(&mut self, waiting: &Receiver<Command>) -> bool {
        while self.bytes.len() < WRITE_BYTES_MAX {
            let Ok(command) = waiting.try_recv() else {
                break;
            };
            if self.obey(command) {
                return true;
            }
        }
        false
    }

    /// Whether it ends.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Write(line) => self.add(&line),
            Command::Reopen => {
                self.put();
                self.sink.reopen();
            }
            Command::End(ended) => {
                self.put();
                let _ = ended.try_send(());
                return true;
            }
        }
        false
    }

    /// What was dropped before a record stands before it.
    fn add(&mut self, line: &str) {
        let so_far = self.dropped.load(Ordering::Relaxed);
        if so_far > self.told {
            let gap = serde_json::json!({"time": now(), "dropped_records": so_far - self.told});
            self.bytes.extend_from_slice(format!("{gap}\n").as_bytes());
            self.told = so_far;
        }
        self.bytes.extend_from_slice(line.as_bytes());
    }

    /// Writes as much as can be written.
    fn put(&mut self) {
        let mut from = 0;
        let failure = loop {
            match self.bytes.get(from..) {
                None | Some([]) => break None,
                Some(rest) => match self.sink.write(rest) {
                    Ok(0) => break Some(io::Error::from(io::ErrorKind::WriteZero)),
                    Ok(written) => from += written,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => break Some(error),
                },
            }
        };
        self.bytes.drain(..from);
        match failure {
            Some(error) if !self.is_failing => {
                tracing::error!(
                    %error,
                    "the audit log cannot be written; calls go on, and records beyond {RECORDS_MAX} that wait are dropped \
                     and counted"
                );
                self.is_failing = true;
            }
            None if self.is_failing => {
                tracing::warn!("the audit log is written again");
                self.is_failing = false;
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
