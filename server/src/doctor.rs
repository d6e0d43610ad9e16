//! `belay doctor`: whether this machine, this account and this database are fit for `belay serve`,
//! each finding with what fixes it. It reads, and writes nothing. What keeps a server from serving
//! is looked at by every start as well.

mod database;
mod files;
mod work;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use self::files::Kind;
use crate::command_line::database::DatabaseArguments;
use crate::command_line::schema::SchemaArguments;
use crate::db::{Conn, DbError, pool};
use crate::grants::GrantSet;

/// At least one finding keeps it from serving.
const EXIT_UNFIT: u8 = 1;

/// The arguments of `belay doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    schema: SchemaArguments,
    /// Connections that each server is to have, as `serve` is told.
    #[arg(long, env = "BELAY_DATABASE_CONNECTIONS", default_value_t = 16)]
    database_connections: u32,
    /// The server's certificate, as `serve` is told, to see when it expires.
    #[arg(long, env = "BELAY_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The authorities of clients, likewise.
    #[arg(long, env = "BELAY_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// The lists of certificates that are revoked, likewise.
    #[arg(long, env = "BELAY_TLS_CLIENT_CRL", value_name = "FILE")]
    tls_client_crl: Option<PathBuf>,
}

/// The weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Fine,
    /// It serves, and somebody should know.
    Warning,
    /// It cannot serve, or not all calls.
    Fatal,
}

/// A finding: what was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub what: String,
    /// What fixes it; empty where nothing is to be fixed.
    pub fix: String,
    /// It ends by itself: a server starts, and says that it does not serve.
    passes: bool,
}

impl Finding {
    fn fine(what: impl Into<String>) -> Self {
        Self {
            weight: Weight::Fine,
            what: what.into(),
            fix: String::new(),
            passes: false,
        }
    }

    fn warning(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            fix: fix.into(),
            ..Self::fine(what)
        }
    }

    fn fatal(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            weight: Weight::Fatal,
            ..Self::warning(what, fix)
        }
    }

    fn read_only(error: &DbError) -> Self {
        Self {
            passes: true,
            ..Self::fatal(
                format!("the database takes no writes: {error}"),
                "wait for its primary, or take read_only away",
            )
        }
    }
}

impl Doctor {
    /// Looks, and prints a line for each finding.
    pub async fn run(&self) -> ExitCode {
        let mut findings = self.look_at_files();
        findings.extend(match self.database.url() {
            Ok(url) => match pool::connect(&url).await {
                Ok(mut conn) => self.look(&mut conn).await,
                Err(error) => vec![Finding::fatal(
                    format!("the database cannot be reached: {error}"),
                    "check the URL, the account and the network; --database-tls where it wants TLS",
                )],
            },
            Err(error) => vec![Finding::fatal(error.to_string(), "name the database")],
        });
        let mut out = std::io::stdout().lock();
        for finding in &findings {
            let word = match finding.weight {
                Weight::Fine => "ok",
                Weight::Warning => "warning",
                Weight::Fatal => "FATAL",
            };
            let fix = match finding.fix.as_str() {
                "" => String::new(),
                fix => format!("; fix: {fix}"),
            };
            // Where nobody reads it, the exit code still says it.
            let _ = writeln!(out, "{word:<8} {}{fix}", finding.what);
        }
        let is_unfit = findings.iter().any(|of| of.weight == Weight::Fatal);
        ExitCode::from(if is_unfit { EXIT_UNFIT } else { 0 })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "certificates expire by this machine's clock"
    )]
    fn look_at_files(&self) -> Vec<Finding> {
        let now = Timestamp::now();
        let [ca, certificate] = self.database.certificates();
        let files = [
            (Kind::Certificate, self.tls_cert.as_deref()),
            (Kind::Authority, self.tls_client_ca.as_deref()),
            (Kind::Revocations, self.tls_client_crl.as_deref()),
            (Kind::Authority, ca),
            (Kind::Certificate, certificate),
        ];
        let given = files
            .into_iter()
            .filter_map(|(kind, path)| Some((kind, path?)));
        let mut findings: Vec<Finding> = given
            .map(|(kind, path)| files::expiry(kind, path, now))
            .collect();
        findings.push(files::zones(now));
        findings
    }

    async fn look(&self, conn: &mut Conn) -> Vec<Finding> {
        let wanted = self.database_connections;
        let mut findings = vec![
            looked("the version", database::version(conn).await),
            looked("durability", database::durability(conn).await),
            looked("the isolation", database::isolation(conn).await),
            looked("who takes writes", database::writers(conn).await),
            looked("connections", database::connections(conn, wanted).await),
            looked("the clock", database::clock(conn).await),
        ];
        let schema = database::schema(conn, &self.schema.allowed()).await;
        let is_there = schema.weight != Weight::Fatal;
        findings.push(schema);
        // Without its tables there is nothing more to look at.
        if is_there {
            for set in [GrantSet::Serve, GrantSet::Retention] {
                findings.extend(all_looked("grants", database::grants(conn, set).await));
            }
            findings.extend(all_looked("what lies there", at_work(conn).await));
        }
        findings
    }
}

async fn at_work(conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
    let now = crate::db::checkup::now(conn).await?;
    let mut findings = work::lags(conn, now).await?;
    findings.extend(work::calendars(conn, now).await?);
    Ok(findings)
}

/// What keeps a server from serving, at its start: the schema was looked at before.
///
/// # Errors
/// Each finding of that kind with what fixes it.
pub(crate) async fn at_start(conn: &mut Conn) -> anyhow::Result<()> {
    let mut findings = vec![
        database::version(conn).await?,
        database::durability(conn).await?,
        database::isolation(conn).await?,
    ];
    findings.extend(database::grants(conn, GrantSet::Serve).await?);
    let mut fatal = BTreeSet::new();
    for Finding {
        weight,
        what,
        fix,
        passes,
    } in findings
    {
        match weight {
            Weight::Fine => {}
            Weight::Fatal if !passes => {
                fatal.insert(format!("{what}; fix: {fix}"));
            }
            Weight::Warning | Weight::Fatal => tracing::warn!(fix, "{what}"),
        }
    }
    anyhow::ensure!(
        fatal.is_empty(),
        "the database is not fit to serve on:\n  {}",
        fatal.into_iter().collect::<Vec<_>>().join("\n  ")
    );
    Ok(())
}

/// What could not be looked at is a finding as well.
fn looked(what: &str, found: Result<Finding, DbError>) -> Finding {
    found.unwrap_or_else(|error| {
        Finding::warning(
            format!("{what} could not be looked at: {error}"),
            "see the error",
        )
    })
}

fn all_looked(what: &str, found: Result<Vec<Finding>, DbError>) -> Vec<Finding> {
    found.unwrap_or_else(|error| vec![looked(what, Err(error))])
}
