//! The format of pprof, by the message `perftools.profiles.Profile`. pprof's own crate would bring
//! a second prost for it.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use pprof::{Frames, Report, Symbol};
use prost::Message;

const NANOS: i64 = 1_000_000_000;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

/// What pprof's own crate calls a function that nobody knows.
const NAMELESS: Symbol = Symbol {
    name: None,
    addr: None,
    lineno: None,
    filename: None,
};

/// Texts are places in the table of them, in all messages.
#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// Innermost first, where functions are inlined.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// Texts, each once; the first is empty, as the format wants it.
#[derive(Debug)]
struct Texts {
    table: Vec<String>,
    indices: HashMap<String, i64>,
}

impl Texts {
    fn new() -> Self {
        let mut texts = Self {
            table: Vec::new(),
            indices: HashMap::new(),
        };
        texts.index("");
        texts
    }

    fn index(&mut self, text: &str) -> i64 {
        if let Some(index) = self.indices.get(text) {
            return *index;
        }
        let index = i64::try_from(self.table.len()).unwrap_or_default();
        self.table.push(text.to_owned());
        self.indices.insert(text.to_owned(), index);
        index
    }
}

/// The things that samples name, each once.
#[derive(Debug)]
struct Named {
    texts: Texts,
    functions: Vec<Function>,
    function_ids: HashMap<(i64, i64), u64>,
    locations: Vec<Location>,
    location_ids: HashMap<Vec<(u64, i64)>, u64>,
}

impl Named {
    fn line(&mut self, symbol: &Symbol) -> (u64, i64) {
        let name = self.texts.index(&symbol.name());
        let filename = self.texts.index(&symbol.filename());
        let next = next_id(self.functions.len());
        let id = *self.function_ids.entry((name, filename)).or_insert(next);
        if id == next {
            let system_name = self.texts.index(&symbol.sys_name());
            self.functions.push(Function {
                id,
                name,
                system_name,
                filename,
            });
        }
        (id, symbol.lineno().into())
    }

    fn location(&mut self, frame: &[Symbol]) -> u64 {
        let lines: Vec<(u64, i64)> = frame.iter().map(|symbol| self.line(symbol)).collect();
        let next = next_id(self.locations.len());
        let id = *self.location_ids.entry(lines.clone()).or_insert(next);
        if id == next {
            let line = |(function_id, line)| Line { function_id, line };
            let line = lines.into_iter().map(line).collect();
            self.locations.push(Location { id, line });
        }
        id
    }

    fn sample(&mut self, frames: &Frames, count: i64, period: i64) -> Sample {
        let (key, str) = (
            self.texts.index("thread"),
            self.texts.index(&frames.thread_name),
        );
        let mut location_id: Vec<u64> = Vec::new();
        for frame in frames.frames.iter().filter(|frame| !frame.is_empty()) {
            location_id.push(self.location(frame));
        }
        // Where nothing could be followed, what was busy is counted still.
        if location_id.is_empty() {
            location_id.push(self.location(&[NAMELESS]));
        }
        Sample {
            location_id,
            value: vec![count, count * period],
            label: vec![Label { key, str }],
        }
    }
}

/// Ids begin with 1: 0 is none.
fn next_id(taken: usize) -> u64 {
    u64::try_from(taken).unwrap_or_default() + 1
}

pub(super) fn encoded(report: &Report, hertz: i32) -> Vec<u8> {
    let period = NANOS / i64::from(hertz);
    let mut named = Named {
        texts: Texts::new(),
        functions: Vec::new(),
        function_ids: HashMap::new(),
        locations: Vec::new(),
        location_ids: HashMap::new(),
    };
    let stacks = report.data.iter();
    let counted = |count: &isize| i64::try_from(*count).unwrap_or_default();
    let sample = stacks
        .map(|(frames, count)| named.sample(frames, counted(count), period))
        .collect();
    let mut value_type = |kind: &str, unit: &str| ValueType {
        kind: named.texts.index(kind),
        unit: named.texts.index(unit),
    };
    let sample_type = vec![
        value_type("samples", "count"),
        value_type("cpu", "nanoseconds"),
    ];
    let period_type = Some(value_type("cpu", "nanoseconds"));
    let begun = report.timing.start_time.duration_since(UNIX_EPOCH);
    let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos());
    let profile = Profile {
        sample_type,
        sample,
        location: named.locations,
        function: named.functions,
        string_table: named.texts.table,
        time_nanos: nanos(begun.unwrap_or_default()).unwrap_or_default(),
        duration_nanos: nanos(report.timing.duration).unwrap_or_default(),
        period_type,
        period,
    };
    profile.encode_to_vec()
}
