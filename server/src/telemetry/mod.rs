//! What can be seen of a server from outside: log lines, traces and metrics.
//!
//! Spans and instruments are OpenTelemetry's own. The context of a call is OpenTelemetry's
//! [`Context`](opentelemetry::Context): it travels with the call's future, and whoever works for
//! the call reads it from there. Nothing here knows what a call means, and nothing here fails or
//! delays one: what cannot be told is dropped and counted.

pub mod calls;
pub mod logs;
pub mod metrics;
pub mod traces;

use self::calls::CallLines;
use self::logs::{LogFormat, Logs};
use self::metrics::Metrics;
use self::traces::{Exporter, Traces};

/// What the parts of one server tell. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    pub traces: Traces,
    pub metrics: Metrics,
    pub(crate) lines: CallLines,
}

impl Telemetry {
    /// Exports nothing. Calls have their trace ids and metrics are counted all the same.
    pub fn local() -> Self {
        Self::of(Traces::local())
    }

    fn of(traces: Traces) -> Self {
        Self {
            traces,
            metrics: Metrics::new(),
            lines: CallLines::default(),
        }
    }

    /// One of so many successful reads has a line in the log; 0 is none.
    #[must_use]
    pub fn logging_reads(mut self, one_of: u32) -> Self {
        self.lines = CallLines::new(one_of);
        self
    }
}

/// The telemetry of this process. What is left is sent and written when it is dropped.
#[derive(Debug)]
pub struct Process {
    telemetry: Telemetry,
    exporter: Option<Exporter>,
    // Dropped last, for the exporter may have something to say at its end.
    _logs: Logs,
}

impl Process {
    /// Installs the log of this process, and an exporter of traces where a standard variable names
    /// a collector.
    pub fn start(format: LogFormat) -> anyhow::Result<Self> {
        let logs = Logs::start(format)?;
        let exporting = traces::is_collector_named().then(traces::exporting);
        let (traces, exporter) = match exporting {
            Some(Ok((traces, exporter))) => (traces, Some(exporter)),
            // No reason to serve nobody.
            Some(Err(error)) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "no traces are exported: the variables are wrong");
                (Traces::local(), None)
            }
            None => (Traces::local(), None),
        };
        let telemetry = Telemetry::of(traces);
        telemetry.metrics.observe_dropped_lines(logs.dropped());
        Ok(Self {
            telemetry,
            exporter,
            _logs: logs,
        })
    }

    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(exporter) = self.exporter.take() {
            exporter.stop();
        }
    }
}
