//! `belay policy`: documents, read here and put into force there.

use std::fs;
use std::path::{Path, PathBuf};

use belay_client::calls::DraftPolicy;
use belay_domain::policy::{self, Policy};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::connection::Connection;
use crate::failure::{Class, Failure};
use crate::output::{Paint, line, painted};
use crate::policy_diff::differences;
use crate::policy_test::{TestedPolicy, test_policy};

#[derive(Debug, Args)]
pub struct PolicyArguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Say everything that is wrong with a document, without a server.
    Validate { file: PathBuf },
    /// Say what a document has otherwise than the store's active policy; exit code 1 where it
    /// differs.
    Diff {
        file: PathBuf,
        /// Compare with this version instead.
        #[arg(long)]
        version: Option<i32>,
        /// Also put to it what was really decided in the last so many days, and say what it would
        /// answer otherwise: 1 to 366. For operators.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=366))]
        replay_days: Option<u16>,
    },
    /// Put a file of questions to the policy that it names, without a server, and compare the
    /// answers.
    Test {
        #[arg(required = true)]
        file: Vec<PathBuf>,
    },
    /// Create a version from a document and activate it.
    Activate {
        file: PathBuf,
        /// From when. The earliest that all servers know of, where it is not given.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
    },
}

impl PolicyArguments {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.command {
            PolicyCommand::Validate { file } => {
                let policy = parsed(&file)?;
                line(&format!(
                    "{}: {}, {} rules, {} reasons",
                    painted(Paint::Good, "valid"),
                    policy.name,
                    policy.rules.len(),
                    policy.reasons.len()
                ))
            }
            PolicyCommand::Diff {
                file,
                version,
                replay_days,
            } => diff(&self.connection, &file, version, replay_days).await,
            PolicyCommand::Test { file } => test(&file),
            PolicyCommand::Activate { file, at } => {
                parsed(&file)?;
                let store = self.connection.store()?;
                let created = store.create_policy(read(&file)?).await?;
                let mut activate = store.activate_policy(created.version);
                if let Some(at) = at {
                    activate = activate.effective_time(at);
                }
                let mut policy = activate.await?;
                policy.document.clear();
                self.connection.output.one(&policy)
            }
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file);
    text.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// Says everything that is wrong, each with its path in the document.
fn parsed(file: &Path) -> Result<Policy, Failure> {
    policy::parse(&read(file)?).map_err(|errors| {
        let told = errors.iter().map(|error| match error.path.as_str() {
            "" => format!("\n  {}", error.description),
            path => format!("\n  {path}: {}", error.description),
        });
        let told: String = told.collect();
        let message = format!("{} is no valid policy:{told}", file.display());
        Failure::new(Class::No, message)
    })
}

async fn diff(
    connection: &Connection,
    file: &Path,
    version: Option<i32>,
    replay_days: Option<u16>,
) -> Result<(), Failure> {
    let draft = parsed(file)?;
    let store = connection.store()?;
    let mut get = store.get_policy();
    if let Some(version) = version {
        get = get.version(version);
    }
    let active = get.await?;
    let present = policy::parse(&active.document).map_err(|_| {
        let message = format!(
            "version {} is written in a later language than this belay reads",
            active.version
        );
        Failure::new(Class::Internal, message)
    })?;
    let found = differences(&present, &draft);
    for difference in &found {
        line(difference)?;
    }
    if let Some(days) = replay_days {
        let document = DraftPolicy::document(read(file)?);
        replay(&store, document, days).await?;
    }
    if found.is_empty() {
        return line(&format!("the same as version {}", active.version));
    }
    Err(Failure::no())
}

async fn replay(store: &belay_client::Store, draft: DraftPolicy, days: u16) -> Result<(), Failure> {
    let end = crate::explain::now();
    let begin = end - SignedDuration::from_hours(24) * i32::from(days);
    let simulation = store.simulate_policy(draft, begin..end).await?;
    let simulation = simulation.finish().await?;
    for case in &simulation.cases {
        let outcome = |outcome: &belay_client::model::SimulatedOutcome| {
            let reason = outcome.denied_reason.as_ref();
            let denied = reason.map(|reason| format!("denied: {reason}"));
            denied.unwrap_or_else(|| format!("refund {}", outcome.refund))
        };
        let (was, would) = (outcome(&case.recorded), outcome(&case.draft));
        line(&format!("order {}: {was}, would be {would}", case.order_id))?;
    }
    let cases = simulation.summary.cases;
    line(&format!(
        "of {} decisions {} differ: {} would be denied, {} allowed",
        simulation.summary.decisions,
        simulation.summary.differing,
        cases.become_denied,
        cases.become_allowed
    ))
}

fn test(files: &[PathBuf]) -> Result<(), Failure> {
    let mut has_failed = false;
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        let tested = test_policy(&read(file)?, |named| {
            let path = folder.join(named);
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        });
        let TestedPolicy {
            questions,
            failures,
            unasked_rules,
        } = tested.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        for failure in &failures {
            line(&format!("{} {failure}", painted(Paint::Bad, "not so:")))?;
        }
        let name = file.display();
        line(&match failures.len() {
            0 => format!("{name}: {questions} answers are as expected"),
            failed => format!("{name}: {failed} of {questions} answers are not as expected"),
        })?;
        if !unasked_rules.is_empty() {
            line(&format!("  no question met {}", unasked_rules.join(", ")))?;
        }
        has_failed |= !failures.is_empty();
    }
    if has_failed {
        return Err(Failure::no());
    }
    Ok(())
}
