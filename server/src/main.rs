//! The binary `belay`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use belay_domain::projection::Projection;
use belay_people::PeopleCommand;
use belay_server::auth::failed_logins::{
    FAILURES_DEFAULT, FAILURES_MAX, FAILURES_MIN, FailedLogins,
};
use belay_server::auth::jwt::arguments::JwtArguments;
use belay_server::auth::key_file::{self, KeyFile};
use belay_server::auth::{Authentication, Credentials};
use belay_server::caller_limits::command_line::CallerArguments;
use belay_server::command_line::address::address;
use belay_server::command_line::config_file::{self, FromFile};
use belay_server::command_line::database::DatabaseArguments;
use belay_server::command_line::effective;
use belay_server::command_line::health::Health;
use belay_server::command_line::load_bounds::LoadBounds;
use belay_server::command_line::migrate::Migrate;
use belay_server::command_line::schema::SchemaArguments;
use belay_server::command_line::shell;
use belay_server::command_line::tls::{PortTls, TlsArguments, port_tls};
use belay_server::command_line::trust::{Believes, ProxyArguments};
use belay_server::command_line::variables;
use belay_server::command_line::version;
use belay_server::command_line::waits::WaitArguments;
use belay_server::connect::command_line::{HttpArguments, dev_address};
use belay_server::db::address as database_address;
use belay_server::db::migrate::{self, MigrateError, Target};
use belay_server::db::pool;
use belay_server::db::shares::Shares;
use belay_server::deliver::command_line::{DeadLetters, Deliver};
use belay_server::doctor::Doctor;
use belay_server::erase::Erase;
use belay_server::grants::Grants;
use belay_server::identity_command::IdentityKeyArguments;
use belay_server::identity_keys::{IdentityArguments, check_value};
use belay_server::in_memory::InMemory;
use belay_server::page_gate::PAGES_AT_ONCE_MAX;
use belay_server::port::command_line::{PortArguments, Switch};
use belay_server::profiles::{self, Profiling};
use belay_server::projections::{self, Rebuild};
use belay_server::retention::{Keep, RetentionSettings};
use belay_server::server::{Server, ServerSettings};
use belay_server::telemetry::audit::{Audit, AuditLog, AuditTarget};
use belay_server::telemetry::calls::{LOG_READS_DEFAULT, LOG_READS_MAX};
use belay_server::telemetry::logs::LogFormat;
use belay_server::telemetry::{self, Telemetry};
use belay_server::verify::Verify;
use belay_server::{command_line, deliver, demo};
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mimalloc::MiMalloc;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Of the server alone: nobody who builds on its library is told what to allocate with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Orders and their cancellation, as a gRPC service on MySQL.
#[derive(Debug, Parser)]
#[command(name = "belay", version = version::text())]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
    #[arg(
        long,
        env = "BELAY_LOG_FORMAT",
        value_enum,
        default_value = "text",
        global = true
    )]
    log_format: LogFormat,
    /// A file, in TOML, with the names of flags as keys, for what is given neither as a flag nor in the environment:
    /// docs/configuration.md has all of them.
    #[arg(long, env = config_file::VARIABLE, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve on a database that `migrate` has prepared.
    Serve(Box<Serve>),
    /// Show the configuration that `serve` would have with these arguments, and where each value comes from, without
    /// secrets; and check what a start checks before it looks at the database. Exit code 1 where it would not start.
    CheckConfig(Box<Serve>),
    /// Bring the database's schema to this version.
    Migrate(Migrate),
    /// Migrate, make the store `demo` and serve it: for trying Belay out. Callers name their own
    /// role.
    Dev(Box<Dev>),
    /// Read a secret from the standard input and print the line that stands for it in a key file.
    HashSecret,
    /// Ask a running server whether it serves; exit code 1 where it does not.
    Health(Health),
    /// Have the running servers build a projection anew from the feed, while they serve.
    Rebuild(RebuildArguments),
    /// Send events to a receiver, by POST: beside the servers, in as many instances as are wanted.
    Deliver(Box<Deliver>),
    /// List, send again or drop events that a receiver has not taken.
    DeadLetters(DeadLetters),
    /// Follow the chains of the feed, and say what is not as it was written: exit code 1, or 2 where it cannot be
    /// looked at.
    Verify(Verify),
    /// Erase the personal data of a buyer: its orders keep their books, and forget whom they were for.
    Erase(Erase),
    /// Print the grants that a command's account needs, as SQL.
    Grants(Grants),
    /// Show the identity key that is in the database, move it out, or go over to another one.
    IdentityKey(IdentityKeyArguments),
    /// Say whether the database and the account are fit for `serve`, and what mends it where they are not: exit
    /// code 1 where one cannot serve.
    Doctor(Doctor),
    /// Print the version.
    Version,
    /// Print the page of all settings, in Markdown.
    #[command(hide = true)]
    Reference,
    #[command(flatten)]
    People(PeopleCommand),
    /// Print completions of the command line for a shell.
    Completions {
        /// The shell: bash, zsh, fish, elvish or powershell.
        shell: shell::Shell,
    },
    /// Print the manual page of `belay`, or of one of its commands, as roff.
    Man {
        /// The command, such as `orders get`.
        command: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Listen {
    /// Where to listen for gRPC.
    #[arg(long, env = "BELAY_GRPC_ADDRESS", default_value = "127.0.0.1:50051", value_parser = address)]
    grpc_address: SocketAddr,
    #[command(flatten)]
    http: HttpArguments,
    /// Batches in flight at once. Two suit two cores; more pay when commits are slow.
    #[arg(long, env = "BELAY_LANES", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    lanes: u16,
    /// Connections to the database, divided between writes, upkeep, background work and reads, as a
    /// line of the log says at the start. With two lanes at least 11.
    #[arg(long, env = "BELAY_DATABASE_CONNECTIONS", default_value_t = 16)]
    database_connections: usize,
    /// Pages of lists and counts that are read at once, from 1 to 256. As many as there are processors
    /// where it is not given. Two connections of those for reads are left to others.
    #[arg(long, env = "BELAY_PAGES_AT_ONCE", value_name = "PAGES",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGES_AT_ONCE_MAX)))]
    pages_at_once: Option<u16>,
    #[command(flatten)]
    callers: CallerArguments,
    /// Where to listen for those who run the server, in HTTP: GET /metrics, /livez and /readyz, and the
    /// console where it is on. Off where it is not given; `dev` then takes any free port of this machine.
    /// Whoever reaches it may ask; at the console one signs in.
    #[arg(long, env = "BELAY_ADMIN_LISTEN", value_name = "ADDRESS", value_parser = address)]
    admin_listen: Option<SocketAddr>,
    /// Give out profiles of what the processors are busy with on the admin port, at /debug/pprof/profile?seconds=10, one at a
    /// time and of 60 s at most, to whoever reaches it. A program that was not built with the feature `profiling` does
    /// not start with it.
    #[arg(long, env = "BELAY_PROFILING")]
    profiling: bool,
    /// One of so many successful reads has a line in the log: 1 logs all, 0 none. Writes and
    /// rejections always have one.
    #[arg(long, env = "BELAY_LOG_READS", default_value_t = LOG_READS_DEFAULT, value_name = "ONE_OF",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(LOG_READS_MAX)))]
    log_reads: u32,
    /// Where each write, each refusal and each read of personal data has its record, as a JSON object a line: a file, stdout
    /// or off. A file is appended to, and opened anew on SIGHUP.
    #[arg(
        long,
        env = "BELAY_AUDIT_LOG",
        default_value = "off",
        value_name = "FILE"
    )]
    audit_log: AuditTarget,
    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    waits: WaitArguments,
    #[command(flatten)]
    bounds: LoadBounds,
    #[command(flatten)]
    port: PortArguments,
}

impl Listen {
    /// Whether there are profiles; and that there can be some.
    fn profiling(&self) -> anyhow::Result<Profiling> {
        if !self.profiling {
            return Ok(Profiling::Off);
        }
        anyhow::ensure!(
            profiles::IS_BUILT_IN,
            "--profiling: this program is built without profiles; build it with `--features profiling`"
        );
        Ok(Profiling::On)
    }
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    schema: SchemaArguments,
    #[command(flatten)]
    listen: Listen,
    /// Believe the headers `belay-role`, `belay-actor`, `belay-stores`, `belay-sellers`,
    /// `belay-warehouses` and `belay-carriers`. Only behind a proxy that sets them, and takes out
    /// those that a caller sends; beyond this machine it proves that a call comes from it.
    #[arg(long, env = "BELAY_TRUST_ROLE_HEADER")]
    trust_role_header: bool,
    /// Know callers by the secrets and certificates in this file. A change of it is taken over while
    /// the server runs.
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
    /// Whether anybody may ask which methods and messages there are: by reflection, and over HTTP as an OpenAPI
    /// document at /openapi.json. `dev` always answers.
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
    /// Show the console on the admin port, at /console/: pages to read orders by, for the callers that
    /// gRPC has, with their roles and scopes. `dev` shows it wherever its admin port is on this machine.
    #[arg(long, env = "BELAY_CONSOLE")]
    console: bool,
    /// Serve although several members of the database take writes: a group with several primaries, or
    /// Galera. Whoever writes to a store must reach the same member then.
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
}

/// How long the server keeps what it has told and remembers.
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
    /// How long a bulk cancellation that has ended is kept with its results, within the same bounds.
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
    let malformed = "must be a duration such as 3s or 500ms, at most 10m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| malformed)?;
    let notice = Duration::try_from(parsed).map_err(|_| malformed)?;
    if notice <= STOP_NOTICE_MAX {
        Ok(notice)
    } else {
        Err(malformed.to_owned())
    }
}

#[derive(Debug, Args)]
struct Dev {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    listen: Listen,
    /// Time stands still until somebody moves it in the table `manual_clock`.
    #[arg(long)]
    manual_clock: bool,
    /// Serve from memory, without MySQL: the same rules and answers, with nothing kept when it ends, and without the console,
    /// metrics and whatever reads the database. Of the other settings --grpc-address alone counts.
    #[arg(long, conflicts_with = "manual_clock")]
    in_memory: bool,
    /// The grpcurl to print in the examples.
    #[arg(long, env = "BELAY_GRPCURL", default_value = "grpcurl", hide = true)]
    grpcurl: String,
}

/// Where `dev` opens the admin port if nothing is said: on any free port, as several may run.
const DEV_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Debug, Args)]
struct RebuildArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    /// Which one: stock, seller-quality.
    #[arg(value_parser = projection)]
    projection: Projection,
}

fn projection(name: &str) -> Result<Projection, String> {
    let names: Vec<&str> = Projection::ALL.iter().map(|known| known.name()).collect();
    Projection::parse(name).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

/// The arguments, or the file of them, are wrong.
const EXIT_USAGE: u8 = 2;
/// `migrate` has found a schema of a newer release and has changed nothing.
const EXIT_SCHEMA_NEWER: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let (cli, configuration) = match read_command_line() {
        Ok(read) => read,
        Err(code) => return code,
    };
    belay_server::tls::install_provider();
    if let Subcommands::CheckConfig(serve) = &cli.command {
        return check_config(serve, &configuration).await;
    }
    if let Subcommands::Verify(asked) = &cli.command {
        return verify(&cli, asked).await;
    }
    if let Subcommands::Doctor(asked) = &cli.command {
        return asked.run().await;
    }
    // What people ask for leaves no log and no trace of its own.
    if let Subcommands::People(command) = cli.command {
        return command.run().await;
    }
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("belay: {error:#}"));
            match error.downcast_ref() {
                Some(MigrateError::Newer { .. }) => ExitCode::from(EXIT_SCHEMA_NEWER),
                Some(
                    MigrateError::Database(_)
                    | MigrateError::Busy
                    | MigrateError::Failed(_)
                    | MigrateError::UnknownTarget { .. }
                    | MigrateError::Beyond { .. },
                )
                | None => ExitCode::FAILURE,
            }
        }
    }
}

/// Where each argument comes from.
struct Configuration {
    matches: ArgMatches,
    from_file: FromFile,
}

/// The arguments, with those of the file. What is wrong has been told where this fails.
fn read_command_line() -> Result<(Cli, Configuration), ExitCode> {
    let command = Cli::command();
    let is_set = |variable: &str| std::env::var_os(variable).is_some();
    let named = std::env::var_os(config_file::VARIABLE);
    let read = config_file::with_file(&command, std::env::args_os().collect(), is_set, named);
    let (arguments, from_file) = read.map_err(|error| {
        say(&format!("belay: {error}"));
        ExitCode::from(EXIT_USAGE)
    })?;
    let matches = command.try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = parsed.unwrap_or_else(|error| {
        if let Some(path) = from_file.path.as_ref().filter(|_| error.use_stderr()) {
            let flags: Vec<&str> = from_file.flags.iter().map(String::as_str).collect();
            let path = path.display();
            say(&format!("{path} has given: {}", flags.join(", ")));
        }
        error.exit()
    });
    Ok((cli, Configuration { matches, from_file }))
}

/// A person has asked on the command line.
fn say(text: &str) {
    #[expect(
        clippy::print_stderr,
        reason = "what a person asked for on the command line is answered there"
    )]
    {
        eprintln!("{text}");
    }
}

/// What would be in force, and whether a start would take it.
async fn check_config(serve: &Serve, configuration: &Configuration) -> ExitCode {
    let command = Cli::command();
    let of = command.find_subcommand("check-config");
    let matches = configuration.matches.subcommand_matches("check-config");
    if let (Some(of), Some(matches)) = (of, matches) {
        let text = effective::effective(of, matches, &configuration.from_file);
        // Where nobody reads it, the exit code still says the rest.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    for variable in variables::unknown_now(&command) {
        say(&format!(
            "belay: no setting is called {variable}: the variable is not read"
        ));
    }
    match check_serve(serve).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("belay: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What a start checks before it looks at the database.
async fn check_serve(serve: &Serve) -> anyhow::Result<()> {
    let url = serve.database.url()?;
    database_address::check(&url).context("the database's address")?;
    let tls = serve.tls.settings()?;
    authentication(serve, port_tls(tls.as_ref())).await?;
    serve.listen.http.settings(None)?;
    serve.listen.identity.read()?;
    serve.profiling()?;
    Shares::of(serve.listen.database_connections, serve.listen.lanes)?;
    Ok(())
}

/// Its exit code says more than whether it failed.
async fn verify(cli: &Cli, asked: &Verify) -> ExitCode {
    match telemetry::Process::start(cli.log_format) {
        Ok(_process) => asked.run().await,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let process = telemetry::Process::start(cli.log_format)?;
    let telemetry = process.telemetry();
    match cli.command {
        Subcommands::Serve(serve) => {
            variables::tell_unknown(&Cli::command());
            let audit = AuditLog::start(&serve.listen.audit_log)?;
            let tls = serve.tls.settings()?;
            let mut settings = settings(
                serve.database.url()?,
                &serve.listen,
                authentication(&serve, port_tls(tls.as_ref())).await?,
                &audited(telemetry, &audit)?,
            );
            settings.tls = tls;
            settings.http = serve.listen.http.settings(None)?;
            settings.newer_schema = serve.schema.allowed();
            settings.stop_notice = serve.stop_notice;
            settings.retention = serve.retention.settings(settings.retention);
            settings.administration_address = serve.administration_grpc_address;
            settings.reflection = serve.reflection == Switch::On;
            settings.two_person_activation = serve.two_person_activation;
            settings.console = serve.console;
            settings.profiling = serve.profiling()?;
            settings.several_primaries = serve.several_primaries;
            settings.identity_keys = serve.listen.identity.read()?;
            let mut stop = StopSignal::listen()?;
            match start(settings, serve.listen.grpc_address, &mut stop).await? {
                Some(server) => serve_until_stopped(server, stop).await,
                None => Ok(()),
            }
        }
        Subcommands::Migrate(asked) => asked.run().await,
        Subcommands::Dev(dev) => {
            let grpc_address = dev.listen.grpc_address;
            let addresses = [Some(grpc_address), dev.listen.http.address()];
            for address in addresses.into_iter().flatten() {
                anyhow::ensure!(
                    address.ip().is_loopback(),
                    "dev believes every caller and listens on loopback only, not on {address}"
                );
            }
            if dev.in_memory {
                return serve_from_memory(&dev).await;
            }
            let url = dev.database.url()?;
            migrate::create_database(&url).await?;
            let keys = dev.listen.identity.read()?;
            let check = keys.as_ref().map(|keys| check_value(keys.first()));
            command_line::migrate::migrate(&url, check, &Target::Latest).await?;
            let audit = AuditLog::start(&dev.listen.audit_log)?;
            let telemetry = audited(telemetry, &audit)?;
            let mut settings = settings(url, &dev.listen, Authentication::Dev, &telemetry);
            settings.manual_clock = dev.manual_clock;
            settings.http = dev.listen.http.settings(Some(dev_address(grpc_address)))?;
            let admin = dev.listen.admin_listen.unwrap_or(DEV_ADMIN_LISTEN);
            settings.admin_address = Some(admin);
            // It believes everybody who reaches it.
            let has_console = admin.ip().is_loopback();
            settings.console = has_console;
            settings.profiling = dev.listen.profiling()?;
            settings.identity_keys = keys;
            // No balancer is in front of it, and a person waits.
            settings.stop_notice = Duration::ZERO;
            let mut stop = StopSignal::listen()?;
            let Some(server) = start(settings, grpc_address, &mut stop).await? else {
                return Ok(());
            };
            demo::prepare(server.address()).await?;
            let admin = server.admin_address().unwrap_or(admin);
            let shown = effective::without_password(dev.database.url()?.expose_secret());
            let addresses = demo::Addresses {
                grpc: server.address(),
                http: server.http_address(),
                admin,
            };
            demo::greet(&dev.grpcurl, addresses, &shown, has_console);
            serve_until_stopped(server, stop).await
        }
        Subcommands::HashSecret => print_hash(),
        Subcommands::Health(health) => health.ask().await,
        Subcommands::Rebuild(arguments) => {
            rebuild(&arguments.database.url()?, arguments.projection).await
        }
        Subcommands::Deliver(asked) => {
            let mut stop = StopSignal::listen()?;
            deliver::run(*asked, telemetry, stop.received()).await
        }
        Subcommands::DeadLetters(asked) => asked.run().await,
        // They have answered by their exit code before.
        Subcommands::Verify(_)
        | Subcommands::Doctor(_)
        | Subcommands::People(_)
        | Subcommands::CheckConfig(_) => Ok(()),
        Subcommands::Reference => {
            let page = effective::reference(&Cli::command());
            std::io::stdout().write_all(page.as_bytes())?;
            Ok(())
        }
        Subcommands::Completions { shell } => shell::completions(Cli::command(), shell),
        Subcommands::Man { command } => shell::man(Cli::command(), &command),
        Subcommands::Erase(asked) => asked.run().await,
        Subcommands::Grants(asked) => asked.run(),
        Subcommands::IdentityKey(asked) => asked.run().await,
        Subcommands::Version => {
            #[expect(clippy::print_stdout, reason = "the version is what was asked for")]
            {
                println!("belay {}", version::text());
            }
            Ok(())
        }
    }
}

/// With the records of calls going into this audit log.
fn audited(telemetry: &Telemetry, log: &AuditLog) -> anyhow::Result<Telemetry> {
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

/// The way in which callers are known, and may be on this address: by what they bring, or by the
/// headers of a proxy.
async fn authentication(serve: &Serve, tls: PortTls) -> anyhow::Result<Authentication> {
    // Callers come at all addresses: one that is reached from further off decides.
    let others = [
        serve.administration_grpc_address,
        serve.listen.http.address(),
    ];
    let address = others
        .into_iter()
        .flatten()
        .find(|address| !address.ip().is_loopback())
        .unwrap_or(serve.listen.grpc_address);
    let trust = |believes| {
        if serve.console {
            serve
                .proxy
                .check_console(serve.listen.admin_listen, believes)?;
        }
        serve.proxy.check(address, believes, tls)
    };
    let is_known_by_what_it_brings = serve.key_file.is_some() || serve.jwt.are_given();
    match (serve.trust_role_header, is_known_by_what_it_brings) {
        (true, false) => Ok(match trust(Believes::Headers)? {
            Some(proxy) => Authentication::Proxy(Arc::new(proxy)),
            None => Authentication::TrustedHeaders,
        }),
        (false, true) => {
            trust(Believes::Secrets)?;
            let key_file = serve.key_file.as_ref().map(KeyFile::open).transpose()?;
            Ok(Authentication::Credentials(Arc::new(Credentials {
                key_file: key_file.map(Arc::new),
                jwt: serve.jwt.open().await?,
                failed_logins: FailedLogins::new(serve.failed_logins),
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

fn print_hash() -> anyhow::Result<()> {
    let secret =
        std::io::read_to_string(std::io::stdin().lock()).context("the secret cannot be read")?;
    let secret = SecretString::from(secret.trim_end_matches(['\n', '\r']));
    let line = key_file::hash_secret(secret.expose_secret()).map_err(anyhow::Error::msg)?;
    #[expect(clippy::print_stdout, reason = "the line is what was asked for")]
    {
        println!("{line}");
    }
    Ok(())
}

async fn rebuild(database_url: &SecretString, projection: Projection) -> anyhow::Result<()> {
    let mut connection = pool::connect(database_url)
        .await
        .context("the database cannot be reached")?;
    migrate::check(&mut connection).await?;
    match projections::begin_rebuild(&mut connection, projection).await? {
        Rebuild::Begun => tracing::info!(%projection, "the rebuild begins"),
        Rebuild::UnderWay => tracing::info!(%projection, "a rebuild is under way already"),
        Rebuild::FeedPruned => anyhow::bail!(
            "the feed no longer holds its oldest events: what would be built of the rest would be another"
        ),
    }
    Ok(())
}

fn settings(
    database_url: SecretString,
    listen: &Listen,
    authentication: Authentication,
    telemetry: &Telemetry,
) -> ServerSettings {
    let mut settings = ServerSettings::new(database_url, authentication);
    settings.lanes = listen.lanes;
    settings.connections = listen.database_connections;
    settings.pages.at_once = listen.pages_at_once;
    settings.callers = listen.callers.settings();
    settings.admin_address = listen.admin_listen;
    settings.port = listen.port.settings();
    listen.waits.set(&mut settings);
    listen.bounds.set(&mut settings);
    settings.log_reads = listen.log_reads;
    settings.telemetry = telemetry.clone();
    settings
}

/// None where it is told to stop before it serves.
async fn start(
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

/// `dev` without a database.
async fn serve_from_memory(dev: &Dev) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let server = InMemory::start(dev.listen.grpc_address).await?;
    tracing::info!(address = %server.address(), "serving from memory");
    demo::prepare(server.address()).await?;
    demo::greet_in_memory(&dev.grpcurl, server.address());
    stop.received().await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

async fn serve_until_stopped(server: Server, mut stop: StopSignal) -> anyhow::Result<()> {
    stop.received().await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

/// Ctrl-C or the signal that service managers send. Listened to before anybody is told that this
/// serves: a server that is stopped at once stops in order too.
struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
