//! Cancellations with their parts and gates, refunds and incidents, as the page of an order and the
//! lists over many show them.

use belay_proto::v1 as pb;
use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{self, chip, money, word};
use super::{links, page};

const PATH: &str = "CANCELLATION_PATH_";

pub(super) fn path(path: pb::CancellationPath) -> String {
    word(path.as_str_name(), PATH)
}

pub(super) fn next_actions(actions: impl Iterator<Item = pb::NextAction>) -> String {
    let words = actions.map(|action| word(action.as_str_name(), "NEXT_ACTION_"));
    words.collect::<Vec<_>>().join(", ")
}

/// Each with its parts, the latest last; a store is named where rules lead to its policy.
pub(super) fn cancellations(
    store: &str,
    cancellations: &[pb::Cancellation],
    now: Timestamp,
) -> Markup {
    if cancellations.is_empty() {
        return html! { p class="none" { "None." } };
    }
    html! { @for cancellation in cancellations { (self::cancellation(store, cancellation, now)) } }
}

fn cancellation(store: &str, of: &pb::Cancellation, now: Timestamp) -> Markup {
    let state = word(of.state().as_str_name(), "CANCELLATION_STATE_");
    let outcome = word(of.outcome().as_str_name(), "CANCELLATION_OUTCOME_");
    let fault = word(of.fault().as_str_name(), "CANCELLATION_FAULT_");
    let text = |text: &str| html! { (text) };
    let rows: Vec<Markup> = of
        .parts
        .iter()
        .map(|part| self::part(store, of, part, now))
        .collect();
    let columns = [
        "Shipment",
        "Path",
        "State",
        "Units",
        "Rule",
        "Waits for",
        "#Refund",
        "Instead",
    ];
    html! {
        article aria-label=(format!("Cancellation {}", of.cancellation_id)) {
            h3 { (of.cancellation_id) " " (chip(&state)) }
            (page::facts(&[
                ("Outcome", text(&outcome)),
                ("Reason", text(&of.reason)),
                ("Fault", text(&fault)),
                ("Closed because", text(&of.close_reason)),
                ("Note", text(&of.note)),
                ("Evidence", text(&of.evidence.join(", "))),
                ("Asked by", html! {
                    (words::actor(of.requester.as_ref()))
                    @if of.submitted_by != of.requester && of.submitted_by.is_some() {
                        ", through " (words::actor(of.submitted_by.as_ref()))
                    }
                }),
                ("Expected refund", words::refund(of.expected_refund.as_ref())),
                ("Expected release", html! { (release(of.expected_release.as_ref())) }),
                ("Refund due by", words::deadline(of.refund_due_by.as_ref(), now)),
                ("Refunds", text(&of.refund_ids.join(", "))),
                ("Counted against the seller", text(if of.counted { "yes" } else { "" })),
                ("Asked", words::time(of.create_time.as_ref())),
                ("Closed", words::time(of.close_time.as_ref())),
            ]))
            (page::table(&format!("Parts of {}", of.cancellation_id), &columns, &rows))
        }
    }
}

/// What of an authorization would be given back, if anything.
fn release(amount: Option<&pb::Money>) -> String {
    match amount {
        Some(amount) if amount.minor_units != 0 => money(Some(amount)),
        Some(_) | None => String::new(),
    }
}

fn part(store: &str, of: &pb::Cancellation, part: &pb::CancellationPart, now: Timestamp) -> Markup {
    let state = word(part.state().as_str_name(), "PART_STATE_");
    let actions = next_actions(part.next_actions());
    html! {
        th scope="row" { (part.shipment_id) }
        td { (path(part.path())) }
        td {
            (chip(&state))
            @if !part.refused_reason.is_empty() { " " code { (part.refused_reason) } }
        }
        td { (words::quantities(&part.contents)) }
        td { (rule(store, of.policy_version, &part.rule)) }
        td { (gates(&part.gates, now)) }
        td class="number" { (words::refund(part.expected_refund.as_ref())) }
        td { (words::or_nothing(&actions)) }
    }
}

/// A rule, which leads to where it stands.
pub(super) fn rule(store: &str, version: i32, rule: &str) -> Markup {
    html! {
        @if rule.is_empty() { (words::NOTHING) }
        @else { a href=(links::rule(store, version, rule)) { (rule) } }
    }
}

/// Gates in their order.
pub(super) fn gates(gates: &[pb::Gate], now: Timestamp) -> Markup {
    if gates.is_empty() {
        return html! { (words::NOTHING) };
    }
    html! {
        ul class="plain" {
            @for gate in gates { li { (self::gate(gate, now)) } }
        }
    }
}

fn gate(gate: &pb::Gate, now: Timestamp) -> Markup {
    let kind = word(gate.kind().as_str_name(), "GATE_KIND_");
    let party = word(gate.party().as_str_name(), "PARTY_");
    let state = word(gate.state().as_str_name(), "GATE_STATE_");
    let silence = word(gate.on_timeout().as_str_name(), "ON_TIMEOUT_");
    let is_open = gate.state() == pb::GateState::Open;
    html! {
        (kind) " of the " (party) " " (chip(&state))
        @if is_open && gate.respond_by.is_some() {
            " by " (words::deadline(gate.respond_by.as_ref(), now)) "; silence: " (silence)
        }
        @if let Some(answer) = &gate.answer {
            " answered by " (words::actor(answer.by.as_ref()))
            @if !answer.code.is_empty() { " " code { (answer.code) } }
            @if !answer.note.is_empty() { ": " (answer.note) }
        }
    }
}

/// Gates that there would be; with the distances of their deadlines, where these are to come.
pub(super) fn gates_to_come(gates: &[pb::GatePreview], now: Option<Timestamp>) -> Markup {
    if gates.is_empty() {
        return html! { (words::NOTHING) };
    }
    let by = |gate: &pb::GatePreview| match now {
        Some(now) => words::deadline(gate.respond_by.as_ref(), now),
        None => words::time(gate.respond_by.as_ref()),
    };
    html! {
        ul class="plain" {
            @for gate in gates {
                li {
                    (word(gate.kind().as_str_name(), "GATE_KIND_"))
                    " of the " (word(gate.party().as_str_name(), "PARTY_"))
                    @if gate.respond_by.is_some() { " by " (by(gate)) }
                    @if gate.on_timeout() != pb::OnTimeout::Unspecified {
                        "; silence: " (word(gate.on_timeout().as_str_name(), "ON_TIMEOUT_"))
                    }
                }
            }
        }
    }
}

/// The earliest deadline among the open gates of a cancellation.
pub(super) fn nearest(of: &pb::Cancellation) -> Option<Timestamp> {
    let gates = of.parts.iter().flat_map(|part| &part.gates);
    let open = gates.filter(|gate| gate.state() == pb::GateState::Open);
    open.filter_map(|gate| words::instant(gate.respond_by.as_ref()))
        .min()
}

pub(super) const REFUNDS: &[&str] = &[
    "Refund",
    "State",
    "Kind",
    "#Amount",
    "Due by",
    "Settled",
    "Cancellation",
    "Payment",
    "Worker",
    "Failure",
];

/// With a store where each leads to its order.
pub(super) fn refunds(refunds: &[pb::Refund], store: Option<&str>, now: Timestamp) -> Vec<Markup> {
    refunds
        .iter()
        .map(|refund| self::refund(refund, store, now))
        .collect()
}

fn refund(refund: &pb::Refund, store: Option<&str>, now: Timestamp) -> Markup {
    let state = word(refund.state().as_str_name(), "REFUND_STATE_");
    let kind = word(refund.kind().as_str_name(), "REFUND_KIND_");
    html! {
        th scope="row" { (child(store, &refund.order_id, &refund.refund_id)) }
        td { (chip(&state)) @if refund.overdue { " " (chip("overdue")) } }
        td { (kind) }
        td class="number" { (words::refund(refund.amount.as_ref())) }
        td { (words::deadline(refund.due_by.as_ref(), now)) }
        td { (words::time(refund.settle_time.as_ref())) }
        td { (words::or_nothing(&refund.cancellation_id)) }
        td { (words::or_nothing(&refund.payment_id)) }
        td { (words::or_nothing(&refund.worker_id)) }
        td { (words::or_nothing(&refund.failure_code)) }
    }
}

pub(super) const INCIDENTS: &[&str] = &[
    "Incident",
    "Kind",
    "State",
    "About",
    "#Amount",
    "May be resolved by",
    "Opened",
    "Resolved",
    "Note",
];

/// With a store where each leads to its order.
pub(super) fn incidents(incidents: &[pb::Incident], store: Option<&str>) -> Vec<Markup> {
    incidents
        .iter()
        .map(|incident| self::incident(incident, store))
        .collect()
}

fn incident(incident: &pb::Incident, store: Option<&str>) -> Markup {
    const RESOLUTION: &str = "INCIDENT_RESOLUTION_";
    let kind = word(incident.kind().as_str_name(), "INCIDENT_KIND_");
    let state = word(incident.state().as_str_name(), "INCIDENT_STATE_");
    let resolutions = incident.allowed_resolutions();
    let resolutions = resolutions.map(|resolution| word(resolution.as_str_name(), RESOLUTION));
    let resolutions = resolutions.collect::<Vec<_>>().join(", ");
    html! {
        th scope="row" { (child(store, &incident.order_id, &incident.incident_id)) }
        td { (kind) }
        td { (chip(&state)) }
        td { (words::or_nothing(&incident.subject_id)) }
        td class="number" { (money(incident.amount.as_ref())) }
        td { (words::or_nothing(&resolutions)) }
        td { (words::time(incident.create_time.as_ref())) }
        td {
            (words::time(incident.resolve_time.as_ref()))
            @if incident.resolve_time.is_some() {
                ", " (word(incident.resolution().as_str_name(), RESOLUTION))
                " by " (words::actor(incident.resolved_by.as_ref()))
            }
        }
        td { (words::or_nothing(&incident.note)) }
    }
}

fn child(store: Option<&str>, order: &str, id: &str) -> Markup {
    html! {
        @match store {
            Some(store) => a href=(links::order(store, order)) { (id) },
            None => (id),
        }
    }
}
