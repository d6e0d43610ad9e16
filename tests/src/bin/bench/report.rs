//! The report: a table for people, and one JSON object for comparisons.

use serde_json::{Map, Value, json};

use crate::audit::Comparison;
use crate::load::{Window, count};

/// All windows of one kind.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) kind: Kind,
    pub(crate) callers: usize,
    pub(crate) windows: Vec<Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    RawCancel,
    Cancel,
    RawCreate,
    Create,
    RawGet,
    Get,
    /// Through the client crate.
    ClientGet,
    RawList,
    List,
}

impl Kind {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::RawCancel => "raw cancellation",
            Kind::Cancel => "RequestCancellation",
            Kind::RawCreate => "raw creation",
            Kind::Create => "CreateOrder",
            Kind::RawGet => "raw get",
            Kind::Get => "GetOrder",
            Kind::ClientGet => "GetOrder by client",
            Kind::RawList => "raw list",
            Kind::List => "ListOrders",
        }
    }

    /// Begin of its names in the JSON object.
    fn key(self) -> &'static str {
        match self {
            Kind::RawCancel => "raw_cancel",
            Kind::Cancel => "cancel",
            Kind::RawCreate => "raw_create",
            Kind::Create => "create",
            Kind::RawGet => "raw_get",
            Kind::Get => "get",
            Kind::ClientGet => "client_get",
            Kind::RawList => "raw_list",
            Kind::List => "list",
        }
    }

    pub(crate) fn is_raw(self) -> bool {
        matches!(
            self,
            Kind::RawCancel | Kind::RawCreate | Kind::RawGet | Kind::RawList
        )
    }
}

impl Series {
    pub(crate) fn per_second(&self) -> f64 {
        self.median(Window::per_second)
    }

    fn median(&self, figure: impl Fn(&Window) -> f64) -> f64 {
        median(&self.windows, figure)
    }

    /// CPU of one command, in µs; `cores` says which of the figures.
    fn cpu_us(&self, cores: impl Fn(&Window) -> Option<f64>) -> Option<f64> {
        let figure = |window: &Window| {
            cores(window).map_or(f64::NAN, |cores| cores * 1e6 / window.per_second())
        };
        let median = self.median(figure);
        median.is_finite().then_some(median)
    }

    fn server_us(&self) -> Option<f64> {
        (!self.kind.is_raw())
            .then(|| self.cpu_us(|window| Some(window.usage.server)))
            .flatten()
    }

    fn mysqld_us(&self) -> Option<f64> {
        self.cpu_us(|window| window.usage.mysqld)
    }

    /// Of a command, as the next one.
    fn redo_bytes(&self) -> f64 {
        self.median(|window| window.usage.redo_bytes / window.per_second())
    }

    fn binlog_bytes(&self) -> f64 {
        self.median(|window| window.usage.binlog_bytes / window.per_second())
    }

    fn generator_us(&self) -> Option<f64> {
        self.cpu_us(|window| Some(window.usage.generator))
    }
}

pub(crate) fn median(windows: &[Window], figure: impl Fn(&Window) -> f64) -> f64 {
    median_of(windows.iter().map(figure).collect())
}

pub(crate) fn median_of(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => figures[n / 2],
        n => (figures[n / 2 - 1] + figures[n / 2]) / 2.0,
    }
}

/// The setting of the run as a whole.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) server_version: String,
    pub(crate) mysql_version: String,
    pub(crate) cores: usize,
    pub(crate) load_average: Option<f64>,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
}

/// A table of all series.
pub(crate) fn table(series: &[Series]) -> Vec<String> {
    let mut lines = vec![
        format!("{:56}{:>26}", "", "CPU µs a command"),
        format!(
            "{:<20} {:>7} {:>8} {:>8} {:>8}   {:>7} {:>7} {:>9}   {:>7} {:>8} {:>8}   {:>7} {:>8} {:>7}  {}",
            "",
            "callers",
            "a second",
            "p50 ms",
            "p99 ms",
            "server",
            "mysqld",
            "generator",
            "cmds/tx",
            "stmts/tx",
            "preps/tx",
            "redo B",
            "binlog B",
            "others",
            "by round"
        ),
    ];
    for one in series {
        let us =
            |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
        let rounds: Vec<String> = one
            .windows
            .iter()
            .map(|window| format!("{:.0}", window.per_second()))
            .collect();
        lines.push(format!(
            "{:<20} {:>7} {:>8.0} {:>8.2} {:>8.2}   {:>7} {:>7} {:>9}   {:>7.1} {:>8.1} {:>8.1}   {:>7.0} {:>8.0} {:>6.0}%  {}",
            one.kind.label(),
            one.callers,
            one.per_second(),
            one.median(|window| window.latency_ms(0.50)),
            one.median(|window| window.latency_ms(0.99)),
            us(one.server_us()),
            us(one.mysqld_us()),
            us(one.generator_us()),
            one.median(|window| window.per_second() / window.usage.commits),
            one.median(|window| window.usage.statements / window.usage.commits),
            one.median(|window| window.usage.prepares / window.usage.commits),
            one.redo_bytes(),
            one.binlog_bytes(),
            one.median(|window| window.usage.others.unwrap_or(f64::NAN) * 100.0),
            rounds.join(" ")
        ));
    }
    for (what, service, raw) in PAIRS {
        let [speed, cpu] = [ratio(series, service, raw), cpu_ratio(series, service, raw)]
            .map(|ratio| ratio.unwrap_or(f64::NAN));
        lines.push(format!(
            "{what}: {speed:.2} times as many as the bare client, {cpu:.2} times as many for the same CPU"
        ));
        if let Some(longer) = lone_ratio(series, service, raw) {
            lines.push(format!(
                "{what}: a lone caller waits {longer:.2} times as long as a lone bare client"
            ));
        }
    }
    if let Some(us) = client_overhead_us(series) {
        lines.push(format!(
            "client crate: {us:.1} µs of CPU a call more than the generated client"
        ));
    }
    lines.push(
        "tx: transaction; B: bytes a command, written to the redo log and the binary log; others: CPU that processes outside the bench took from it, 100% is one core".to_owned(),
    );
    lines
}

/// What was written by both, per cancelled order.
pub(crate) fn audit(comparisons: &[Comparison]) -> Vec<String> {
    let spread = |(least, most): (u64, u64)| {
        if least == most {
            least.to_string()
        } else {
            format!("{least}–{most}")
        }
    };
    let mut lines = vec![format!(
        "{:<28} {:>12} {:>12}",
        "rows of a cancelled order", "service", "raw"
    )];
    let row = |one: &Comparison| {
        format!(
            "{:<28} {:>12} {:>12}",
            one.what,
            spread(one.service),
            spread(one.raw)
        )
    };
    lines.extend(comparisons.iter().map(row));
    lines
}

/// What is set against what.
const PAIRS: [(&str, Kind, Kind); 4] = [
    ("cancel", Kind::Cancel, Kind::RawCancel),
    ("create", Kind::Create, Kind::RawCreate),
    ("get", Kind::Get, Kind::RawGet),
    ("list", Kind::List, Kind::RawList),
];

/// The service at its most callers, and the bare client at its best.
fn pair(series: &[Series], service: Kind, raw: Kind) -> Option<(&Series, &Series)> {
    let most = series
        .iter()
        .filter(|one| one.kind == service)
        .max_by_key(|one| one.callers)?;
    let of_raw = series.iter().filter(|one| one.kind == raw);
    Some((
        most,
        of_raw.max_by(|one, other| one.per_second().total_cmp(&other.per_second()))?,
    ))
}

/// The p50 of a lone caller in that of a lone bare client.
fn lone_ratio(series: &[Series], service: Kind, raw: Kind) -> Option<f64> {
    let p50 = |kind: Kind| {
        let lone = series
            .iter()
            .find(|one| one.kind == kind && one.callers == 1)?;
        Some(lone.median(|window| window.latency_ms(0.50)))
    };
    Some(p50(service)? / p50(raw)?)
}

fn ratio(series: &[Series], service: Kind, raw: Kind) -> Option<f64> {
    let (service, raw) = pair(series, service, raw)?;
    Some(service.per_second() / raw.per_second())
}

/// What the ratio would be if nobody waited: how much less CPU a command takes, of all processes
/// together. Others on the machine sway it less than they sway the speed.
fn cpu_ratio(series: &[Series], service: Kind, raw: Kind) -> Option<f64> {
    let (service, raw) = pair(series, service, raw)?;
    let all = |one: &Series| {
        Some(one.server_us().unwrap_or(0.0) + one.mysqld_us()? + one.generator_us()?)
    };
    Some(all(raw)? / all(service)?)
}

/// CPU that a call through the client crate takes beyond that of the generated client, which
/// decodes the same answer, in µs.
fn client_overhead_us(series: &[Series]) -> Option<f64> {
    let client = series.iter().find(|one| one.kind == Kind::ClientGet)?;
    let generated = series
        .iter()
        .find(|one| one.kind == Kind::Get && one.callers == client.callers)?;
    Some(client.generator_us()? - generated.generator_us()?)
}

/// Everything, by name. README.md says what each is.
pub(crate) fn figures(series: &[Series], setting: &Setting) -> Map<String, Value> {
    let mut object = Map::new();
    let best =
        |service: Kind, raw: Kind| pair(series, service, raw).map(|(_, raw)| raw.per_second());
    object.insert(
        "raw_tx_best".to_owned(),
        whole(best(Kind::Cancel, Kind::RawCancel)),
    );
    object.insert(
        "raw_create_best".to_owned(),
        whole(best(Kind::Create, Kind::RawCreate)),
    );
    object.insert(
        "raw_get_best".to_owned(),
        whole(best(Kind::Get, Kind::RawGet)),
    );
    object.insert(
        "raw_list_best".to_owned(),
        whole(best(Kind::List, Kind::RawList)),
    );
    for (key, service, raw) in PAIRS {
        object.insert(
            format!("{key}_lone_p50_ratio"),
            hundredths(lone_ratio(series, service, raw)),
        );
        object.insert(
            format!("{key}_ratio"),
            hundredths(ratio(series, service, raw)),
        );
        object.insert(
            format!("{key}_cpu_ratio"),
            hundredths(cpu_ratio(series, service, raw)),
        );
    }
    object.insert(
        "client_overhead_us".to_owned(),
        hundredths(client_overhead_us(series)),
    );
    for one in series {
        add_one(&mut object, one);
    }
    let others = series
        .iter()
        .flat_map(|one| &one.windows)
        .filter_map(|window| window.usage.others);
    let (sum, windows) = others.fold((0.0, 0_u64), |(sum, n), cores| (sum + cores, n + 1));
    object.insert(
        "others_cpu_cores".to_owned(),
        hundredths((windows > 0).then(|| sum / count(windows))),
    );
    object.insert("server".to_owned(), json!(setting.server_version));
    object.insert("mysql".to_owned(), json!(setting.mysql_version));
    object.insert("cores".to_owned(), json!(setting.cores));
    object.insert("load_average".to_owned(), json!(setting.load_average));
    object.insert("seconds".to_owned(), json!(setting.seconds));
    object.insert("rounds".to_owned(), json!(setting.rounds));
    object.insert("connections".to_owned(), json!(setting.connections));
    object
}

/// The figures of one kind with so many callers.
fn add_one(object: &mut Map<String, Value>, one: &Series) {
    let key = one.kind.key();
    let suffix = if one.kind.is_raw() && one.callers > 1 {
        String::new()
    } else {
        format!("_{}", one.callers)
    };
    if suffix.is_empty() {
        object.insert(format!("{key}_clients"), json!(one.callers));
    } else {
        object.insert(format!("{key}_rps{suffix}"), whole(Some(one.per_second())));
    }
    let latency = |quantile| hundredths(Some(one.median(|window| window.latency_ms(quantile))));
    object.insert(format!("{key}_p50_ms{suffix}"), latency(0.50));
    object.insert(format!("{key}_p99_ms{suffix}"), latency(0.99));
    let cpu = [
        ("server", one.server_us()),
        ("mysqld", one.mysqld_us()),
        ("generator", one.generator_us()),
    ];
    for (process, us) in cpu.into_iter().filter(|(_, us)| us.is_some()) {
        object.insert(format!("{key}_{process}_us{suffix}"), whole(us));
    }
    for (log, bytes) in [("redo", one.redo_bytes()), ("binlog", one.binlog_bytes())] {
        object.insert(format!("{key}_{log}_bytes{suffix}"), whole(Some(bytes)));
    }
}

/// More digits than the figures are good for only make them harder to read.
pub(crate) fn hundredths(figure: Option<f64>) -> Value {
    figure.map_or(Value::Null, |figure| {
        json!((figure * 100.0).round() / 100.0)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "commands a second and microseconds are far below 2^53"
)]
pub(crate) fn whole(figure: Option<f64>) -> Value {
    figure.map_or(Value::Null, |figure| json!(figure.round() as i64))
}
