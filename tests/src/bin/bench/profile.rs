//! Where the processor's time goes, function by function: `--profile`, with `perf` of Linux.
//! Samples are taken by the clock, so it works in virtual machines that have no counters.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::Context as _;
use tokio::process::{Child, Command};

/// Samples of a second: not a divisor of what timers count in, so that nothing is met always or
/// never.
const FREQUENCY: &str = "997";
/// Functions of a process that are listed.
const FUNCTIONS_MAX: usize = 32;
/// Longest name of a function that is shown; generics go on for lines.
const NAME_MAX: usize = 100;

/// A process that is recorded.
#[derive(Debug)]
struct Recorded {
    process: &'static str,
    perf: Child,
    file: PathBuf,
}

/// Recordings under way, of one window.
#[derive(Debug)]
pub(crate) struct Recording {
    name: String,
    recorded: Vec<Recorded>,
}

/// The profile of one window.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    processes: Vec<(&'static str, Vec<Function>)>,
}

/// A function and its share of the process's samples, itself alone.
#[derive(Debug, PartialEq)]
struct Function {
    percent: f64,
    name: String,
}

impl Recording {
    /// Of these processes, until [`Self::end`].
    pub(crate) fn begin(name: String, processes: &[(&'static str, u32)]) -> anyhow::Result<Self> {
        let mut recorded = Vec::with_capacity(processes.len());
        for (process, pid) in processes {
            let file = std::env::temp_dir().join(format!("belay-bench-{pid}.perf"));
            let perf = Command::new("perf")
                .args(["record", "--quiet", "--event", "cpu-clock"])
                .args(["--freq", FREQUENCY, "--pid", &pid.to_string(), "--output"])
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .context("--profile needs `perf`, of the package linux-perf")?;
            recorded.push(Recorded {
                process,
                perf,
                file,
            });
        }
        Ok(Self { name, recorded })
    }

    pub(crate) async fn end(self) -> anyhow::Result<Profile> {
        let mut processes = Vec::with_capacity(self.recorded.len());
        for Recorded {
            process,
            mut perf,
            file,
        } in self.recorded
        {
            let pid = perf.id().context("perf has ended by itself")?;
            // It writes the rest and ends.
            let stopped = Command::new("kill")
                .args(["-INT", &pid.to_string()])
                .status()
                .await?;
            anyhow::ensure!(stopped.success(), "perf cannot be stopped");
            perf.wait().await?;
            let report = Command::new("perf")
                .args([
                    "report",
                    "--stdio",
                    "--no-children",
                    "--sort",
                    "symbol",
                    "--input",
                ])
                .arg(&file)
                .output()
                .await;
            std::fs::remove_file(&file)?;
            let Output { status, stdout, .. } = report?;
            anyhow::ensure!(status.success(), "perf has recorded nothing of {process}");
            processes.push((process, functions(&String::from_utf8_lossy(&stdout))));
        }
        Ok(Profile {
            name: self.name,
            processes,
        })
    }
}

/// The functions of a report, those first in which most samples were.
fn functions(report: &str) -> Vec<Function> {
    let function = |line: &str| {
        let (percent, rest) = line.trim().split_once('%')?;
        // A letter in brackets says where it runs: in user space or in the kernel.
        let name = rest.trim().get(4..)?.split("  ").next()?.trim();
        Some(Function {
            percent: percent.parse().ok()?,
            name: name.chars().take(NAME_MAX).collect(),
        })
    };
    let lines = report.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(function).take(FUNCTIONS_MAX).collect()
}

impl Profile {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (process, functions) in &self.processes {
            lines.push(format!("{}: where {process} spends its CPU", self.name));
            let line =
                |function: &Function| format!("  {:>6.2}%  {}", function.percent, function.name);
            lines.extend(functions.iter().map(line));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_line_by_line() {
        let report = "# Samples: 3K of event 'cpu-clock'\n#\n\n     7.15%  [.] my_sql_parser_parse       -      -\n     \
            0.96%  [k] finish_task_switch.isra.0\n";
        let read = functions(report);
        let names: Vec<&str> = read.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["my_sql_parser_parse", "finish_task_switch.isra.0"]);
        assert!((read[0].percent - 7.15).abs() < f64::EPSILON, "{read:?}");
    }
}
