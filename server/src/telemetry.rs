//! Telemetry: log lines, traces and metrics.
//!
//! Spans are those of `tracing` and instruments are OpenTelemetry's. The span of a call travels
//! with the call's future, and whoever works for the call finds it there. Nothing here knows what a
//! call means, and nothing here fails or delays one: what cannot be told is dropped and counted.

pub mod audit;
mod bounded_names;
pub mod calls;
pub mod deliveries;
pub mod instruments;
pub(crate) mod logins;
pub mod logs;
pub mod metrics;
pub mod port;
pub(crate) mod runtime;
pub(crate) mod secondary_reads;
pub mod tls;
pub mod traces;

use self::audit::Audit;
use self::calls::CallLines;
use self::logs::{LogFormat, Logs};
use self::metrics::Metrics;
use self::traces::Traces;

/// The telemetry that the parts of one server share. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    pub metrics: Metrics,
    pub(crate) lines: CallLines,
    pub(crate) audit: Audit,
}

impl Telemetry {
    /// Metrics and lines of its own. Spans go where the process sends them.
    pub fn local() -> Self {
        Self {
            metrics: Metrics::new(),
            lines: CallLines::default(),
            audit: Audit::default(),
        }
    }

    /// One of so many successful reads has a line in the log; 0 is none.
    #[must_use]
    pub fn logging_reads(mut self, one_of: u32) -> Self {
        self.lines = CallLines::new(one_of);
        self
    }

    /// Calls have their records in this audit log.
    #[must_use]
    pub fn auditing(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }
}

/// The telemetry of this process. What is left is sent and written when it is dropped.
#[derive(Debug)]
pub struct Process {
    telemetry: Telemetry,
    traces: Traces,
    // Dropped last, for the traces may have something to say at their end.
    _logs: Logs,
}

impl Process {
    /// Installs the log and the spans of this process, and an exporter of traces where a standard
    /// variable names a collector.
    pub fn start(format: LogFormat) -> anyhow::Result<Self> {
        let exporting = traces::is_collector_named().then(Traces::exporting);
        let (traces, error) = match exporting {
            Some(Ok(traces)) => (traces, None),
            // No reason to serve nobody.
            Some(Err(error)) => (Traces::local(), Some(format!("{error:#}"))),
            None => (Traces::local(), None),
        };
        let logs = Logs::start(format, traces.layer())?;
        if let Some(error) = error {
            tracing::warn!(error, "no traces are exported: the variables are wrong");
        }
        let telemetry = Telemetry::local();
        telemetry.metrics.observe_dropped_lines(logs.dropped());
        Ok(Self {
            telemetry,
            traces,
            _logs: logs,
        })
    }

    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.traces.stop();
    }
}
