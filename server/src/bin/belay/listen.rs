//! The listeners and the end of `serve` and `dev`.

use std::net::SocketAddr;

use anyhow::Context as _;
use belay_server::auth::Authentication;
use belay_server::caller_limits::command_line::CallerArguments;
use belay_server::command_line::address::address;
use belay_server::command_line::load_bounds::LoadBounds;
use belay_server::command_line::waits::WaitArguments;
use belay_server::connect::command_line::HttpArguments;
use belay_server::identity_keys::IdentityArguments;
use belay_server::page_gate::PAGES_AT_ONCE_MAX;
use belay_server::port::command_line::PortArguments;
use belay_server::profiles::{self, Profiling};
use belay_server::server::{Server, ServerSettings};
use belay_server::telemetry::Telemetry;
use belay_server::telemetry::audit::{Audit, AuditLog, AuditTarget};
use belay_server::telemetry::calls::{LOG_READS_DEFAULT, LOG_READS_MAX};
use clap::Args;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, Args)]
pub(super) struct Listen {
    /// Where to listen for gRPC.
    #[arg(long, env = "BELAY_GRPC_ADDRESS", default_value = "127.0.0.1:50051", value_parser = address)]
    pub(super) grpc_address: SocketAddr,
    #[command(flatten)]
    pub(super) http: HttpArguments,
    /// Batches in flight at once. Two suit two cores; more pay when commits are slow.
    #[arg(long, env = "BELAY_LANES", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) lanes: u16,
    /// Connections to the database, divided between writes, upkeep, background work and reads, as a
    /// line of the log says at the start. With two lanes at least 11.
    #[arg(long, env = "BELAY_DATABASE_CONNECTIONS", default_value_t = 16)]
    pub(super) database_connections: usize,
    /// Pages of lists and counts that are read at once, from 1 to 256. As many as there are
    /// processors where it is not given; half of them while 8 callers or more wait for commands.
    /// Two connections of those for reads are left to others.
    #[arg(long, env = "BELAY_PAGES_AT_ONCE", value_name = "PAGES",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGES_AT_ONCE_MAX)))]
    pub(super) pages_at_once: Option<u16>,
    #[command(flatten)]
    pub(super) callers: CallerArguments,
    /// Where to listen for those who run the server, in HTTP: GET /metrics, /livez and /readyz, and
    /// the console where it is on. Off where it is not given; `dev` then takes any free port of
    /// this machine. Whoever reaches it may ask; at the console one signs in.
    #[arg(long, env = "BELAY_ADMIN_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub(super) admin_listen: Option<SocketAddr>,
    /// Give out profiles of what the processors are busy with on the admin port, at
    /// /debug/pprof/profile?seconds=10, one at a time and of 60 s at most, to whoever reaches it. A
    /// program that was not built with the feature `profiling` does not start with it.
    #[arg(long, env = "BELAY_PROFILING")]
    profiling: bool,
    /// One of so many successful reads has a line in the log: 1 logs all, 0 none. Writes and
    /// rejections always have one.
    #[arg(long, env = "BELAY_LOG_READS", default_value_t = LOG_READS_DEFAULT, value_name = "ONE_OF",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(LOG_READS_MAX)))]
    log_reads: u32,
    /// Where each write, each refusal and each read of personal data has its record, as a JSON
    /// object a line: a file, stdout or off. A file is appended to, and opened anew on SIGHUP.
    #[arg(
        long,
        env = "BELAY_AUDIT_LOG",
        default_value = "off",
        value_name = "FILE"
    )]
    pub(super) audit_log: AuditTarget,
    #[command(flatten)]
    pub(super) identity: IdentityArguments,
    #[command(flatten)]
    waits: WaitArguments,
    #[command(flatten)]
    bounds: LoadBounds,
    #[command(flatten)]
    port: PortArguments,
}

impl Listen {
    /// Whether there are profiles; and that there can be some.
    pub(super) fn profiling(&self) -> anyhow::Result<Profiling> {
        if !self.profiling {
            return Ok(Profiling::Off);
        }
        anyhow::ensure!(
            profiles::IS_BUILT_IN,
            "--profiling: this program is built without profiles; build it with `--features profiling`"
        );
        Ok(Profiling::On)
    }

    pub(super) fn settings(
        &self,
        database_url: SecretString,
        authentication: Authentication,
        telemetry: &Telemetry,
    ) -> ServerSettings {
        let mut settings = ServerSettings::new(database_url, authentication);
        settings.lanes = self.lanes;
        settings.connections = self.database_connections;
        settings.pages.at_once = self.pages_at_once;
        settings.callers = self.callers.settings();
        settings.admin_address = self.admin_listen;
        settings.port = self.port.settings();
        self.waits.set(&mut settings);
        self.bounds.set(&mut settings);
        settings.log_reads = self.log_reads;
        settings.telemetry = telemetry.clone();
        settings
    }
}

/// With the records of calls going into this audit log.
pub(super) fn audited(telemetry: &Telemetry, log: &AuditLog) -> anyhow::Result<Telemetry> {
    telemetry.metrics.observe_dropped_records(log.dropped());
    if log.audit().is_on() {
        reopen_on_hangup(log.audit())?;
    }
    Ok(telemetry.clone().auditing(log.audit()))
}

/// Whoever moves the file away says so by SIGHUP.
fn reopen_on_hangup(audit: Audit) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the process, which waits for nothing of it"
    )]
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            audit.reopen();
        }
    });
    Ok(())
}

/// None where it is told to stop before it serves.
pub(super) async fn start(
    settings: ServerSettings,
    address: SocketAddr,
    stop: &mut StopSignal,
) -> anyhow::Result<Option<Server>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let server = tokio::select! {
        server = Server::start(settings, listener) => server?,
        () = stop.received() => return Ok(None),
    };
    tracing::info!(address = %server.address(), "serving");
    Ok(Some(server))
}

pub(super) async fn serve_until_stopped(
    server: Server,
    mut stop: StopSignal,
) -> anyhow::Result<()> {
    stop.received().await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

/// Ctrl-C or the signal that service managers send. Listened to before anybody is told that this
/// serves: a server that is stopped at once stops in order too.
pub(super) struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
