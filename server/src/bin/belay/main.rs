//! The binary `belay`.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod dev;
mod listen;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use belay_domain::projection::Projection;
use belay_people::PeopleCommand;
use belay_server::auth::key_file;
use belay_server::command_line::config_file::{self, FromFile};
use belay_server::command_line::database::DatabaseArguments;
use belay_server::command_line::effective;
use belay_server::command_line::health::Health;
use belay_server::command_line::migrate::Migrate;
use belay_server::command_line::shell;
use belay_server::command_line::variables;
use belay_server::command_line::version;
use belay_server::db::migrate::{self, MigrateError};
use belay_server::db::pool;
use belay_server::deliver;
use belay_server::deliver::command_line::{DeadLetters, Deliver};
use belay_server::doctor::Doctor;
use belay_server::erase::Erase;
use belay_server::grants::Grants;
use belay_server::identity_command::IdentityKeyArguments;
use belay_server::projections::{self, Rebuild};
use belay_server::telemetry;
use belay_server::telemetry::logs::LogFormat;
use belay_server::verify::Verify;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mimalloc::MiMalloc;
use secrecy::{ExposeSecret as _, SecretString};

use self::dev::Dev;
use self::listen::StopSignal;
use self::serve::Serve;

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
    /// A file, in TOML, with the names of flags as keys, for what is given neither as a flag nor in
    /// the environment: docs/configuration.md has all of them.
    #[arg(long, env = config_file::VARIABLE, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve on a database that `migrate` has prepared.
    Serve(Box<Serve>),
    /// Show the configuration that `serve` would have with these arguments, and where each value
    /// comes from, without secrets; and check what a start checks before it looks at the database.
    /// Exit code 1 where it would not start.
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
    /// Follow the chains of the feed, and say what is not as it was written: exit code 1, or 2
    /// where it cannot be looked at.
    Verify(Verify),
    /// Erase the personal data of a buyer: its orders keep their books, and forget whom they were
    /// for.
    Erase(Erase),
    /// Print the grants that a command's account needs, as SQL.
    Grants(Grants),
    /// Show the identity key that is in the database, move it out, or go over to another one.
    IdentityKey(IdentityKeyArguments),
    /// Say whether the database and the account are fit for `serve`, and what fixes it where they
    /// are not: exit code 1 where one cannot serve.
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
                    | MigrateError::Held { .. }
                    | MigrateError::UnknownTarget { .. }
                    | MigrateError::Beyond { .. },
                )
                | None => ExitCode::FAILURE,
            }
        }
    }
}

/// The arguments, and the source of each.
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
    match serve.check().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("belay: {error:#}"));
            ExitCode::FAILURE
        }
    }
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
        Subcommands::Serve(serve) => serve.run(telemetry).await,
        Subcommands::Migrate(asked) => asked.run().await,
        Subcommands::Dev(dev) => dev.run(telemetry).await,
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
