//! Another revision beside this one: its server under its own load generator, for the protos may
//! differ, and ours, in turns on one database server.
//!
//! A round is a run of each, on an empty database of its own, and the next round has them in the
//! opposite order. What is reported is the median over the rounds of the ratio within a round, so
//! that a machine that others use too sways both sides alike.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::{Map, Value};
use tokio::process::Command;

use crate::report::{hundredths, median_of};
use crate::{Args, say};

/// Clients of the bare client, which is not what is compared here.
const RAW_CLIENTS: &str = "16";

/// What is set against the baseline: the figure's name, and that of the run that it is made of; `N`
/// stands for the most callers.
const RATIOS: [(&str, &str); 13] = [
    ("baseline_cancel_ratio", "cancel_rps_N"),
    ("baseline_create_ratio", "create_rps_N"),
    ("baseline_get_ratio", "get_rps_N"),
    ("baseline_list_ratio", "list_rps_16"),
    ("baseline_lone_cancel_ratio", "cancel_p50_ms_1"),
    ("baseline_lone_create_ratio", "create_p50_ms_1"),
    ("baseline_lone_get_ratio", "get_p50_ms_1"),
    ("baseline_mysqld_ratio", "cancel_mysqld_us_N"),
    ("baseline_server_ratio", "cancel_server_us_N"),
    ("baseline_create_mysqld_ratio", "create_mysqld_us_N"),
    ("baseline_create_server_ratio", "create_server_us_N"),
    ("baseline_get_mysqld_ratio", "get_mysqld_us_N"),
    ("baseline_get_server_ratio", "get_server_us_N"),
];

/// A revision: its load generator and its server.
#[derive(Debug, Clone)]
struct Revision {
    name: &'static str,
    bench: PathBuf,
    belay: PathBuf,
}

/// The figures of both, round by round.
#[derive(Debug)]
pub(crate) struct Baseline {
    most: usize,
    /// Of the baseline, and ours.
    rounds: Vec<(Map<String, Value>, Map<String, Value>)>,
}

/// Runs both in turns, as often as there are rounds.
pub(crate) async fn measure(args: &Args, built: &Path) -> anyhow::Result<Baseline> {
    let of = |name, built: &Path| Revision {
        name,
        bench: built.join("bench"),
        belay: built.join("belay"),
    };
    let old = of("baseline", built);
    let new = Revision {
        name: "this",
        bench: std::env::current_exe().context("this program has no path")?,
        belay: args.belay.clone(),
    };
    let most = args.callers.iter().copied().max();
    let most = most.context("no number of callers")?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for round in 0..args.rounds {
        let (first, second) = if round.is_multiple_of(2) {
            (&old, &new)
        } else {
            (&new, &old)
        };
        let one = figures(args, first, most, round).await?;
        let other = figures(args, second, most, round).await?;
        rounds.push(if round.is_multiple_of(2) {
            (one, other)
        } else {
            (other, one)
        });
    }
    Ok(Baseline { most, rounds })
}

/// What a run of this revision ends with.
async fn figures(
    args: &Args,
    revision: &Revision,
    most: usize,
    round: usize,
) -> anyhow::Result<Map<String, Value>> {
    let Revision { name, bench, belay } = revision;
    say(&format!("round {} of the {name} revision", round + 1));
    let mut run = Command::new(bench);
    run.arg("--belay").arg(belay);
    if let Some(file) = &args.mysqld_pid_file {
        run.arg("--mysqld-pid-file").arg(file);
    }
    run.args(["--rounds", "1", "--raw-clients", RAW_CLIENTS])
        .args(["--seconds", &args.seconds.to_string()])
        .args(["--warm-up", &args.warm_up.to_string()])
        .args(["--callers", &format!("1,{most}")])
        .args(["--connections", &args.connections.to_string()])
        .env(
            "BELAY_DATABASE_URL",
            format!("{}_{name}_{round}", args.database_url),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let output = run
        .output()
        .await
        .with_context(|| format!("cannot run {bench:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "the {name} revision's bench ended with {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).context("what a bench prints is text")?;
    let line = text
        .lines()
        .last()
        .context("a bench ends with its figures")?;
    serde_json::from_str(line).with_context(|| format!("no figures of the {name} revision"))
}

impl Baseline {
    /// The figure of each round by its name, of one of the two.
    fn of<'a>(
        &'a self,
        name: &'a str,
        which: impl Fn(&'a (Map<String, Value>, Map<String, Value>)) -> &'a Map<String, Value> + 'a,
    ) -> impl Iterator<Item = Option<f64>> + 'a {
        let name = match name.strip_suffix('N') {
            Some(begin) => format!("{begin}{}", self.most),
            None => name.to_owned(),
        };
        self.rounds
            .iter()
            .map(move |round| which(round).get(&name)?.as_f64())
    }

    /// Ours in the baseline's: the median of the rounds, and the baseline and ours.
    fn ratio(&self, name: &str) -> Option<[f64; 3]> {
        let old: Option<Vec<f64>> = self.of(name, |(old, _)| old).collect();
        let new: Option<Vec<f64>> = self.of(name, |(_, new)| new).collect();
        let (old, new) = (old?, new?);
        let ratios = new.iter().zip(&old).map(|(new, old)| new / old).collect();
        let figures = [median_of(ratios), median_of(old), median_of(new)];
        figures
            .iter()
            .all(|figure| figure.is_finite())
            .then_some(figures)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<30} {:>10} {:>10} {:>8}",
            "beside the baseline", "baseline", "this", "ratio"
        )];
        lines.extend(RATIOS.iter().filter_map(|(name, of)| {
            let [ratio, old, new] = self.ratio(of)?;
            Some(format!("{name:<30} {old:>10.2} {new:>10.2} {ratio:>8.2}"))
        }));
        lines
    }

    pub(crate) fn add_to(&self, figures: &mut Map<String, Value>) {
        for (name, of) in RATIOS {
            let ratio = self.ratio(of).map(|[ratio, ..]| ratio);
            figures.insert(name.to_owned(), hundredths(ratio));
        }
    }
}
