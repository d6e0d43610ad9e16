//! Which state follows which, and by what: `states.txt`, which pages are made of as well.
//!
//! The table is what is seen from outside: how one version of an order differs from the next. The
//! random runs of `properties`, with what is rare, meet all of it and nothing else; every other
//! test adds that it meets nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use belay_domain::commands::RefundResult;
use belay_domain::order::Order;
use belay_domain::payment::PaymentFact;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GateKind, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, MICROSECOND, policy, settled};

const TABLE: &str = include_str!("states.txt");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/states.txt");
/// Set by `make pages`.
const WRITE: &str = "BELAY_PAGES_WRITE";
/// What an object comes from that was not there before.
const NOTHING: &str = "-";
/// What applies deadlines, whoever notices them.
pub(crate) const DEADLINE: &str = "deadline";

/// The change of an object of this kind, from one state to another.
type Change = (&'static str, &'static str, &'static str);

/// The changes that were met, each with the commands that made it.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<Change, BTreeSet<String>>);

impl Changes {
    /// Notes how two versions of an order differ, of which the second comes of `cause`.
    pub(crate) fn step(&mut self, before: &Order, after: &Order, cause: &str) {
        let was = states(before);
        for (object, to) in states(after) {
            let from = was.get(&object).copied().unwrap_or(NOTHING);
            if from != to {
                let causes = self.0.entry((object.0, from, to)).or_default();
                causes.insert(cause.to_owned());
            }
        }
    }

    /// Notes what an order is made of that was just placed.
    pub(crate) fn placed(&mut self, order: &Order) {
        for ((kind, ..), to) in states(order) {
            let causes = self.0.entry((kind, NOTHING, to)).or_default();
            causes.insert("CreateOrder".to_owned());
        }
    }

    fn lines(&self) -> BTreeSet<String> {
        let line = |((kind, from, to), causes): (&Change, &BTreeSet<String>)| {
            let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
            format!("{kind} {from} {to} {}", causes.join(","))
        };
        self.0.iter().map(line).collect()
    }

    /// Holds all that was met to the table, and the table to it.
    pub(crate) fn check(&self) {
        if std::env::var_os(WRITE).is_some() {
            // What did it in other random runs does it still: a new command moves them all.
            let causes = |(change, causes): (&Change, &BTreeSet<String>)| {
                let known = KNOWN.get(change).cloned().unwrap_or_default();
                (*change, causes.union(&known).cloned().collect())
            };
            let all = Self(self.0.iter().map(causes).collect());
            let lines: Vec<String> = all.lines().into_iter().collect();
            let head: Vec<&str> = TABLE.lines().take_while(|it| it.starts_with('#')).collect();
            let text = format!("{}\n{}\n", head.join("\n"), lines.join("\n"));
            std::fs::write(FILE, text).expect("the table can be written");
            return;
        }
        let met: BTreeSet<Change> = self.0.keys().copied().collect();
        let told: BTreeSet<Change> = KNOWN.keys().copied().collect();
        let unknown: Vec<_> = met.difference(&told).collect();
        let unmet: Vec<_> = told.difference(&met).collect();
        assert!(
            unknown.is_empty() && unmet.is_empty(),
            "states.txt lacks {unknown:?}, and nothing does {unmet:?}: `make pages`"
        );
        for (change, causes) in &self.0 {
            let beyond: Vec<_> = causes.difference(&KNOWN[change]).collect();
            assert!(
                beyond.is_empty(),
                "states.txt does not say that {beyond:?} does {change:?}: `make pages`"
            );
        }
    }
}

static KNOWN: LazyLock<BTreeMap<Change, BTreeSet<String>>> = LazyLock::new(|| {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("a kind, two states and causes");
        let change = (word(), word(), word());
        (change, word().split(',').map(str::to_owned).collect())
    };
    rows.map(row).collect()
});

/// Holds one step of any test to the table.
pub(crate) fn check_step(before: &Order, after: &Order) {
    let mut changes = Changes::default();
    changes.step(before, after, "");
    for change in changes.0.keys() {
        assert!(
            KNOWN.contains_key(change) || std::env::var_os(WRITE).is_some(),
            "states.txt does not have {change:?}"
        );
    }
}

/// Everything of an order that has a state: its kind with its number within the order.
fn states(order: &Order) -> BTreeMap<(&'static str, u32, usize, usize), &'static str> {
    let mut states = BTreeMap::from([(("Order", 0, 0, 0), order.state.name())]);
    for shipment in &order.shipments {
        states.insert(("Shipment", shipment.number, 0, 0), shipment.stage.name());
        let intercept = shipment.intercept.map(|intercept| intercept.state.name());
        states.extend(intercept.map(|state| (("Intercept", shipment.number, 0, 0), state)));
    }
    for of in &order.cancellations {
        states.insert(("Cancellation", of.number, 0, 0), of.state().name());
        for (part, at) in of.parts.iter().zip(0..) {
            states.insert(("Part", of.number, at, 0), part.state.name());
            for (gate, gate_at) in part.gates.iter().zip(0_usize..) {
                // Others may be put before it later: it is the first or second of its kind.
                let alike = part.gates[..gate_at].iter();
                let nth = alike
                    .filter(|other| other.spec.kind == gate.spec.kind)
                    .count();
                let kind = GateKind::ALL
                    .iter()
                    .position(|kind| *kind == gate.spec.kind);
                let key = ("Gate", of.number, at, 10 * kind.unwrap_or(0) + nth);
                states.insert(key, gate.state.name());
            }
        }
    }
    for refund in &order.refunds {
        states.insert(("Refund", refund.number, 0, 0), refund.state.name());
    }
    for payment in &order.payments {
        let state = payment.balance.state.name();
        states.insert(("Payment", payment.number, 0, 0), state);
    }
    for incident in &order.incidents {
        states.insert(("Incident", incident.number, 0, 0), incident.state.name());
    }
    states
}

/// What random runs meet in ten thousands of orders, if at all, is done here once.
pub(crate) fn rare(changes: &mut Changes) {
    let mut told = |case: &mut Case, cause: &str, act: &dyn Fn(&mut Case)| {
        let before = case.order.clone();
        act(case);
        changes.step(&before, &case.order, cause);
    };
    // Support is asked in the place of a carrier that brings the parcel back after all.
    let gates = ["CARRIER_INTERCEPT", "PARCEL_RECEIPT"].map(|kind| {
        format!("{{kind: {kind}, respond_within: 48h, on_timeout: ESCALATE, on_lost: ESCALATE}}")
    });
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[&gates[0], &gates[1]]));
    let request = CancellationRequest::all().paths(&[Path::Intercept]);
    case.bring_to(1, Stage::InTransit).cancelled(request);
    case.wait(SignedDuration::from_hours(48)).settle();
    case.wait(MICROSECOND);
    told(&mut case, "RecordTracking", &|case| {
        drop(case.scan(1, TrackingFact::Returning).unwrap());
    });
    // One parcel has left and one has not when both are cancelled.
    let anywhere = policy("\n  - {id: anywhere, when: {path: CANCEL}, allow: {refund: FULL}}");
    let cart = Cart::of(&[(1, 100), (1, 100)]).split(&[&[(1, 1)], &[(2, 1)]]);
    let mut case = cart.paid_under(anywhere);
    case.bring_to(1, Stage::InTransit);
    told(&mut case, "RequestCancellation", &|case| {
        case.cancelled(CancellationRequest::all());
    });
    // That it was lost on its way back was told before that it went back at all.
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.bring_to(1, Stage::InTransit);
    let left = case.now;
    let minutes = |minutes| left + SignedDuration::from_mins(minutes);
    case.wait(SignedDuration::from_hours(1));
    for (fact, minute) in [(TrackingFact::Delivered, 1), (TrackingFact::Lost, 3)] {
        case.scan_at(1, fact, minutes(minute)).unwrap();
    }
    told(&mut case, "RecordTracking", &|case| {
        let fact = TrackingFact::Returning;
        drop(case.scan_at(1, fact, minutes(2)).unwrap());
    });
    // What was declined once its release was settled was not released after all.
    let mut case = Cart::of(&[(1, 100)]).place();
    case.authorize("p1", 100)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(100)).unwrap();
    case.wait(MICROSECOND)
        .fact("p1", PaymentFact::Declined, 0)
        .unwrap();
    told(&mut case, "RecordRefundResult", &|case| {
        let code = "REVERSED".to_owned();
        drop(case.result(1, RefundResult::Failed { code }).unwrap());
    });
    // What was delivered was to be captured yet, and the provider lets go of it.
    let mut case = Cart::of(&[(1, 100)]).place();
    case.authorize("p1", 100).bring_to(1, Stage::Delivered);
    told(&mut case, "RecordPayment", &|case| {
        case.fact("p1", PaymentFact::Voided, 0).unwrap();
    });
    // That it was tried again after it was given up is told last.
    let mut case = Cart::of(&[(1, 100)]).place();
    let placed = case.now;
    case.wait(SignedDuration::from_hours(3));
    let fact = |case: &mut Case, fact: PaymentFact, hours: i64| {
        let at = placed + SignedDuration::from_hours(hours);
        case.told(fact, 0, |command| command.occurred_time = Some(at))
            .unwrap();
    };
    fact(&mut case, PaymentFact::Declined, 3);
    fact(&mut case, PaymentFact::Voided, 1);
    told(&mut case, "RecordPayment", &|case| {
        fact(case, PaymentFact::Attempted, 2)
    });
}
