//! The gates of a rule: the answers that a path waits for.

use crate::document::{Errors, Node, Object};
use crate::period::Period;
use crate::policy::{Consequence, Rule};
use crate::terms::{GateKind, GateSpec, OnDispatch, OnLost, OnTimeout};

const KEYS: &[&str] = &[
    "kind",
    "respond_within",
    "remind_before",
    "on_timeout",
    "escalate_within",
    "on_dispatch",
    "on_lost",
];

/// Each kind at most once: a gate that has passed is told from one that has not by its kind.
pub(super) fn gates(node: &Node<'_>, errors: &mut Errors) -> Vec<GateSpec> {
    let mut gates: Vec<GateSpec> = Vec::new();
    for entry in node.list(GateKind::ALL.len(), errors) {
        let Some(gate) = gate(&entry, errors) else {
            continue;
        };
        if gates.iter().any(|earlier| earlier.kind == gate.kind) {
            entry.error(
                format!("must be the only {} of its rule", gate.kind),
                errors,
            );
        }
        gates.push(gate);
    }
    gates
}

/// Whether some gate counts working days by the calendar of the document. A warehouse has one of
/// its own, but support that is asked in its place has not.
pub(super) fn count_days_by_default(rules: &[Rule]) -> bool {
    let counts_days = |period: Option<Period>| matches!(period, Some(Period::WorkingDays(_)));
    let by_default = |gate: &GateSpec| match gate.kind {
        GateKind::WarehouseStop | GateKind::ParcelReceipt => {
            may_escalate(gate) && counts_days(gate.escalate_within.or(gate.respond_within))
        }
        GateKind::SellerConsent
        | GateKind::SupportReview
        | GateKind::CarrierIntercept
        | GateKind::LossConfirmation => {
            counts_days(gate.respond_within) || counts_days(gate.escalate_within)
        }
    };
    rules.iter().any(|rule| match &rule.then {
        Consequence::Allow(allow) => allow.gates.iter().any(by_default),
        Consequence::Deny(_) => false,
    })
}

/// Whether support may come to be asked instead of whom the gate asks. Nothing gets lost while a
/// consent is awaited: whose consent is asked goes on being asked.
fn may_escalate(gate: &GateSpec) -> bool {
    gate.on_timeout == OnTimeout::Escalate
        || (!gate.kind.is_consent() && gate.on_lost == OnLost::Escalate)
}

fn gate(node: &Node<'_>, errors: &mut Errors) -> Option<GateSpec> {
    let object = node.object(KEYS, errors)?;
    let kind = object
        .require("kind", errors)
        .and_then(|node| node.name(GateKind::ALL, errors));
    let respond_within = object
        .get("respond_within")
        .and_then(|node| node.wait(errors));
    let remind_before = object
        .get("remind_before")
        .and_then(|node| node.positive_duration(errors));
    let on_timeout = object
        .get("on_timeout")
        .and_then(|node| node.name(OnTimeout::ALL, errors));
    let escalate_within = object
        .get("escalate_within")
        .and_then(|node| node.wait(errors));
    let on_dispatch = object
        .get("on_dispatch")
        .and_then(|node| node.name(OnDispatch::ALL, errors));
    let on_lost = object
        .get("on_lost")
        .and_then(|node| node.name(OnLost::ALL, errors));
    let kind = kind?;
    // The safe side where the document leaves it open: nothing is cancelled by silence, nothing
    // leaves while somebody is asked, and what got lost is for people to judge; save where the loss
    // is what was asked about.
    let usually_on_lost = if kind == GateKind::LossConfirmation {
        OnLost::Pass
    } else {
        OnLost::Escalate
    };
    let gate = GateSpec {
        kind,
        respond_within,
        remind_before,
        on_timeout: on_timeout.unwrap_or(OnTimeout::Refuse),
        escalate_within,
        on_dispatch: on_dispatch.unwrap_or(OnDispatch::Bar),
        on_lost: on_lost.unwrap_or(usually_on_lost),
    };
    check_deadline(&object, &gate, errors);
    check_answers(node, &gate, errors);
    Some(gate)
}

/// What hangs on a deadline needs one.
fn check_deadline(object: &Object<'_>, gate: &GateSpec, errors: &mut Errors) {
    let at = |key: &str| format!("{}.{key}", object.path);
    let has_deadline = object.get("respond_within").is_some();
    if gate.kind.is_consent() && !has_deadline {
        errors.add(
            &at("respond_within"),
            format!(
                "is required: {} may stay silent for ever",
                gate.kind.party()
            ),
        );
    }
    let has_escalation = object.get("escalate_within").is_some();
    match (has_deadline, object.get("on_timeout").is_some()) {
        (true, false) => errors.add(&at("on_timeout"), "is required with respond_within"),
        (false, true) => errors.add(
            &at("on_timeout"),
            "has no respond_within after which it would happen",
        ),
        // A shipment that is stopped is not on its way and cannot get lost.
        (false, false)
            if may_escalate(gate) && !has_escalation && gate.kind != GateKind::WarehouseStop =>
        {
            let description = "is required without respond_within: support that is asked may stay silent for ever";
            errors.add(&at("escalate_within"), description);
        }
        (true, true) | (false, false) => {}
    }
    if object.get("remind_before").is_some() && !has_deadline {
        errors.add(
            &at("remind_before"),
            "has no respond_within before which it would happen",
        );
    }
    if let (Some(before), Some(Period::Time(within))) = (gate.remind_before, gate.respond_within)
        && before >= within
    {
        errors.add(
            &at("remind_before"),
            "must be shorter than respond_within: nobody is reminded before being asked",
        );
    }
    if has_escalation && !may_escalate(gate) {
        errors.add(
            &at("escalate_within"),
            "has no ESCALATE after which it would begin",
        );
    }
}

/// Which answers make no sense for which gate.
fn check_answers(node: &Node<'_>, gate: &GateSpec, errors: &mut Errors) {
    let at = |key: &str| format!("{}.{key}", node.path);
    if gate.on_timeout == OnTimeout::Pass && !gate.kind.is_consent() {
        let description = format!(
            "must be REFUSE or ESCALATE: nobody's silence makes {} a fact",
            gate.kind
        );
        errors.add(&at("on_timeout"), description);
    }
    if gate.on_timeout == OnTimeout::Escalate && gate.kind == GateKind::SupportReview {
        errors.add(
            &at("on_timeout"),
            "must be PASS or REFUSE: support is whom others escalate to",
        );
    }
    if gate.kind == GateKind::WarehouseStop && gate.on_dispatch != OnDispatch::Bar {
        errors.add(
            &at("on_dispatch"),
            "must be BAR: a stop is what keeps a shipment in",
        );
    }
    if gate.kind == GateKind::LossConfirmation && gate.on_lost != OnLost::Pass {
        errors.add(
            &at("on_lost"),
            "must be PASS: the loss is what is to be confirmed",
        );
    }
}
