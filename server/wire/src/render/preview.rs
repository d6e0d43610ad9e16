//! The preview of a RequestCancellation, as messages.

use belay_domain::cancellation::LabelState;
use belay_domain::commands::{
    ListedReason, ListedReasons, Preview, PreviewedGate, PreviewedPath, PreviewedVerdict,
    RequestCancellation,
};
use belay_domain::context::StoreConfig;
use belay_domain::ids::ChildKind;
use belay_domain::language;
use belay_domain::order::Order;
use belay_domain::policy::{Policy, RefundDue};
use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::cancellation::gate_preview;
use crate::Wire;
use crate::enums::numbers;
use crate::quote;
use crate::rejections::{RequestIds, proto_rejections};
use crate::values::{count, deductions, etag, line_quantities, money, refund_amount, time};
use crate::views::Viewer;

/// As the viewer sees it. `now` is the moment for which the preview holds.
pub fn preview(
    viewer: &Viewer<'_>,
    asked: (&Order, &RequestCancellation),
    preview: &Preview,
    store: &StoreConfig,
    now: Timestamp,
    identity_key: &[u8; 32],
) -> pb::PreviewCancellationResponse {
    viewer.shown(whole(asked, preview, store, now, identity_key))
}

/// The reasons that a requester may give, as the viewer sees them, in the first of these languages
/// that there is.
pub fn reasons(
    viewer: &Viewer<'_>,
    order: &Order,
    listed: &ListedReasons<'_>,
    languages: &[String],
    now: Timestamp,
) -> pb::ListReasonsResponse {
    let reasons = listed.reasons.iter();
    viewer.shown(pb::ListReasonsResponse {
        reasons: reasons
            .map(|listed| reason(order, listed, languages))
            .collect(),
        reason_required: listed.is_required,
        policy_version: count(listed.policy_version),
        order_etag: etag(order.version),
        decide_time: Some(time(now)),
    })
}

fn reason(
    order: &Order,
    listed: &ListedReason<'_>,
    languages: &[String],
) -> pb::CancellationReason {
    let ListedReason { reason, outcome } = listed;
    let named = RequestIds {
        order: order.id.clone(),
        child: None,
        request_id: None,
    };
    // Of several violations the first, as of several rejections.
    let rejection = outcome.as_ref().err();
    let rejection =
        rejection.and_then(|rejection| proto_rejections(rejection, &named).into_iter().next());
    let outcome = outcome.as_ref().ok();
    let (language, label) = match reason.labels.best(languages) {
        Some((language, label)) => (language.to_owned(), label.to_owned()),
        None => (String::new(), language::spoken(&reason.code)),
    };
    pb::CancellationReason {
        code: reason.code.clone(),
        label,
        language,
        note_required: reason.note_required,
        evidence_required: reason.evidence_required,
        evidence_channels: reason.evidence_channels.clone(),
        allowed: outcome.is_some(),
        rejection: rejection.map(pb::Rejection::from),
        waits: outcome.is_some_and(|outcome| outcome.waits),
        expected_refund: outcome.map(|outcome| refund_amount(order.currency, outcome.refund)),
        expected_release: outcome.map(|outcome| money(order.currency, outcome.release)),
        counted: reason.counted,
        effects: numbers(&reason.effects),
        next_actions: numbers(&reason.next_actions),
    }
}

fn whole(
    (order, request): (&Order, &RequestCancellation),
    preview: &Preview,
    store: &StoreConfig,
    now: Timestamp,
    identity_key: &[u8; 32],
) -> pb::PreviewCancellationResponse {
    let policy = store.policies.version(preview.policy_version);
    let reason = request
        .reason
        .as_deref()
        .and_then(|code| policy?.reason(code));
    let named = RequestIds {
        order: order.id.clone(),
        child: None,
        request_id: None,
    };
    let allowed = preview.rejections.is_empty();
    // The last of the refund is due when the slowest of the chosen paths lets its clock start.
    let chosen = chosen_paths(preview, request);
    let due = |gates: &[PreviewedGate]| {
        policy.map(|policy| refund_due(policy, gates, preview.refund_due_by))
    };
    let gates: Vec<PreviewedGate> = chosen
        .iter()
        .flat_map(|path| gates_of(path))
        .cloned()
        .collect();
    pb::PreviewCancellationResponse {
        allowed,
        rejections: preview
            .rejections
            .iter()
            .flat_map(|rejection| proto_rejections(rejection, &named))
            .map(pb::Rejection::from)
            .collect(),
        options: preview
            .paths
            .iter()
            .map(|path| {
                let is_chosen = chosen.iter().any(|chosen| std::ptr::eq(*chosen, path));
                path_option(order, path, is_chosen, due(gates_of(path)))
            })
            .collect(),
        expected_refund: allowed.then(|| refund_amount(order.currency, preview.refund)),
        expected_release: allowed.then(|| money(order.currency, preview.release)),
        refund_due: due(&gates).filter(|_| allowed),
        note_required: reason.is_some_and(|reason| reason.note_required),
        evidence_required: reason.is_some_and(|reason| reason.evidence_required),
        counted: preview.counted,
        effects: numbers(&preview.effects),
        policy_version: count(preview.policy_version),
        order_etag: etag(order.version),
        decide_time: Some(time(now)),
        next_actions: numbers(&preview.next_actions),
        quote: preview
            .quote
            .as_ref()
            .map(|quote| quote::write(quote, identity_key))
            .unwrap_or_default(),
        quote_valid_until: preview.quote.as_ref().map(|quote| time(quote.valid_until)),
        // It is not of the order alone: see `quality::preview`.
        quality: None,
    }
}

/// Of each portion the first path, in the order of preference, that is allowed. A shipment has
/// several where some of it is home.
fn chosen_paths<'a>(preview: &'a Preview, request: &RequestCancellation) -> Vec<&'a PreviewedPath> {
    let is_of_one =
        |a: &PreviewedPath, b: &PreviewedPath| a.shipment == b.shipment && a.units == b.units;
    let first_allowed = |portion: &'a [PreviewedPath]| {
        request.paths.iter().find_map(|wanted| {
            portion.iter().find(|path| {
                let is_allowed = matches!(path.verdict, PreviewedVerdict::Allowed { .. });
                path.path == *wanted && is_allowed
            })
        })
    };
    let portions = preview.paths.chunk_by(is_of_one);
    portions.filter_map(first_allowed).collect()
}

fn gates_of(path: &PreviewedPath) -> &[PreviewedGate] {
    match &path.verdict {
        PreviewedVerdict::Allowed { gates, .. } => gates,
        PreviewedVerdict::Denied(_) => &[],
    }
}

/// Where somebody has to act first, the clock of the refund starts only then.
fn refund_due(policy: &Policy, gates: &[PreviewedGate], due_by: Timestamp) -> pb::RefundDue {
    pb::RefundDue {
        immediate: matches!(policy.refunds.due, RefundDue::Immediate),
        due_by: gates.is_empty().then(|| time(due_by)),
    }
}

fn path_option(
    order: &Order,
    path: &PreviewedPath,
    chosen: bool,
    due: Option<pb::RefundDue>,
) -> pb::PathOption {
    let option = pb::PathOption {
        shipment_id: ChildKind::Shipment.id(&order.id, path.shipment),
        path: path.path.number(),
        chosen,
        rule: path.rule.clone().unwrap_or_default(),
        contents: line_quantities(&order.id, &path.units),
        ..pb::PathOption::default()
    };
    match &path.verdict {
        PreviewedVerdict::Allowed {
            gates,
            refund,
            credit,
            label,
            without_label,
            available_until,
        } => pb::PathOption {
            allowed: true,
            gates: gates.iter().map(gate_preview).collect(),
            expected_refund: Some(refund_amount(order.currency, refund.amounts)),
            credit: Some(refund_amount(order.currency, *credit)),
            refund_due: due,
            deductions: Some(deductions(order.currency, refund.deductions)),
            label: label.map_or(0, Wire::number),
            label_instructions: without_label.clone().unwrap_or_default(),
            available_until: available_until.map(time),
            ..option
        },
        PreviewedVerdict::Denied(denied) => pb::PathOption {
            refused_reason: denied.code.reason().name().to_owned(),
            next_actions: numbers(&denied.next_actions),
            label: denied
                .without_label
                .as_ref()
                .map_or(0, |_| LabelState::UnavailableInRegion.number()),
            label_instructions: denied.without_label.clone().unwrap_or_default(),
            available_from: denied.available_from.map(time),
            ..option
        },
    }
}
