//! What an operator watches a server by: the table of instruments in the README, the dashboard and
//! the rules of alerts, which are tried by Prometheus's own checker, and the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use belay_server::telemetry::instruments::{self, Instrument, Kind};
use serde_json::Value;

use crate::tidy::read_to_string;

const RULES: &str = "deploy/prometheus/alerts.yml";
const RULES_TEST: &str = "deploy/prometheus/alerts_test.yml";
const DASHBOARD: &str = "deploy/grafana/belay.json";
const RUNBOOK: &str = "docs/runbook.md";
/// What Prometheus itself adds.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

#[test]
fn the_readme_lists_every_instrument() {
    let readme = read_to_string("README.md");
    let kinds = [" | counter | ", " | gauge | ", " | histogram | "];
    let listed: BTreeSet<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `") && kinds.iter().any(|kind| line.contains(kind)))
        .collect();
    let table: Vec<String> = instruments::all().map(Instrument::row).collect();
    let table: BTreeSet<&str> = table.iter().map(String::as_str).collect();
    let differ: Vec<&&str> = listed.symmetric_difference(&table).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// The metrics and the labels that an expression names.
fn named(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let (mut braces, mut groups, mut word) = (0, 0, String::new());
    let mut last = String::new();
    let mut quoted = false;
    for letter in expression.chars().chain([' ']) {
        if letter == '"' {
            quoted = !quoted;
        }
        if quoted {
            continue;
        }
        if letter.is_ascii_alphanumeric() || letter == '_' || letter == '$' {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            last = std::mem::take(&mut word);
            let is_ours = ["belay_", "rpc_", "db_"]
                .iter()
                .any(|of| last.starts_with(of));
            if braces > 0 || groups > 0 {
                labels.insert(last.clone());
            } else if is_ours {
                metrics.insert(last.clone());
            }
        }
        match letter {
            '{' => braces += 1,
            '}' => braces -= 1,
            '(' if last == "by" || last == "without" => groups += 1,
            ')' if groups > 0 => groups -= 1,
            _ => {}
        }
        if !letter.is_whitespace() {
            last.clear();
        }
    }
    (metrics, labels)
}

/// The instruments by all names that Prometheus has for them.
fn known() -> BTreeMap<String, &'static Instrument> {
    let mut known = BTreeMap::new();
    for row in instruments::all() {
        let family = row.family();
        if row.kind == Kind::Histogram {
            for of in ["bucket", "count", "sum"] {
                known.insert(format!("{family}_{of}"), row);
            }
        } else {
            known.insert(family, row);
        }
    }
    known
}

/// Expects of an expression only what is in the table; says which instruments it names.
fn of_the_table(expression: &str) -> Vec<&'static str> {
    let known = known();
    let (metrics, labels) = named(expression);
    let rows: Vec<&Instrument> = metrics
        .iter()
        .map(|name| {
            *known
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {expression}"))
        })
        .collect();
    let allowed: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| row.labels.iter().map(|label| label.replace('.', "_")))
        .chain(OF_PROMETHEUS.map(str::to_owned))
        .collect();
    for label in labels {
        assert!(allowed.contains(&label), "{label} in {expression}");
    }
    rows.iter().map(|row| row.name).collect()
}

#[test]
fn expressions_are_taken_apart() {
    let (metrics, labels) = named(
        "sum by (belay_party) (max by (belay_age) (belay_gates_open{belay_age=\"over_7d\"})) > 0",
    );
    assert!(metrics.iter().eq(["belay_gates_open"]));
    assert!(labels.iter().eq(["belay_age", "belay_party"]));
    let (metrics, _) = named("rate(belay_a_total{x!~\".*belay_b.*\"}[5m]) / belay_c and rpc_d");
    assert!(metrics.iter().eq(["belay_a_total", "belay_c", "rpc_d"]));
}

/// The alerts with their expression and the section of the runbook that they name.
fn alerts() -> Vec<(String, String, String)> {
    let rules = read_to_string(RULES);
    let mut alerts = Vec::new();
    let mut lines = rules.lines().map(str::trim);
    let (mut name, mut expression) = (String::new(), String::new());
    while let Some(line) = lines.next() {
        if let Some(alert) = line.strip_prefix("- alert: ") {
            name = alert.to_owned();
        } else if line == "expr: >-" {
            expression = lines.next().expect("it goes on").to_owned();
        } else if let Some(runbook) = line.strip_prefix("runbook: ") {
            alerts.push((name.clone(), expression.clone(), runbook.to_owned()));
        }
    }
    assert_eq!(alerts.len(), rules.matches("- alert: ").count());
    alerts
}

#[test]
fn alerts_name_instruments_of_the_table_and_sections_of_the_runbook() {
    let runbook = read_to_string(RUNBOOK);
    let sections: BTreeSet<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let alerts = alerts();
    for (name, expression, section) in &alerts {
        let named = of_the_table(expression);
        assert!(!named.is_empty() || expression.starts_with("up{"), "{name}");
        assert_eq!(*section, format!("{RUNBOOK}#{}", name.to_lowercase()));
    }
    let names: BTreeSet<&str> = alerts.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(sections, names);
    // Links from one section to another.
    for link in runbook.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap_or_default();
        assert!(
            sections.iter().any(|of| of.to_lowercase() == anchor),
            "{anchor}"
        );
    }
    let names: BTreeSet<&str> = instruments::all().map(|row| row.name).collect();
    for code in runbook.split('`').skip(1).step_by(2) {
        assert!(
            !code.starts_with("belay.") || names.contains(code),
            "{code}"
        );
    }
    // Those that are named as Prometheus does.
    for code in runbook
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("belay_"))
    {
        of_the_table(code);
    }
}

#[test]
fn the_dashboard_shows_every_instrument_and_no_other() {
    let dashboard: Value = serde_json::from_str(&read_to_string(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            shown.extend(of_the_table(
                target["expr"].as_str().expect("an expression"),
            ));
        }
    }
    let table: BTreeSet<&str> = instruments::all().map(|row| row.name).collect();
    assert_eq!(shown, table);
}

fn promtool(arguments: &[&str]) -> (bool, String) {
    let promtool = std::env::var("PROMTOOL")
        .expect("PROMTOOL: the path of promtool, as `server/dev/tools.sh promtool` prints it");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    let done = Command::new(promtool)
        .args(arguments)
        .current_dir(root)
        .output()
        .expect("it can be run");
    let told = [done.stdout, done.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    (done.status.success(), told.concat())
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_when_it_should() {
    let (is_well, told) = promtool(&["test", "rules", RULES_TEST]);
    assert!(is_well, "{told}");
    let (is_well, told) = promtool(&["check", "config", "deploy/prometheus/prometheus.yml"]);
    assert!(is_well, "{told}");
    let tests = read_to_string(RULES_TEST);
    for (name, _, _) in alerts() {
        let alert = format!("alertname: {name}\n");
        let tried = tests
            .split("  - interval:")
            .filter(|test| test.contains(&alert));
        let (quiet, fires): (Vec<&str>, Vec<&str>) =
            tried.partition(|test| test.contains("exp_alerts: []"));
        assert!(!quiet.is_empty() && !fires.is_empty(), "{name}");
    }
}
