//! The reasons that a document declares: why a cancellation may be asked, and by whom.

use super::limits::{EVIDENCE_CHANNELS_MAX, LABEL_CHARS_MAX, LANGUAGES_MAX, REASONS_MAX};
use super::{REQUESTERS, next_actions};
use crate::actor::Role;
use crate::cancellation::{PARCEL_RETURNED, PAYMENT_EXPIRED};
use crate::document::{Errors, Node, Object, distinct};
use crate::language::{self, Labels};
use crate::policy::Reason;
use crate::terms::{Effect, Fault, NextAction};

const KEYS: &[&str] = &[
    "code",
    "labels",
    "actors",
    "fault",
    "note_required",
    "evidence_required",
    "evidence_channels",
    "counted",
    "effects",
    "next_actions",
];

/// Reasons that Belay itself gives, and in whose name.
const RESERVED: &[(&str, Role, &str)] = &[
    (PAYMENT_EXPIRED, Role::System, "a deadline passed"),
    (
        PARCEL_RETURNED,
        Role::Carrier,
        "a parcel came home by itself",
    ),
];

/// The codes that rules may name. A reason that is faulty otherwise still declares its code: its
/// rules are not at fault.
pub(super) fn codes(node: &Node<'_>) -> Vec<String> {
    let unheard = &mut Errors::default();
    let entries = node.list(REASONS_MAX, unheard);
    let code = |entry: &Node<'_>| {
        entry
            .object(KEYS, &mut Errors::default())?
            .get("code")?
            .code(&mut Errors::default())
    };
    entries.iter().filter_map(code).collect()
}

pub(super) fn reasons(node: &Node<'_>, errors: &mut Errors) -> Vec<Reason> {
    let entries = node.filled_list(REASONS_MAX, errors);
    let codes = codes(node);
    if !entries.is_empty() && !codes.iter().any(|code| code == PAYMENT_EXPIRED) {
        let description =
            format!("must declare {PAYMENT_EXPIRED} for SYSTEM, under which unpaid orders close");
        node.error(description, errors);
    }
    let mut reasons: Vec<Reason> = Vec::with_capacity(entries.len());
    let mut seen: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Some(object) = entry.object(KEYS, errors) else {
            continue;
        };
        let code = object
            .require("code", errors)
            .and_then(|node| node.code(errors));
        if let Some(code) = &code {
            match seen.iter().find(|(earlier, _)| earlier == code) {
                Some((_, at)) => errors.add(
                    &format!("{}.code", object.path),
                    format!("is the code of {at} already"),
                ),
                None => seen.push((code.clone(), object.path.clone())),
            }
        }
        reasons.extend(reason(&object, code, errors));
    }
    reasons
}

fn reason(object: &Object<'_>, code: Option<String>, errors: &mut Errors) -> Option<Reason> {
    let labels = object.get("labels").map(|node| labels(&node, errors));
    let actors = object.require("actors", errors).map(|node| {
        let entries = node.filled_list(REQUESTERS.len(), errors);
        distinct(&entries, errors, |entry, errors| {
            entry.name(REQUESTERS, errors)
        })
    });
    let fault = object
        .require("fault", errors)
        .and_then(|node| node.name(Fault::ALL, errors));
    let note_required = object
        .get("note_required")
        .and_then(|node| node.boolean(errors));
    let evidence_required = object
        .get("evidence_required")
        .and_then(|node| node.boolean(errors));
    let counted = object.get("counted").and_then(|node| node.boolean(errors));
    let effects = object.get("effects").map(|node| effects(&node, errors));
    let evidence_channels = object.get("evidence_channels").map(|node| {
        let entries = node.filled_list(EVIDENCE_CHANNELS_MAX, errors);
        distinct(&entries, errors, Node::code)
    });
    let next_actions = object.get("next_actions").map(|node| {
        let entries = node.list(NextAction::ALL.len(), errors);
        next_actions(&entries, errors)
    });
    let reason = Reason {
        code: code?,
        labels: labels.unwrap_or_default(),
        actors: actors?,
        fault: fault?,
        note_required: note_required.unwrap_or(false),
        evidence_required: evidence_required.unwrap_or(false),
        counted: counted.unwrap_or(false),
        effects: effects.unwrap_or_default(),
        evidence_channels: evidence_channels.unwrap_or_default(),
        next_actions: next_actions.unwrap_or_default(),
    };
    check_reserved(object, &reason, errors);
    Some(reason)
}

/// What people read, by language.
fn labels(node: &Node<'_>, errors: &mut Errors) -> Labels {
    let entries = node.entries(LANGUAGES_MAX, errors);
    let mut labels = Labels::default();
    for (tag, node) in entries {
        if !language::is_tag(tag) {
            node.error(
                "must stand under a language such as de, zh-Hant or pt-BR",
                errors,
            );
        } else if let Some(text) = node.text(LABEL_CHARS_MAX, errors) {
            labels.0.insert(tag.to_owned(), text);
        }
    }
    labels
}

fn effects(node: &Node<'_>, errors: &mut Errors) -> Vec<Effect> {
    let entries = node.list(Effect::ALL.len(), errors);
    let effects = distinct(&entries, errors, |entry, errors| {
        entry.name(Effect::ALL, errors)
    });
    if effects.contains(&Effect::ZeroStock) && effects.contains(&Effect::Restock) {
        node.error(
            "must not have both ZERO_STOCK and RESTOCK: what is put back would be on stock that is zero",
            errors,
        );
    }
    effects
}

/// A reason that Belay itself gives says what happened, not what a requester wants, and there is
/// nobody to say more.
fn check_reserved(object: &Object<'_>, reason: &Reason, errors: &mut Errors) {
    let Some((code, role, event)) = RESERVED.iter().find(|(code, ..)| *code == reason.code) else {
        return;
    };
    if reason.actors != [*role] {
        let description =
            format!("must be [{role}]: {code} says that {event}, not what a requester wants");
        errors.add(&format!("{}.actors", object.path), description);
    }
    for (key, is_required) in [
        ("note_required", reason.note_required),
        ("evidence_required", reason.evidence_required),
    ] {
        if is_required {
            let description =
                format!("must be false: Belay gives {code} with neither note nor evidence");
            errors.add(&format!("{}.{key}", object.path), description);
        }
    }
}

/// Who must name a reason. Whoever must, can.
pub(super) fn required_of(node: &Node<'_>, reasons: &[Reason], errors: &mut Errors) -> Vec<Role> {
    let entries = node.list(REQUESTERS.len(), errors);
    distinct(&entries, errors, |entry, errors| {
        let role = entry.name(REQUESTERS, errors)?;
        if !reasons.iter().any(|reason| reason.actors.contains(&role)) {
            entry.error(
                format!("must name a reason, but no reason has {role} among its actors"),
                errors,
            );
        }
        Some(role)
    })
}
