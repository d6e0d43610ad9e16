//! Requests of the CancellationService.

use belay_domain::actor::Role;
use belay_domain::commands::{
    ApproveCancellation, BoundQuote, Command, Identity, IneligibleUnits, RejectCancellation,
    RequestCancellation, ResolveIncident, Selection, UpdateMetadata, WithdrawCancellation,
};
use belay_domain::ids::{CarrierId, ChildKind, OrderId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::language;
use belay_domain::query::{ActionsSummary, CancellationFilter, IncidentFilter};
use belay_domain::scope::{Caller, View};
use belay_domain::terms::Path;
use belay_proto::v1 as pb;
use belay_proto::v1::on_behalf_of::Buyer;
use belay_proto::v1::request_cancellation_request::Selection as RequestSelection;
use jiff::Timestamp;

use super::annotations::{annotations, change, change_fields};
use super::bounds::{
    AUTO_APPROVED_DEFAULT, AUTO_APPROVED_MAX, EMAIL_CHARS_MAX, EVIDENCE_CHARS_MAX, EVIDENCE_MAX,
    LANGUAGES_MAX, QUOTE_CHARS_MAX, USERNAME_CHARS_MAX,
};
use super::envelope::{
    CANCELLATION, Child, CommandRequest, INCIDENT, Reader, Target, child_of_store, store_id, target,
};
use super::lists::{ListRequest, asked_page};
use super::quantities::line_quantities;
use super::{
    Parsed, Violations, all, at_most, child_of, code, distinct_values, id, note, optional_id,
    parse, required_code, specified, text, time, unspecified_or,
};
use crate::status::CallError;
use crate::{identity, quote};

pub fn request_cancellation(
    request: pb::RequestCancellationRequest,
    reader: &Reader<'_>,
) -> Parsed<CommandRequest> {
    check_on_behalf_of(reader, request.on_behalf_of.as_ref())?;
    parse(|v| {
        let named = [
            &*request.store_id,
            &request.order_id,
            &request.request_id,
            &request.etag,
        ];
        let on = Target::order(v, named);
        let command = cancellation(v, on.order.as_ref(), request, reader);
        on.with(Command::RequestCancellation(command?))
    })
}

/// The request apart from the order that it is for.
pub(super) fn cancellation(
    v: &mut Violations,
    order: Option<&OrderId>,
    request: pb::RequestCancellationRequest,
    reader: &Reader<'_>,
) -> Option<RequestCancellation> {
    let selection = match request.selection {
        Some(RequestSelection::All(pb::AllUnits {})) => Some(Selection::All),
        Some(RequestSelection::Lines(pb::LineSelection { lines })) => {
            line_quantities(v, "lines.lines", &lines, 1, order).map(Selection::Lines)
        }
        Some(RequestSelection::ShipmentId(id)) => {
            child_of(v, "shipment_id", &id, ChildKind::Shipment, order).map(Selection::Shipment)
        }
        // A oneof is no field: the path is that of its first.
        None => v.refuse("all", "one of all, lines and shipment_id must be given"),
    };
    let terms = terms(
        v,
        request.reason,
        &request.paths,
        request.on_ineligible_units,
    );
    let note = note(v, request.note);
    let evidence = evidence(v, request.evidence);
    let on_behalf_of = on_behalf_of(v, request.on_behalf_of, reader);
    let quote = optional_quote(v, &request.quote, reader.identity_key);
    let annotations = annotations(v, request.metadata, request.external_references);
    let RequestedTerms {
        reason,
        paths,
        on_ineligible_units,
    } = terms?;
    Some(RequestCancellation {
        selection: selection?,
        reason,
        note: note?,
        evidence: evidence?,
        paths,
        on_ineligible_units,
        on_behalf_of: on_behalf_of.as_ref()?.first().copied(),
        formerly_on_behalf_of: on_behalf_of?.into_iter().skip(1).collect(),
        quote: quote?.map(Box::new),
        annotations: Box::new(annotations?),
    })
}

/// A cancellation to be looked at before it is requested.
#[derive(Debug, Clone)]
pub struct PreviewRequest {
    pub store: StoreId,
    pub order: OrderId,
    /// The instant for which it is asked, where one is named.
    pub at_time: Option<Timestamp>,
    /// Without a note and evidence: a preview is not refused for their lack.
    pub request: RequestCancellation,
}

pub fn preview_cancellation(
    request: pb::PreviewCancellationRequest,
    reader: &Reader<'_>,
) -> Parsed<PreviewRequest> {
    check_on_behalf_of(reader, request.on_behalf_of.as_ref())?;
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let order = id(v, "order_id", request.order_id, OrderId::parse);
        let at_time = time(v, "at_time", request.at_time);
        let asked = pb::RequestCancellationRequest {
            selection: request.selection.map(Into::into),
            reason: request.reason,
            paths: request.paths,
            on_ineligible_units: request.on_ineligible_units,
            on_behalf_of: request.on_behalf_of,
            ..Default::default()
        };
        let request = cancellation(v, order.as_ref(), asked, reader);
        Some(PreviewRequest {
            store: store?,
            order: order?,
            at_time: at_time?,
            request: request?,
        })
    })
}

/// Reasons to be listed for a cancellation.
#[derive(Debug, Clone)]
pub struct ReasonsRequest {
    pub store: StoreId,
    pub order: OrderId,
    /// Without a reason.
    pub request: RequestCancellation,
    /// Of the labels, best first.
    pub languages: Vec<String>,
}

pub fn list_reasons(
    request: pb::ListReasonsRequest,
    reader: &Reader<'_>,
) -> Parsed<ReasonsRequest> {
    check_on_behalf_of(reader, request.on_behalf_of.as_ref())?;
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let order = id(v, "order_id", request.order_id, OrderId::parse);
        let asked = pb::RequestCancellationRequest {
            selection: request.selection.map(Into::into),
            paths: request.paths,
            on_ineligible_units: request.on_ineligible_units,
            on_behalf_of: request.on_behalf_of,
            ..Default::default()
        };
        let asked = cancellation(v, order.as_ref(), asked, reader);
        let languages = languages(v, request.languages);
        Some(ReasonsRequest {
            store: store?,
            order: order?,
            request: asked?,
            languages: languages?,
        })
    })
}

fn languages(v: &mut Violations, languages: Vec<String>) -> Option<Vec<String>> {
    at_most(v, "languages", languages.len(), LANGUAGES_MAX)?;
    let read = |(index, language): (usize, String)| {
        if language::is_range(&language) {
            return Some(language);
        }
        let field = format!("languages[{index}]");
        v.refuse(&field, "must be a BCP 47 tag such as de-AT")
    };
    all(languages.into_iter().enumerate().map(read))
}

pub fn get_cancellation(request: pb::GetCancellationRequest, _: &Reader<'_>) -> Parsed<Child> {
    child_of_store(&request.store_id, CANCELLATION, &request.cancellation_id)
}

pub fn list_cancellations(
    mut request: pb::ListCancellationsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<CancellationFilter>> {
    let page = asked_page!("ListCancellations", request, reader);
    page.list(&request.store_id, |v, store| {
        let order = optional_id(v, "order_id", request.order_id, OrderId::parse);
        let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
        let state = unspecified_or(v, "state", request.state);
        let warehouse = optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
        let carrier = optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
        let awaiting = party(v, "awaiting", request.awaiting);
        let respond_by_before = time(v, "respond_by_before", request.respond_by_before);
        let scope = &reader.caller.scope;
        let store = store?;
        Some(CancellationFilter {
            order: order?.map(|order| OrderKey::of(&store, &order)),
            store,
            scope: scope.clone(),
            view: View::of(reader.caller.actor.role),
            seller: scope.sellers.narrow(seller?),
            state: state?,
            warehouse: warehouse?,
            carrier: carrier?,
            awaiting: awaiting?,
            respond_by_before: respond_by_before?,
        })
    })
}

pub fn list_incidents(
    mut request: pb::ListIncidentsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<IncidentFilter>> {
    let page = asked_page!("ListIncidents", request, reader);
    page.list(&request.store_id, |v, store| {
        let order = optional_id(v, "order_id", request.order_id, OrderId::parse);
        let state = unspecified_or(v, "state", request.state);
        let kind = unspecified_or(v, "kind", request.kind);
        let store = store?;
        Some(IncidentFilter {
            order: order?.map(|order| OrderKey::of(&store, &order)),
            store,
            scope: reader.caller.scope.clone(),
            view: View::of(reader.caller.actor.role),
            state: state?,
            kind: kind?,
        })
    })
}

pub fn approve_cancellation(
    request: pb::ApproveCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, CANCELLATION, request.cancellation_id, request.etag);
        let note = note(v, request.note);
        let command = ApproveCancellation {
            cancellation: on.number?,
            note: note?,
        };
        on.with(Command::ApproveCancellation(command))
    })
}

pub fn reject_cancellation(
    request: pb::RejectCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, CANCELLATION, request.cancellation_id, request.etag);
        let code = required_code(v, "code", request.code);
        let note = note(v, request.note);
        let evidence = evidence(v, request.evidence);
        let command = RejectCancellation {
            cancellation: on.number?,
            code: code?,
            note: note?,
            evidence: evidence?,
        };
        on.with(Command::RejectCancellation(command))
    })
}

pub fn resolve_incident(
    request: pb::ResolveIncidentRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, INCIDENT, request.incident_id, request.etag);
        let resolution = specified(v, "resolution", request.resolution);
        let note = note(v, request.note);
        let command = ResolveIncident {
            incident: on.number?,
            resolution: resolution?,
            note: note?,
        };
        on.with(Command::ResolveIncident(command))
    })
}

pub fn withdraw_cancellation(
    request: pb::WithdrawCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, CANCELLATION, request.cancellation_id, request.etag);
        let cancellation = on.number?;
        on.with(Command::WithdrawCancellation(WithdrawCancellation {
            cancellation,
        }))
    })
}

pub fn update_cancellation_metadata(
    request: pb::UpdateCancellationMetadataRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, CANCELLATION, request.cancellation_id, request.etag);
        let change = change(v, change_fields!(request));
        let command = UpdateMetadata {
            cancellation: Some(on.number?),
            change: change?,
        };
        on.with(Command::UpdateMetadata(command))
    })
}

/// Only support may act on behalf of a buyer; for others the field is not theirs to use.
fn check_on_behalf_of(reader: &Reader<'_>, on_behalf_of: Option<&pb::OnBehalfOf>) -> Parsed<()> {
    let role = reader.caller.actor.role;
    if on_behalf_of.is_some() && !role.may_act_on_behalf_of_buyers() {
        let role = role.to_string();
        return Err(CallError::RoleNotAllowed { role });
    }
    Ok(())
}

/// A count of the actions of a party.
#[derive(Debug)]
pub struct Actions {
    pub party: Role,
    pub summary: ActionsSummary,
    auto_approved_since: Option<Timestamp>,
}

impl Actions {
    /// What buyers got at once is for sellers, and for those who see orders whole.
    pub fn counts_auto_approved(&self) -> bool {
        self.party == Role::Seller && self.summary.view == View::Whole
    }

    /// From when on cancellations that were approved without asking the seller count.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        let ago = |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        self.auto_approved_since
            .unwrap_or(ago(AUTO_APPROVED_DEFAULT))
            .max(ago(AUTO_APPROVED_MAX))
    }
}

pub fn summarize_actions(
    request: pb::SummarizeActionsRequest,
    reader: &Reader<'_>,
) -> Parsed<Actions> {
    parse(|v| actions(v, request, reader.caller))
}

fn actions(
    v: &mut Violations,
    request: pb::SummarizeActionsRequest,
    caller: &Caller,
) -> Option<Actions> {
    let store = store_id(v, &request.store_id);
    let party = party(v, "party", request.party);
    let party = party.map(|party| party.unwrap_or(Role::Seller));
    let of_another = |field, is_given: bool, owner: Role| {
        (is_given && party? != owner).then_some((field, owner))
    };
    let misplaced = [
        of_another(
            "warehouse_id",
            !request.warehouse_id.is_empty(),
            Role::Warehouse,
        ),
        of_another("carrier_id", !request.carrier_id.is_empty(), Role::Carrier),
        of_another(
            "auto_approved_since",
            request.auto_approved_since.is_some(),
            Role::Seller,
        ),
    ];
    for (field, owner) in misplaced.into_iter().flatten() {
        v.add(field, format!("is for party {owner} only"));
    }
    let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
    let warehouse = optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
    let carrier = optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
    let auto_approved_since = time(v, "auto_approved_since", request.auto_approved_since);
    let seller = caller.scope.sellers.narrow(seller?);
    Some(Actions {
        party: party?,
        summary: ActionsSummary {
            store: store?,
            scope: caller.scope.clone(),
            view: View::of(caller.actor.role),
            seller,
            warehouse: warehouse?,
            carrier: carrier?,
        },
        auto_approved_since: auto_approved_since?,
    })
}

/// The role that acts as this party.
fn party(v: &mut Violations, field: &str, party: i32) -> Option<Option<Role>> {
    match pb::Party::try_from(party) {
        Ok(pb::Party::Unspecified) => Some(None),
        Ok(pb::Party::Seller) => Some(Some(Role::Seller)),
        Ok(pb::Party::Support) => Some(Some(Role::Support)),
        Ok(pb::Party::Warehouse) => Some(Some(Role::Warehouse)),
        Ok(pb::Party::Carrier) => Some(Some(Role::Carrier)),
        Err(_) => v.refuse(
            field,
            format!("{party} is not a value that this server knows"),
        ),
    }
}

/// The reason of a request, the paths it takes, and what it does with units that are not eligible.
struct RequestedTerms {
    reason: Option<String>,
    paths: Vec<Path>,
    on_ineligible_units: IneligibleUnits,
}

fn terms(
    v: &mut Violations,
    reason: String,
    paths: &[i32],
    on_ineligible_units: i32,
) -> Option<RequestedTerms> {
    let reason = code(v, "reason", reason);
    let paths = distinct_values(v, "paths", paths, Path::ALL.len());
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
    let paths = paths.map(|paths| {
        if paths.is_empty() {
            vec![Path::Cancel]
        } else {
            paths
        }
    });
    Some(RequestedTerms {
        reason: reason?,
        paths: paths?,
        on_ineligible_units: on_ineligible_units?,
    })
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

/// The buyer's identity by each key, that of today first; empty where no buyer is named.
fn on_behalf_of(
    v: &mut Violations,
    on_behalf_of: Option<pb::OnBehalfOf>,
    reader: &Reader<'_>,
) -> Option<Vec<Identity>> {
    let Some(on_behalf_of) = on_behalf_of else {
        return Some(Vec::new());
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
    let by = |key: &[u8; 32]| match on_behalf_of.buyer {
        Some(Buyer::BuyerUsername(_)) => Identity::Username(identity::username(key, &name)),
        Some(Buyer::BuyerEmail(_)) | None => Identity::Email(identity::email(key, &name)),
    };
    let keys = std::iter::once(reader.identity_key).chain(reader.former_identity_keys);
    Some(keys.map(by).collect())
}
