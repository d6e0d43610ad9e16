//! `belay serve`, and what `belay check-config` checks of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use belay_server::auth::failed_logins::{
    FAILURES_DEFAULT, FAILURES_MAX, FAILURES_MIN, FailedLogins,
};
use belay_server::auth::jwt::arguments::JwtArguments;
use belay_server::auth::key_file::KeyFile;
use belay_server::auth::{Authentication, Credentials};
use belay_server::command_line::address::address;
use belay_server::command_line::database::DatabaseArguments;
use belay_server::command_line::schema::SchemaArguments;
use belay_server::command_line::secondaries::SecondaryArguments;
use belay_server::command_line::tls::{PortTls, TlsArguments, port_tls};
use belay_server::command_line::trust::{Believes, ProxyArguments};
use belay_server::command_line::variables;
use belay_server::db::address as database_address;
use belay_server::db::shares::Shares;
use belay_server::durations::within;
use belay_server::port::command_line::Switch;
use belay_server::profiles::Profiling;
use belay_server::retention::{Keep, RetentionSettings};
use belay_server::telemetry::Telemetry;
use belay_server::telemetry::audit::AuditLog;
use clap::{Args, CommandFactory as _};

use super::Cli;
use super::listen::{Listen, StopSignal, audited, serve_until_stopped, start};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    secondaries: SecondaryArguments,
    #[command(flatten)]
    schema: SchemaArguments,
    #[command(flatten)]
    listen: Listen,
    /// Believe the headers `belay-role`, `belay-actor`, `belay-stores`, `belay-sellers`,
    /// `belay-warehouses` and `belay-carriers`. Only behind a proxy that sets them, and takes out
    /// those that a caller sends; beyond this machine it proves that a call comes from it.
    #[arg(long, env = "BELAY_TRUST_ROLE_HEADER")]
    trust_role_header: bool,
    /// Know callers by the secrets and certificates in this file. A change of it is taken over
    /// while the server runs.
    #[arg(long, env = "BELAY_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    jwt: JwtArguments,
    /// Failed logins of one address in a minute after which its JWTs are not verified: 10 to
    /// 1000000. Behind a balancer many callers may have one address.
    #[arg(long, env = "BELAY_FAILED_LOGINS", default_value_t = FAILURES_DEFAULT, value_name = "A_MINUTE",
        value_parser = clap::value_parser!(u32).range(i64::from(FAILURES_MIN)..=i64::from(FAILURES_MAX)))]
    failed_logins: u32,
    /// How long a server that is told to stop goes on serving after its health says NOT_SERVING, so
    /// that balancers notice: such as 3s or 500ms, at most 10m.
    #[arg(long, env = "BELAY_STOP_NOTICE", default_value = "3s", value_parser = stop_notice, value_name = "DURATION")]
    stop_notice: Duration,
    /// Where to listen for administration: what operators alone may call is then unknown at the
    /// other address. At the same one where it is not given.
    #[arg(
        long,
        env = "BELAY_ADMINISTRATION_GRPC_ADDRESS",
        value_name = "ADDRESS",
        value_parser = address
    )]
    administration_grpc_address: Option<SocketAddr>,
    /// Whether anybody may ask which methods and messages there are: by reflection, and over HTTP
    /// as an OpenAPI document at /openapi.json. `dev` always answers.
    #[arg(
        long,
        env = "BELAY_REFLECTION",
        value_enum,
        default_value = "off",
        value_name = "ON_OR_OFF"
    )]
    reflection: Switch,
    /// A policy version is activated by another person than its author.
    #[arg(long, env = "BELAY_TWO_PERSON_ACTIVATION")]
    two_person_activation: bool,
    /// Show the console on the admin port, at /console/: pages to read orders by, for the callers
    /// that gRPC has, with their roles and scopes. `dev` shows it wherever its admin port is on
    /// this machine.
    #[arg(long, env = "BELAY_CONSOLE")]
    console: bool,
    /// Serve although several members of the database take writes: a group with several primaries,
    /// or Galera. Whoever writes to a store must reach the same member then.
    #[arg(long, env = "BELAY_SEVERAL_PRIMARIES")]
    several_primaries: bool,
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    tls: TlsArguments,
    #[command(flatten)]
    retention: Retention,
}

impl Serve {
    fn profiling(&self) -> anyhow::Result<Profiling> {
        let profiling = self.listen.profiling()?;
        anyhow::ensure!(
            profiling == Profiling::Off || self.listen.admin_listen.is_some(),
            "--profiling: profiles are given out on the admin port; give its address by --admin-listen"
        );
        Ok(profiling)
    }

    /// What a start checks before it looks at the database.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let url = self.database.url()?;
        database_address::check(&url).context("the database's address")?;
        self.secondaries.settings(&self.database)?;
        let tls = self.tls.settings()?;
        self.authentication(port_tls(tls.as_ref())).await?;
        self.listen.http.settings(None)?;
        self.listen.identity.read()?;
        self.profiling()?;
        Shares::of(self.listen.database_connections, self.listen.lanes)?;
        Ok(())
    }

    pub(super) async fn run(&self, telemetry: &Telemetry) -> anyhow::Result<()> {
        variables::tell_unknown(&Cli::command());
        let audit = AuditLog::start(&self.listen.audit_log)?;
        let tls = self.tls.settings()?;
        let mut settings = self.listen.settings(
            self.database.url()?,
            self.authentication(port_tls(tls.as_ref())).await?,
            &audited(telemetry, &audit)?,
        );
        settings.tls = tls;
        settings.http = self.listen.http.settings(None)?;
        settings.newer_schema = self.schema.allowed();
        settings.stop_notice = self.stop_notice;
        settings.retention = self.retention.settings(settings.retention);
        settings.administration_address = self.administration_grpc_address;
        settings.reflection = self.reflection == Switch::On;
        settings.two_person_activation = self.two_person_activation;
        settings.console = self.console;
        settings.profiling = self.profiling()?;
        settings.several_primaries = self.several_primaries;
        settings.secondaries = self.secondaries.settings(&self.database)?;
        settings.identity_keys = self.listen.identity.read()?;
        let mut stop = StopSignal::listen()?;
        match start(settings, self.listen.grpc_address, &mut stop).await? {
            Some(server) => serve_until_stopped(server, stop).await,
            None => Ok(()),
        }
    }

    /// The way in which callers are known, and may be on this address: by what they bring, or by
    /// the headers of a proxy.
    async fn authentication(&self, tls: PortTls) -> anyhow::Result<Authentication> {
        // Callers come at all addresses: one that is reached from further off decides.
        let others = [self.administration_grpc_address, self.listen.http.address()];
        let address = others
            .into_iter()
            .flatten()
            .find(|address| !address.ip().is_loopback())
            .unwrap_or(self.listen.grpc_address);
        let trust = |believes| {
            if self.console {
                self.proxy
                    .check_console(self.listen.admin_listen, believes)?;
            }
            self.proxy.check(address, believes, tls)
        };
        let is_known_by_what_it_brings = self.key_file.is_some() || self.jwt.are_given();
        match (self.trust_role_header, is_known_by_what_it_brings) {
            (true, false) => Ok(match trust(Believes::Headers)? {
                Some(proxy) => Authentication::Proxy(Arc::new(proxy)),
                None => Authentication::TrustedHeaders,
            }),
            (false, true) => {
                trust(Believes::Secrets)?;
                let key_file = self.key_file.as_ref().map(KeyFile::open).transpose()?;
                Ok(Authentication::Credentials(Arc::new(Credentials {
                    key_file: key_file.map(Arc::new),
                    jwt: self.jwt.open().await?,
                    failed_logins: FailedLogins::new(self.failed_logins),
                })))
            }
            (false, false) => anyhow::bail!(
                "no authentication method is given and Belay serves nobody unknown; --key-file knows callers by their \
                 secrets, --jwt-jwks by the tokens of an issuer, --trust-role-header believes the role that a proxy names"
            ),
            (true, true) => {
                anyhow::bail!(
                    "--trust-role-header and --key-file or --jwt-jwks are two authentication methods; give one"
                )
            }
        }
    }
}

/// The times for which the server keeps what it has told and remembers.
#[derive(Debug, Args)]
struct Retention {
    /// How long the feed gives out events: such as 30d or 36h, from 1h to 36500d, or forever. The
    /// history of an order keeps them for ever.
    #[arg(
        long,
        env = "BELAY_KEEP_EVENTS",
        default_value = "30d",
        value_name = "DURATION"
    )]
    keep_events: Keep,
    /// How long a repeated command is known by its request_id, within the same bounds.
    #[arg(
        long,
        env = "BELAY_KEEP_REQUESTS",
        default_value = "90d",
        value_name = "DURATION"
    )]
    keep_requests: Keep,
    /// How long the questions to policies and their answers are kept, within the same bounds.
    #[arg(
        long,
        env = "BELAY_KEEP_DECISIONS",
        default_value = "400d",
        value_name = "DURATION"
    )]
    keep_decisions: Keep,
    /// How long a bulk cancellation that has ended is kept with its results, within the same
    /// bounds.
    #[arg(
        long,
        env = "BELAY_KEEP_BULK_RESULTS",
        default_value = "90d",
        value_name = "DURATION"
    )]
    keep_bulk_results: Keep,
}

impl Retention {
    /// With what else there is to be said of it.
    fn settings(&self, others: RetentionSettings) -> RetentionSettings {
        RetentionSettings {
            events: self.keep_events,
            requests: self.keep_requests,
            decisions: self.keep_decisions,
            bulk_results: self.keep_bulk_results,
            ..others
        }
    }
}

/// Longer than any balancer needs.
const STOP_NOTICE_MAX: Duration = Duration::from_secs(600);

fn stop_notice(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=STOP_NOTICE_MAX)
        .ok_or_else(|| "must be a duration such as 3s or 500ms, at most 10m".to_owned())
}
