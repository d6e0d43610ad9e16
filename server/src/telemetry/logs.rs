//! The log: lines on standard error, written by a thread of their own.
//!
//! Every write has a line, so whoever reads the log must not be able to hold up the server: a line
//! that finds the queue full is dropped and counted. The thread writes all lines that wait with one
//! call to the system.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use opentelemetry::trace::TraceId;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces::current_trace_id;

/// Lines that wait to be written; one more is dropped.
pub const LINES_MAX: usize = 8_192;
/// Bytes that are written at once, unless a single line is longer.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// How long the end of the process waits for a reader of the log that has stopped reading.
const LAST_LINES_MAX: Duration = Duration::from_secs(1);
/// What is logged where `RUST_LOG` is not set. The libraries of OpenTelemetry would log every batch
/// that cannot be sent; `traces` says so once.
const FILTER: &str = "info,opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,opentelemetry-prometheus=off";

/// Spans are for `traces`; the log has their ids.
const NO_SPANS: &str = "belay::spans=off";
/// The field of a line that tells its trace.
const TRACE_ID: &str = "trace.id";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The thread that writes. Dropping it writes what is left.
#[derive(Debug)]
pub struct Logs {
    lines: SyncSender<WriterCommand>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum WriterCommand {
    Write(Vec<u8>),
    /// Writes what came before, answers, and writes no more.
    End(SyncSender<()>),
}

impl Logs {
    /// Installs the subscriber of this process, with the layer of its traces. `RUST_LOG` says what
    /// is logged.
    pub(super) fn start(
        format: LogFormat,
        traces: impl Layer<Registry> + Send + Sync,
    ) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
        let filter = filter.add_directive(NO_SPANS.parse()?);
        let (lines, waiting) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn({
                let dropped = dropped.clone();
                move || write(&waiting, &dropped)
            })
            .context("the thread of the log")?;
        let queue = Queue {
            lines: lines.clone(),
            dropped: dropped.clone(),
        };
        let is_terminal = io::stderr().is_terminal();
        tracing_subscriber::registry()
            .with(traces)
            .with(layer(format, queue, is_terminal).with_filter(filter))
            .try_init()
            .context("a subscriber is installed already")?;
        Ok(Self {
            lines,
            dropped,
            thread: Some(thread),
        })
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let (ended, end) = sync_channel(1);
        // A full queue has a reader that does not read.
        if self.lines.try_send(WriterCommand::End(ended)).is_ok()
            && end.recv_timeout(LAST_LINES_MAX).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn layer<S>(format: LogFormat, queue: Queue, is_terminal: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(queue);
    match format {
        LogFormat::Text => {
            let text = Format::default().with_ansi(is_terminal);
            layer.event_format(TracedText(text)).boxed()
        }
        LogFormat::Json => {
            let layer = layer.fmt_fields(JsonFields::new());
            let json = Format::default().json();
            layer.event_format(TracedJson(json)).boxed()
        }
    }
}

/// Text whose lines end with the trace that they were logged in.
struct TracedText(Format<Full>);

/// JSON whose lines begin with the trace that they were logged in.
struct TracedJson(Format<Json>);

/// Of the trace that is being worked in; none where the line tells it itself.
fn untold_trace(event: &Event<'_>) -> Option<TraceId> {
    let is_told = event.fields().any(|field| field.name() == TRACE_ID);
    current_trace_id().filter(|_| !is_told)
}

impl<S, N> FormatEvent<S, N> for TracedText
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(trace_id) = untold_trace(event) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} {TRACE_ID}={trace_id}", line.trim_end())
    }
}

impl<S, N> FormatEvent<S, N> for TracedJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(trace_id) = untold_trace(event) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        // An object that is not empty: each line has its level.
        let members = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(writer, "{{\"{TRACE_ID}\":\"{trace_id}\",{members}")
    }
}

/// The place where lines are put.
#[derive(Debug, Clone)]
struct Queue {
    lines: SyncSender<WriterCommand>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> &'a Queue {
        self
    }
}

impl io::Write for &Queue {
    /// A whole line: the formatter writes each at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.try_send(WriterCommand::Write(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // At the end of the process there is nobody left to tell.
            Err(TrySendError::Disconnected(_)) => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs until it is told to end.
fn write(waiting: &Receiver<WriterCommand>, dropped: &AtomicU64) {
    let (mut bytes, mut told) = (Vec::new(), 0);
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                WriterCommand::Write(line) => bytes.extend_from_slice(&line),
                WriterCommand::End(ended) => {
                    put(&mut bytes);
                    let _ = ended.try_send(());
                    return;
                }
            }
            next = if bytes.len() < WRITE_BYTES_MAX {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        put(&mut bytes);
        let so_far = dropped.load(Ordering::Relaxed);
        if so_far > told {
            let lines = so_far - told;
            told = so_far;
            tracing::warn!(
                lines,
                "lines of the log were dropped: they are not read as fast as they come"
            );
        }
    }
}

fn put(bytes: &mut Vec<u8>) {
    // There is no other place where a failure to log could be told.
    let _ = io::stderr().write_all(bytes);
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use tracing::Span;

    use super::super::traces::CallSpan;
    use super::*;

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up() {
        let (lines, waiting) = sync_channel(2);
        let queue = Queue {
            lines,
            dropped: Arc::default(),
        };
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            (&queue).write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 2);
        assert!(matches!(waiting.recv(), Ok(WriterCommand::Write(line)) if line == b"one\n"));
        (&queue).write_all(b"five\n").unwrap();
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_line_tells_the_trace_that_it_is_logged_in_once() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (lines, waiting) = sync_channel(8);
            let queue = Queue {
                lines,
                dropped: Arc::default(),
            };
            let subscriber = tracing_subscriber::registry().with(layer(format, queue, false));
            let next = || match waiting.try_recv() {
                Ok(WriterCommand::Write(line)) => String::from_utf8(line).unwrap(),
                other => panic!("{other:?}"),
            };
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("outside");
                assert!(!next().contains(TRACE_ID));
                let call = CallSpan::begin(Span::none(), Context::new());
                let id = call.in_scope(current_trace_id).unwrap().to_string();
                call.in_scope(|| tracing::info!(target: "library", rows = 3, "inside"));
                let line = next();
                assert!(line.contains("inside") && line.ends_with('\n'), "{line}");
                assert_eq!(line.matches(&id).count(), 1, "{line}");
                if format == LogFormat::Json {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(line[TRACE_ID], id);
                    assert_eq!(line["fields"]["rows"], 3);
                }
                call.in_scope(|| tracing::info!(trace.id = id, "itself"));
                let line = next();
                assert_eq!(line.matches(&id).count(), 1, "{line}");
            });
        }
    }
}
