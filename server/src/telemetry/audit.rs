//! The audit log: one record for each write, for each call that was refused and for each read of personal
//! data, as a JSON object a line. It is never sampled and holds no secrets and no texts: ids, and what came of it.
//!
//! A thread of its own writes it. Where the file cannot be written to, what waits is tried again until it can; what does
//! not fit into the queue meanwhile is dropped and counted, and the first record after it says how many. No call waits.

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
                Ok(Command::Write(line)) => {
                    self.add(&line);
                    while self.bytes.len() < WRITE_BYTES_MAX {
                        match waiting.try_recv() {
                            Ok(Command::Write(line)) => self.add(&line),
                            Ok(command) => {
                                if self.obey(command) {
                                    return;
                                }
                            }
                            Err(_) => break,
                        }
                    }
                }
                Ok(command) => {
                    if self.obey(command) {
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
mod tests {
    use std::sync::{Mutex, PoisonError};

    use belay_domain::actor::{Actor, Role};
    use belay_domain::ids::SellerId;
    use belay_domain::scope::Scope;
    use serde_json::{Value, json};

    use super::*;

    /// A disk with so much room.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn add_room(&self, bytes: usize) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += bytes;
        }

        fn text(&self) -> String {
            let disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8(disk.1.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = bytes.len().min(disk.0);
            if fits == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            disk.0 -= fits;
            disk.1.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record<'a>(caller: Option<&'a Caller>) -> AuditRecord<'a> {
        AuditRecord {
            method: "belay.v1.OrderService/GetOrder",
            is_read: true,
            personal: &[Personal::BuyerId, Personal::Note],
            code: "OK",
            reason: None,
            caller,
            peer: Some(([10, 0, 0, 7], 4321).into()),
            store: None,
            order: None,
            request_id: None,
            trace_id: "t".to_owned(),
        }
    }

    fn queue(length: usize) -> (Audit, Receiver<Command>, Arc<AtomicU64>) {
        let (commands, waiting) = sync_channel(length);
        let dropped = Arc::<AtomicU64>::default();
        let queue = Queue {
            commands,
            dropped: dropped.clone(),
        };
        (Audit(Some(queue)), waiting, dropped)
    }

    #[test]
    fn a_record_tells_who_what_and_how_far_they_see() {
        let (audit, waiting, _) = queue(1);
        let sellers = (10..30).map(|id| SellerId::parse(format!("s{id}")).unwrap());
        let caller = Caller {
            actor: Actor::new(Role::Seller, "acme"),
            scope: Scope {
                sellers: IdFilter::Only(sellers.collect()),
                ..Scope::EVERYTHING
            },
        };
        audit.record(&record(Some(&caller)));
        let Ok(Command::Write(line)) = waiting.try_recv() else {
            panic!("no record")
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["access"], "READ");
        assert_eq!(line["role"], "SELLER");
        assert_eq!(line["actor"], "acme");
        assert_eq!(line["peer"], "10.0.0.7:4321");
        assert_eq!(line["personal"], json!(["BUYER_ID", "NOTE"]));
        assert_eq!(line["scope"]["stores"], "ALL");
        let sellers = &line["scope"]["sellers"];
        assert_eq!(
            sellers["only"].as_array().unwrap().len(),
            SCOPE_IDS_TOLD_MAX
        );
        assert_eq!(sellers["more"], 4);
    }

    #[test]
    fn a_full_disk_holds_nobody_up_and_loses_nothing_that_waits() {
        let (audit, waiting, dropped) = queue(3);
        let disk = Disk::default();
        let mut writer = Writer::new(Sink::Test(Box::new(disk.clone())), dropped.clone());
        let add_waiting = |writer: &mut Writer| {
            while let Ok(command) = waiting.try_recv() {
                assert!(!writer.obey(command));
            }
        };
        // There is room for the beginning of a record.
        disk.add_room(10);
        audit.record(&record(None));
        add_waiting(&mut writer);
        writer.put();
        assert!(writer.is_failing);
        assert_eq!(disk.text().len(), 10);
        // The queue takes three, and the fourth and the fifth are dropped.
        (0..5).for_each(|_| audit.record(&record(None)));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        disk.add_room(1_000_000);
        writer.put();
        assert!(!writer.is_failing);
        add_waiting(&mut writer);
        writer.put();
        let text = disk.text();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("whole records"))
            .collect();
        assert_eq!(lines.len(), 5);
        let gaps: Vec<&Value> = lines
            .iter()
            .filter(|line| line["method"].is_null())
            .collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0]["dropped_records"], 2);
    }

    #[test]
    fn a_file_is_appended_to_and_opened_anew() {
        let file = std::env::temp_dir().join(format!("belay-audit-{}", Uuid::from_u128(7)));
        let moved = file.with_extension("1");
        let _ = std::fs::remove_file(&file);
        let log = AuditLog::start(&AuditTarget::File(file.clone())).unwrap();
        let audit = log.audit();
        audit.record(&record(None));
        std::fs::rename(&file, &moved).unwrap();
        audit.reopen();
        audit.record(&record(None));
        drop(log);
        let lines = |file: &Path| std::fs::read_to_string(file).unwrap().lines().count();
        assert_eq!((lines(&moved), lines(&file)), (1, 1));
        let again = AuditLog::start(&AuditTarget::File(file.clone())).unwrap();
        again.audit().record(&record(None));
        drop(again);
        assert_eq!(lines(&file), 2);
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&moved).unwrap();
        assert!(!AuditLog::start(&AuditTarget::Off).unwrap().audit().is_on());
    }

    #[test]
    fn a_target_is_a_file_standard_output_or_nothing() {
        let of = |text: &str| text.parse::<AuditTarget>();
        assert_eq!(of("off"), Ok(AuditTarget::Off));
        assert_eq!(of("stdout"), Ok(AuditTarget::StandardOutput));
        assert_eq!(of("/var/a"), Ok(AuditTarget::File("/var/a".into())));
        assert!(of("").is_err());
    }
}
