//! Requests of the CancellationService.

use belay_domain::commands::{
    ApproveCancellation, BoundQuote, Identity, IneligibleUnits, RejectCancellation,
    RequestCancellation, ResolveIncident, Selection,
};
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::terms::Path;
use belay_proto::v1 as pb;
use belay_proto::v1::on_behalf_of::Buyer;
use belay_proto::v1::preview_cancellation_request::Selection as PreviewSelection;
use belay_proto::v1::request_cancellation_request::Selection as RequestSelection;

use super::bounds::{
    EMAIL_CHARS_MAX, EVIDENCE_CHARS_MAX, EVIDENCE_MAX, QUOTE_CHARS_MAX, USERNAME_CHARS_MAX,
};
use super::quantities::line_quantities;
use super::{Violations, all, child_of, code, distinct, note, required_code, specified, text};
use crate::wire::{identity, quote};

/// Everything of the request but its store_id, request_id, etag and order_id. `order` is `None`
/// where its id was refused.
pub(crate) fn request_cancellation(
    v: &mut Violations,
    request: pb::RequestCancellationRequest,
    order: Option<&OrderId>,
    identity_key: &[u8; 32],
) -> Option<RequestCancellation> {
    let selection = match request.selection {
        Some(RequestSelection::All(pb::AllUnits {})) => Some(Selection::All),
        Some(RequestSelection::Lines(lines)) => selected_lines(v, &lines, order),
        Some(RequestSelection::ShipmentId(shipment)) => selected_shipment(v, &shipment, order),
        None => no_selection(v),
    };
    let terms = terms(
        v,
        request.reason,
        &request.paths,
        request.on_ineligible_units,
    );
    let note = note(v, request.note);
    let evidence = evidence(v, request.evidence);
    let on_behalf_of = on_behalf_of(v, request.on_behalf_of, identity_key);
    let quote = optional_quote(v, &request.quote, identity_key);
    let (reason, paths, on_ineligible_units) = terms?;
    Some(RequestCancellation {
        selection: selection?,
        reason,
        note: note?,
        evidence: evidence?,
        paths,
        on_ineligible_units,
        on_behalf_of: on_behalf_of?,
        quote: quote?,
    })
}

/// The same as a request, without a note and evidence: a preview is not refused for their lack.
pub(crate) fn preview_cancellation(
    v: &mut Violations,
    request: pb::PreviewCancellationRequest,
    order: Option<&OrderId>,
    identity_key: &[u8; 32],
) -> Option<RequestCancellation> {
    let selection = match request.selection {
        Some(PreviewSelection::All(pb::AllUnits {})) => Some(Selection::All),
        Some(PreviewSelection::Lines(lines)) => selected_lines(v, &lines, order),
        Some(PreviewSelection::ShipmentId(shipment)) => selected_shipment(v, &shipment, order),
        None => no_selection(v),
    };
    let terms = terms(
        v,
        request.reason,
        &request.paths,
        request.on_ineligible_units,
    );
    let on_behalf_of = on_behalf_of(v, request.on_behalf_of, identity_key);
    let (reason, paths, on_ineligible_units) = terms?;
    Some(RequestCancellation {
        selection: selection?,
        reason,
        note: None,
        evidence: Vec::new(),
        paths,
        on_ineligible_units,
        on_behalf_of: on_behalf_of?,
        quote: None,
    })
}

pub(crate) fn approve_cancellation(
    v: &mut Violations,
    request: pb::ApproveCancellationRequest,
    cancellation: Option<u32>,
) -> Option<ApproveCancellation> {
    let note = note(v, request.note);
    Some(ApproveCancellation {
        cancellation: cancellation?,
        note: note?,
    })
}

pub(crate) fn reject_cancellation(
    v: &mut Violations,
    request: pb::RejectCancellationRequest,
    cancellation: Option<u32>,
) -> Option<RejectCancellation> {
    let code = required_code(v, "code", request.code);
    let note = note(v, request.note);
    let evidence = evidence(v, request.evidence);
    Some(RejectCancellation {
        cancellation: cancellation?,
        code: code?,
        note: note?,
        evidence: evidence?,
    })
}

pub(crate) fn resolve_incident(
    v: &mut Violations,
    request: pb::ResolveIncidentRequest,
    incident: Option<u32>,
) -> Option<ResolveIncident> {
    let resolution = specified(v, "resolution", request.resolution);
    let note = note(v, request.note);
    Some(ResolveIncident {
        incident: incident?,
        resolution: resolution?,
        note: note?,
    })
}

fn no_selection(v: &mut Violations) -> Option<Selection> {
    // A oneof is no field: the path is that of its first.
    v.add("all", "one of all, lines and shipment_id must be given");
    None
}

fn selected_lines(
    v: &mut Violations,
    selection: &pb::LineSelection,
    order: Option<&OrderId>,
) -> Option<Selection> {
    line_quantities(v, "lines.lines", &selection.lines, 1, order).map(Selection::Lines)
}

fn selected_shipment(
    v: &mut Violations,
    shipment: &str,
    order: Option<&OrderId>,
) -> Option<Selection> {
    child_of(v, "shipment_id", shipment, ChildKind::Shipment, order).map(Selection::Shipment)
}

type Terms = (Option<String>, Vec<Path>, IneligibleUnits);

fn terms(
    v: &mut Violations,
    reason: String,
    paths: &[i32],
    on_ineligible_units: i32,
) -> Option<Terms> {
    let reason = code(v, "reason", reason);
    let path_field = |index: usize| format!("paths[{index}]");
    let read = all(paths
        .iter()
        .enumerate()
        .map(|(index, number)| specified(v, &path_field(index), *number)));
    distinct(
        v,
        paths
            .iter()
            .enumerate()
            .map(|(index, number)| (path_field(index), Some(*number))),
    );
    let on_ineligible_units = match pb::OnIneligibleUnits::try_from(on_ineligible_units) {
        Ok(pb::OnIneligibleUnits::Unspecified | pb::OnIneligibleUnits::Refuse) => {
            Some(IneligibleUnits::Refuse)
        }
        Ok(pb::OnIneligibleUnits::LeaveOut) => Some(IneligibleUnits::LeaveOut),
        Err(_) => {
            v.add(
                "on_ineligible_units",
                format!("{on_ineligible_units} is not a value that this server knows"),
            );
            None
        }
    };
    let paths = read.map(|paths| {
        if paths.is_empty() {
            vec![Path::Cancel]
        } else {
            paths
        }
    });
    Some((reason?, paths?, on_ineligible_units?))
}

fn evidence(v: &mut Violations, evidence: Vec<String>) -> Option<Vec<String>> {
    if evidence.len() > EVIDENCE_MAX {
        v.add(
            "evidence",
            format!(
                "must have at most {EVIDENCE_MAX} entries, has {}",
                evidence.len()
            ),
        );
        return None;
    }
    all(evidence.into_iter().enumerate().map(|(index, reference)| {
        let field = format!("evidence[{index}]");
        if reference.trim().is_empty() {
            v.add(&field, "must not be blank");
            return None;
        }
        text(v, &field, reference, EVIDENCE_CHARS_MAX)
    }))
}

fn optional_quote(
    v: &mut Violations,
    text: &str,
    identity_key: &[u8; 32],
) -> Option<Option<BoundQuote>> {
    if text.is_empty() {
        return Some(None);
    }
    let quote = (text.len() <= QUOTE_CHARS_MAX)
        .then(|| quote::read(text, identity_key))
        .flatten();
    if quote.is_none() {
        v.add(
            "quote",
            "is no quote that Belay gave out; it must be given back as it is",
        );
    }
    quote.map(Some)
}

/// `Some(None)` where nobody is spoken for.
fn on_behalf_of(
    v: &mut Violations,
    on_behalf_of: Option<pb::OnBehalfOf>,
    identity_key: &[u8; 32],
) -> Option<Option<Identity>> {
    let Some(on_behalf_of) = on_behalf_of else {
        return Some(None);
    };
    let (field, name, chars_max) = match &on_behalf_of.buyer {
        Some(Buyer::BuyerEmail(address)) => ("on_behalf_of.buyer_email", address, EMAIL_CHARS_MAX),
        Some(Buyer::BuyerUsername(name)) => {
            ("on_behalf_of.buyer_username", name, USERNAME_CHARS_MAX)
        }
        None => {
            v.add(
                "on_behalf_of",
                "one of buyer_email and buyer_username must be given",
            );
            return None;
        }
    };
    let name = text(v, field, name.clone(), chars_max)?;
    if name.trim().is_empty() {
        v.add(field, "must not be blank");
        return None;
    }
    Some(Some(match on_behalf_of.buyer {
        Some(Buyer::BuyerUsername(_)) => {
            Identity::Username(identity::username(identity_key, &name))
        }
        Some(Buyer::BuyerEmail(_)) | None => Identity::Email(identity::email(identity_key, &name)),
    }))
}
