//! The states of everything that has some, and which follows which: as diagrams and as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use belay_domain::bulk::JobState;
use belay_domain::payment::PaymentFact;
use belay_domain::shipment::{Stage, TrackingFact};
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};

use crate::protos::{ENUMS, VALUES, comment, files};
use crate::{MADE, Pages, cell};

/// What random commands on random orders come to, which a test of the domain holds them to.
const TABLE: &str = include_str!("../../../domain/tests/commands/states.txt");
/// What an object comes from that was not there before.
const NOTHING: &str = "-";

/// A job is no part of an order; its table stands in the domain.
const JOB: Kind = Kind {
    name: "Bulk cancellation",
    proto: "BulkState",
    says: "One request for many orders. Each order gets a result of its own, by its own policy.",
    is_drawn: |_| true,
};

/// From, to, and what does it.
type Change = (String, String, Vec<String>);

/// A kind of object: its name in the table, the enum of the protos with its states, and what it is.
struct Kind {
    name: &'static str,
    proto: &'static str,
    says: &'static str,
    /// Which changes the diagram has, where all would be too many to see any.
    is_drawn: fn(&Change) -> bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "Order",
        proto: "OrderState",
        says: "Derived from payments, shipments and cancellations with each change, and stored.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Shipment",
        proto: "ShipmentStage",
        says: "The stage of a shipment. Facts of the carrier are never refused, so they lead out of every stage; where it stands \
               follows from all of them in the order in which they happened, so one that comes late may lead back. The diagram \
               leaves out what facts alone do to a parcel that was thought inside or cancelled.",
        is_drawn: |(from, _, causes)| {
            let is_fact = causes[..] == ["RecordTracking"];
            let is_inside = Stage::parse(from)
                .is_some_and(|stage| stage.is_before_dispatch() || stage == Stage::Cancelled);
            !(is_fact && is_inside)
        },
    },
    Kind {
        name: "Cancellation",
        proto: "CancellationState",
        says: "Derived from its parts: PENDING while one waits.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Part",
        proto: "PartState",
        says: "The units of a cancellation inside one shipment that end together.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Gate",
        proto: "GateState",
        says: "What a part waits for: one party, one deadline, one default.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Intercept",
        proto: "InterceptState",
        says: "The order to a carrier to bring a parcel back. One that failed is followed by a new one, in its place.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Refund",
        proto: "RefundState",
        says: "Money that goes back, or an authorisation that is released.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Payment",
        proto: "PaymentState",
        says: "What the provider has told of one payment. Captured money is never forgotten.",
        is_drawn: |_| true,
    },
    Kind {
        name: "Incident",
        proto: "IncidentState",
        says: "A fact that contradicts what was decided. It holds back the money it is about.",
        is_drawn: |_| true,
    },
];

fn changes_of(kind: &str) -> Vec<Change> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [of, from, to, causes] = words[..] else {
            panic!("{line:?} is no row of states.txt")
        };
        // The name of the call, where it is another than that of its command.
        let causes = causes.split(',').map(|cause| match cause {
            "LeaseRefunds" => "ClaimRefunds".to_owned(),
            cause => cause.to_owned(),
        });
        let causes = causes.collect();
        (of == kind).then(|| (from.to_owned(), to.to_owned(), causes))
    };
    rows.filter_map(row).collect()
}

fn changes_of_jobs() -> Vec<Change> {
    let first = [JobState::Selecting, JobState::Running].map(|state| {
        let cause = "StartBulkCancellation".to_owned();
        (NOTHING.to_owned(), state.name().to_owned(), vec![cause])
    });
    let all = JobState::ALL.iter().flat_map(|from| {
        let next = from.next().iter();
        next.map(|(to, cause)| {
            let (from, to) = (from.name().to_owned(), to.name().to_owned());
            (from, to, vec![(*cause).to_owned()])
        })
    });
    first.into_iter().chain(all).collect()
}

/// The states of an enum of the protos with their comments, in its order.
fn states_of(proto: &str) -> Vec<(String, String)> {
    for file in files() {
        for (found, at) in file.enum_type.iter().zip(0..) {
            if found.name() != proto {
                continue;
            }
            let prefix = found.value[0].name().trim_end_matches("UNSPECIFIED");
            let values = found.value.iter().zip(0..).skip(1);
            let state = |(value, value_at): (&prost_types::EnumValueDescriptorProto, i32)| {
                let name = value.name().trim_start_matches(prefix);
                let said = comment(file, &[ENUMS, at, VALUES, value_at]);
                (name.to_owned(), said)
            };
            return values.map(state).collect();
        }
    }
    panic!("the protos have no enum {proto}")
}

/// The diagram as SVG: an arrow for each change, a dot for the beginning.
fn diagram(changes: &[Change]) -> String {
    let mut dot = String::from("digraph {\n  begin [shape=circle, label=\"\"];\n");
    let states: BTreeSet<&str> = changes
        .iter()
        .flat_map(|(from, to, _)| [from.as_str(), to.as_str()])
        .filter(|state| *state != NOTHING)
        .collect();
    for state in states {
        let is_end = changes.iter().all(|(from, _, _)| from != state);
        let fill = if is_end { "#dddddd" } else { "#ffffff" };
        let _ = writeln!(
            dot,
            "  {state} [shape=box, style=\"rounded\", fillcolor=\"{fill}\"];"
        );
    }
    for (from, to, _) in changes {
        let from = if from == NOTHING { "begin" } else { from };
        let _ = writeln!(dot, "  {from} -> {to};");
    }
    dot.push('}');
    let graph = DotParser::new(&dot)
        .process()
        .unwrap_or_else(|error| panic!("{error}: {dot}"));
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut svg = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut svg);
    // A serif face is not what the site is set in.
    format!("{}\n", svg.finalize().replace("Times, serif", "sans-serif"))
}

fn of_kind(out: &mut String, pages: &mut Pages, kind: &Kind, changes: &[Change]) {
    let (name, says) = (kind.name, kind.says);
    let file = name.to_lowercase().replace(' ', "-");
    let drawn: Vec<Change> = changes
        .iter()
        .filter(|change| (kind.is_drawn)(change))
        .cloned()
        .collect();
    pages.insert(format!("reference/states/{file}.svg"), diagram(&drawn));
    let _ = write!(
        out,
        "\n## {name}\n\n{says}\n\n![The states of {file}, and which follows which](states/{file}.svg)\n\n| State | Means |\n|---|---|\n"
    );
    for (state, said) in states_of(kind.proto) {
        let _ = writeln!(out, "| {state} | {} |", cell(&said));
    }
    out.push_str("\n| From | To | By |\n|---|---|---|\n");
    for (from, to, causes) in changes {
        let from = if from == NOTHING { "" } else { from };
        let _ = writeln!(out, "| {from} | {to} | {} |", causes.join(", "));
    }
}

/// Facts from outside, which move states whatever they are.
fn of_facts(out: &mut String) {
    let facts = |names: Vec<&str>| names.join(", ");
    let _ = write!(
        out,
        "\n## Facts\n\nCarriers and payment providers tell facts. They are recorded and never refused.\n\n\
         | Of a parcel (`RecordTracking`) | Of a payment (`RecordPayment`) |\n|---|---|\n| {} | {} |\n",
        facts(TrackingFact::ALL.iter().map(|fact| fact.name()).collect()),
        facts(PaymentFact::ALL.iter().map(|fact| fact.name()).collect()),
    );
}

pub(crate) fn write(pages: &mut Pages) {
    let mut out = format!(
        "# States\n\n{MADE}\n\
         Everything that has a state, with all changes of it that there are. A row is what is seen from outside: how one version of an\n\
         order differs from the next. `deadline` is time alone; every command applies the deadlines that are due first. Thousands of random\n\
         orders with random commands, under random policies, meet all of these changes and no other.\n"
    );
    let told: BTreeMap<&str, ()> = KINDS.iter().map(|kind| (kind.name, ())).collect();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let kind = line.split(' ').next().unwrap_or_default();
        assert!(told.contains_key(kind), "the page leaves {kind} out");
    }
    for kind in KINDS {
        let changes = changes_of(kind.name);
        of_kind(&mut out, pages, kind, &changes);
    }
    of_kind(&mut out, pages, &JOB, &changes_of_jobs());
    of_facts(&mut out);
    pages.insert("reference/states.md".to_owned(), out);
}
