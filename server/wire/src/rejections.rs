//! A rejection in the words of the protos: for the status of a call that failed and for a preview
//! that lists the rejections of a request.

use std::collections::HashMap;

use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::incident::Resolution;
use belay_domain::money::Currency;
use belay_domain::rejection::{Denial, FieldViolation, Limit, Rejection};
use belay_domain::shipment::Stage;
use belay_domain::terms::{GateKind, NextAction};
use belay_domain::units::LineQuantity;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use uuid::Uuid;

use super::values::etag;

/// Longest list or text in metadata, in bytes: a list is cut between two entries.
const VALUE_BYTES_MAX: usize = 1024;
/// Metadata that is a list with commas in between, or a text of any length, and may be cut. All
/// other metadata is short.
pub const LIST_KEYS: &[&str] = &[
    "acceptable",
    "cancellation_ids",
    "channels",
    "next_actions",
    "reasons",
    "resolutions",
];
pub const TEXT_KEYS: &[&str] = &["label_instructions", "present", "quoted"];

/// The key under which is told how many entries of a list, or characters of a text, were left out;
/// absent where none were.
pub fn left_out_key(key: &str) -> String {
    format!("{key}_left_out")
}

/// A rejection in proto form.
#[derive(Debug, Clone)]
pub struct ProtoRejection {
    pub reason: ErrorReason,
    /// The id that it is about; empty where it is about the request itself.
    pub subject: String,
    pub message: String,
    pub metadata: HashMap<String, String>,
}

impl From<ProtoRejection> for pb::Rejection {
    fn from(rejection: ProtoRejection) -> Self {
        Self {
            reason: rejection.reason.name().to_owned(),
            subject: rejection.subject,
            message: rejection.message,
            metadata: rejection.metadata.into_iter().collect(),
        }
    }
}

/// The ids that a request named: what a rejection leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestIds {
    pub order: OrderId,
    /// What the request names below its order.
    pub child: Option<(ChildKind, u32)>,
    pub request_id: Option<Uuid>,
}

/// Everything that a rejection says stands against the request, the decisive one first; never
/// empty.
pub fn proto_rejections(rejection: &Rejection, named: &RequestIds) -> Vec<ProtoRejection> {
    if let Rejection::Ineligible {
        violations,
        acceptable,
    } = rejection
        && !violations.is_empty()
    {
        let acceptable = acceptable.iter().map(|LineQuantity { line, quantity }| {
            format!("{}={quantity}", ChildKind::Line.id(&named.order, *line))
        });
        let acceptable: Vec<String> = acceptable.collect();
        return violations
            .iter()
            .map(|violation| denied(violation, &acceptable, named))
            .collect();
    }
    vec![describe(rejection, named)]
}

fn denied(violation: &Denial, acceptable: &[String], named: &RequestIds) -> ProtoRejection {
    let shipment = ChildKind::Shipment.id(&named.order, violation.shipment);
    let message = format!(
        "the policy does not allow {} for {shipment}: {}",
        violation.path, violation.code
    );
    let mut told = RejectionBuilder {
        subject: shipment.clone(),
        message,
        metadata: Vec::new(),
    }
    .with("shipment_id", shipment)
    .with("path", violation.path)
    .with("rule", violation.rule.as_deref().unwrap_or_default())
    .with_names(
        "next_actions",
        violation.next_actions.iter().map(|action| action.name()),
    );
    if let Some(from) = violation.available_from {
        told = told.with("available_from", from);
    }
    if let Some(instructions) = &violation.without_label {
        told = told.with_text("label_instructions", instructions);
    }
    if let Some(pay_by) = violation.pay_by {
        told = told.with("pay_by", pay_by);
    }
    if !acceptable.is_empty() {
        told = told.with_list("acceptable", acceptable.iter().cloned());
    }
    told.under(violation.code.reason())
}

#[expect(clippy::too_many_lines, reason = "a table: a row for each rejection")]
fn describe(rejection: &Rejection, named: &RequestIds) -> ProtoRejection {
    let told = match rejection {
        Rejection::InvalidField(violations) => invalid_field(named, violations),
        Rejection::OrderNotFound => named.whole(format!("there is no order {}", named.order)),
        Rejection::OutOfScope => named.whole("this reaches beyond what the caller sees"),
        Rejection::LineNotFound { line } => named.absent("line", ChildKind::Line, *line),
        Rejection::ShipmentNotFound { shipment } => {
            named.absent("shipment", ChildKind::Shipment, *shipment)
        }
        Rejection::CancellationNotFound { cancellation } => {
            named.absent("cancellation", ChildKind::Cancellation, *cancellation)
        }
        Rejection::RefundNotFound { refund } => named.absent("refund", ChildKind::Refund, *refund),
        Rejection::IncidentNotFound { incident } => {
            named.absent("incident", ChildKind::Incident, *incident)
        }
        Rejection::RequestIdReused => request_id_reused(named),
        Rejection::OrderAlreadyExists => order_already_exists(named),
        Rejection::EtagMismatch { present } => etag_mismatch(named, *present),
        Rejection::FenceStale {
            present,
            stage,
            cancellations,
        } => fence_stale(named, *present, *stage, cancellations),
        Rejection::QuoteExpired { valid_until } => quote_expired(named, *valid_until),
        Rejection::QuoteMismatch { quoted, present } => quote_mismatch(named, quoted, present),
        Rejection::UnknownWarehouse { warehouse } => named.unknown("warehouse", warehouse.as_str()),
        Rejection::UnknownCarrier { carrier } => named.unknown("carrier", carrier.as_str()),
        Rejection::ReasonRequired { declared } => named
            .of_order("the policy requires a reason")
            .with_reasons(declared),
        Rejection::ReasonUnknown { reason, declared } => named
            .of_reason(reason, format!("the policy declares no reason {reason}"))
            .with_reasons(declared),
        Rejection::ReasonNotAllowed { reason, declared } => {
            let message = format!("the policy does not take {reason} from this requester");
            named.of_reason(reason, message).with_reasons(declared)
        }
        Rejection::NoteRequired { reason } => {
            named.of_reason(reason, format!("{reason} needs a note"))
        }
        Rejection::EvidenceRequired { reason, channels } => {
            evidence_required(named, reason, channels)
        }
        Rejection::AlreadyPending { cancellation } => already_pending(named, *cancellation),
        Rejection::UnitsClaimed {
            line,
            requested,
            available,
        } => quantity(
            named,
            *line,
            *requested,
            *available,
            "neither cancelled nor claimed",
        ),
        Rejection::QuantityUnavailable {
            line,
            requested,
            available,
        } => quantity(named, *line, *requested, *available, "left"),
        Rejection::NothingToCancel => {
            named.whole("all of the requested units are cancelled already")
        }
        // Without a violation there is nothing that could have been cancelled.
        Rejection::Ineligible { .. } => named.whole("no rule allows it"),
        Rejection::GateNotOpen { gate } => gate_not_open(named, *gate),
        Rejection::GateTimedOut { respond_by } => gate_timed_out(named, *respond_by),
        Rejection::NotTheRequester => named.of_child("only the requester may withdraw it"),
        Rejection::TooLateToWithdraw { gate } => too_late_to_withdraw(named, *gate),
        Rejection::PaymentLapsed { pay_by } => payment_lapsed(named, *pay_by),
        Rejection::NotReleased => named.of_child("the shipment is not released yet"),
        Rejection::StageMismatch { stage } => stage_mismatch(named, *stage),
        Rejection::ShipmentHeld { until } => shipment_held(named, *until),
        Rejection::ShipmentBarred { cancellation } => shipment_barred(named, *cancellation),
        Rejection::SplitNotAllowed { next_actions } => split_not_allowed(named, next_actions),
        Rejection::CurrencyMismatch { expected } => currency_mismatch(named, *expected),
        Rejection::RefundNotClaimed { refund } => refund_not_claimed(named, *refund),
        Rejection::IncidentResolved { resolution } => incident_resolved(named, *resolution),
        Rejection::ResolutionNotAllowed { allowed } => resolution_not_allowed(named, allowed),
        Rejection::LimitReached { limit, max } => limit_reached(named, *limit, *max),
    };
    told.under(rejection.reason())
}

/// The builder of a rejection in proto form.
struct RejectionBuilder {
    subject: String,
    message: String,
    metadata: Vec<(String, String)>,
}

impl RejectionBuilder {
    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.push((key.to_owned(), value.to_string()));
        self
    }

    /// One of [`LIST_KEYS`].
    fn with_list(self, key: &str, entries: impl IntoIterator<Item = String>) -> Self {
        let (mut list, mut left_out) = (String::new(), 0);
        for entry in entries {
            if left_out > 0 || list.len() + entry.len() + 1 > VALUE_BYTES_MAX {
                left_out += 1;
                continue;
            }
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(&entry);
        }
        self.with(key, list).without(key, left_out)
    }

    fn with_names<'a>(self, key: &str, names: impl Iterator<Item = &'a str>) -> Self {
        self.with_list(key, names.map(str::to_owned))
    }

    /// One of [`TEXT_KEYS`].
    fn with_text(self, key: &str, text: &str) -> Self {
        let mut ends = (0..=VALUE_BYTES_MAX.min(text.len())).rev();
        let (told, left) = text.split_at(ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0));
        self.with(key, told).without(key, left.chars().count())
    }

    fn without(self, key: &str, left_out: usize) -> Self {
        if left_out > 0 {
            self.with(&left_out_key(key), left_out)
        } else {
            self
        }
    }

    fn with_reasons(self, declared: &[String]) -> Self {
        self.with_list("reasons", declared.iter().cloned())
    }

    fn under(self, reason: ErrorReason) -> ProtoRejection {
        ProtoRejection {
            reason,
            subject: self.subject,
            message: self.message,
            metadata: self.metadata.into_iter().collect(),
        }
    }
}

impl RequestIds {
    fn of_order(&self, message: impl Into<String>) -> RejectionBuilder {
        RejectionBuilder {
            subject: self.order.to_string(),
            message: message.into(),
            metadata: Vec::new(),
        }
    }

    /// With the order's id, under its name.
    fn whole(&self, message: impl Into<String>) -> RejectionBuilder {
        self.of_order(message).with("order_id", &self.order)
    }

    /// Of what the request names below its order; of the order where it names nothing.
    fn of_child(&self, message: impl Into<String>) -> RejectionBuilder {
        let Some((kind, number)) = self.child else {
            return self.of_order(message);
        };
        self.of(kind, number, message)
    }

    /// With the id, under its name.
    fn of(&self, kind: ChildKind, number: u32, message: impl Into<String>) -> RejectionBuilder {
        let id = kind.id(&self.order, number);
        RejectionBuilder {
            subject: id.clone(),
            message: message.into(),
            metadata: vec![(id_key(kind).to_owned(), id)],
        }
    }

    fn of_reason(&self, reason: &str, message: impl Into<String>) -> RejectionBuilder {
        self.of_order(message).with("reason", reason)
    }

    fn unknown(&self, what: &str, id: &str) -> RejectionBuilder {
        self.of_order(format!("the store has no {what} {id}"))
            .with(&format!("{what}_id"), id)
    }

    fn absent(&self, what: &str, kind: ChildKind, number: u32) -> RejectionBuilder {
        self.of(
            kind,
            number,
            format!("there is no {what} {}", kind.id(&self.order, number)),
        )
    }
}

fn id_key(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Line => "line_id",
        ChildKind::Payment => "payment_id",
        ChildKind::Shipment => "shipment_id",
        ChildKind::Cancellation => "cancellation_id",
        ChildKind::Refund => "refund_id",
        ChildKind::Incident => "incident_id",
        ChildKind::Note => "note_id",
    }
}

fn invalid_field(named: &RequestIds, violations: &[FieldViolation]) -> RejectionBuilder {
    let first = violations
        .first()
        .map(|first| format!("{}: {}", first.field, first.description));
    named.of_order(first.unwrap_or_default())
}

fn request_id_reused(named: &RequestIds) -> RejectionBuilder {
    let id = named
        .request_id
        .map(|id| id.to_string())
        .unwrap_or_default();
    named
        .of_order("this request_id was used for another content")
        .with("request_id", id)
}

fn order_already_exists(named: &RequestIds) -> RejectionBuilder {
    named.whole(format!(
        "there is an order {} with another content",
        named.order
    ))
}

fn etag_mismatch(named: &RequestIds, present: u64) -> RejectionBuilder {
    let message = "the order has changed since";
    named.of_order(message).with("etag", etag(present))
}

fn fence_stale(
    named: &RequestIds,
    present: u32,
    stage: Stage,
    cancellations: &[u32],
) -> RejectionBuilder {
    let ids = cancellations
        .iter()
        .map(|number| ChildKind::Cancellation.id(&named.order, *number));
    named
        .of_child(format!("something opened or ended on the shipment since its fence was read; it is {present} now"))
        .with("fence", present)
        .with("stage", stage)
        .with_list("cancellation_ids", ids)
}

fn quote_expired(named: &RequestIds, valid_until: Timestamp) -> RejectionBuilder {
    named
        .of_order(format!("the quote could be used until {valid_until}"))
        .with("quote_valid_until", valid_until)
}

fn quote_mismatch(named: &RequestIds, quoted: &str, present: &str) -> RejectionBuilder {
    named
        .of_order("the terms of the request are no longer those of the quote")
        .with_text("quoted", quoted)
        .with_text("present", present)
}

fn evidence_required(named: &RequestIds, reason: &str, channels: &[String]) -> RejectionBuilder {
    let message = if channels.is_empty() {
        format!("{reason} needs evidence")
    } else {
        format!(
            "{reason} needs evidence, each piece from one of {}",
            channels.join(", ")
        )
    };
    named
        .of_reason(reason, message)
        .with_list("channels", channels.iter().cloned())
}

fn already_pending(named: &RequestIds, cancellation: u32) -> RejectionBuilder {
    let id = ChildKind::Cancellation.id(&named.order, cancellation);
    named.of(
        ChildKind::Cancellation,
        cancellation,
        format!("{id} waits for the very same units"),
    )
}

fn quantity(
    named: &RequestIds,
    line: u32,
    requested: u32,
    available: u32,
    how: &str,
) -> RejectionBuilder {
    let message = format!("{requested} units are requested, {available} are {how}");
    named
        .of(ChildKind::Line, line, message)
        .with("requested", requested)
        .with("available", available)
}

fn gate_not_open(named: &RequestIds, gate: GateKind) -> RejectionBuilder {
    named
        .of_child(format!("no gate {gate} awaits an answer, and none did"))
        .with("gate", gate)
}

fn gate_timed_out(named: &RequestIds, respond_by: Timestamp) -> RejectionBuilder {
    named
        .of_child(format!("the answer was awaited until {respond_by}"))
        .with("respond_by", respond_by)
}

fn too_late_to_withdraw(named: &RequestIds, gate: Option<GateKind>) -> RejectionBuilder {
    let message = match gate {
        Some(gate) => format!("a warehouse or a carrier has acted on it at {gate}"),
        None => "it is over".to_owned(),
    };
    named
        .of_child(message)
        .with("gate", gate.map_or("", GateKind::name))
}

fn stage_mismatch(named: &RequestIds, stage: Stage) -> RejectionBuilder {
    named
        .of_child(format!("this step does not lead on from {stage}"))
        .with("stage", stage)
}

fn payment_lapsed(named: &RequestIds, pay_by: Timestamp) -> RejectionBuilder {
    named
        .of_child(format!(
            "the order is no longer paid, and closes at {pay_by}"
        ))
        .with("pay_by", pay_by)
}

fn shipment_held(named: &RequestIds, until: Timestamp) -> RejectionBuilder {
    named
        .of_child(format!("the shipment is held until {until}"))
        .with("hold_until", until)
}

fn shipment_barred(named: &RequestIds, cancellation: u32) -> RejectionBuilder {
    let id = ChildKind::Cancellation.id(&named.order, cancellation);
    named
        .of_child(format!("{id} waits for units of the shipment"))
        .with("cancellation_id", id)
}

fn split_not_allowed(named: &RequestIds, next_actions: &[NextAction]) -> RejectionBuilder {
    let message = "customs may stop the shipment, and the policy does not offer to split it";
    named.of_child(message).with_names(
        "next_actions",
        next_actions.iter().map(|action| action.name()),
    )
}

fn currency_mismatch(named: &RequestIds, expected: Currency) -> RejectionBuilder {
    let code = expected.code();
    named
        .of_order(format!("all money of the order is in one currency, {code}"))
        .with("currency_code", code)
}

fn refund_not_claimed(named: &RequestIds, refund: u32) -> RejectionBuilder {
    let id = ChildKind::Refund.id(&named.order, refund);
    named.of(
        ChildKind::Refund,
        refund,
        format!("no worker has claimed {id}"),
    )
}

fn incident_resolved(named: &RequestIds, resolution: Option<Resolution>) -> RejectionBuilder {
    let message = match resolution {
        Some(resolution) => format!("the incident was resolved by {resolution}"),
        None => "the incident was resolved by a later fact".to_owned(),
    };
    named
        .of_child(message)
        .with("resolution", resolution.map_or("", Resolution::name))
}

fn resolution_not_allowed(named: &RequestIds, allowed: &[Resolution]) -> RejectionBuilder {
    let message = "the resolution is not allowed for the incident now";
    named.of_child(message).with_names(
        "resolutions",
        allowed.iter().map(|resolution| resolution.name()),
    )
}

fn limit_reached(named: &RequestIds, limit: Limit, max: usize) -> RejectionBuilder {
    let message = format!("the order has as many {limit} as it may have, {max}");
    named
        .of_order(message)
        .with("limit", limit)
        .with("limit_max", max)
}
