//! A rejection in the words of the protos: for the status of a call that failed and for a preview that lists what stands
//! against a request.

use std::collections::HashMap;

use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::rejection::{Ineligibility, LineQuantity, Rejection};
use belay_proto::v1 as pb;
use uuid::Uuid;

use super::values::etag;

/// Longest list in one value of metadata, in bytes: lists are cut, at a comma.
const LIST_BYTES_MAX: usize = 1024;

/// What a request was about, as far as a rejection leaves it out.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) order: OrderId,
    pub(crate) shipment: Option<u32>,
    pub(crate) request_id: Option<Uuid>,
}

impl About {
    fn child(&self, kind: ChildKind, number: u32) -> String {
        kind.id(&self.order, number)
    }

    fn shipment_id(&self) -> String {
        self.shipment.map(|number| self.child(ChildKind::Shipment, number)).unwrap_or_default()
    }
}

/// Everything that a rejection says stands against the request, the decisive one first; never empty.
pub(crate) fn refusals(rejection: &Rejection, about: &About) -> Vec<pb::Refusal> {
    if let Rejection::Ineligible { violations, acceptable } = rejection
        && !violations.is_empty()
    {
        let acceptable = acceptable
            .iter()
            .map(|LineQuantity { line, quantity }| format!("{}={quantity}", about.child(ChildKind::Line, *line)));
        let acceptable = joined(acceptable);
        return violations.iter().map(|violation| ineligible(violation, &acceptable, about)).collect();
    }
    vec![refusal(rejection, about)]
}

fn ineligible(violation: &Ineligibility, acceptable: &str, about: &About) -> pb::Refusal {
    let shipment = about.child(ChildKind::Shipment, violation.shipment);
    let mut metadata = HashMap::from([
        ("shipment_id".to_owned(), shipment.clone()),
        ("path".to_owned(), violation.path.name().to_owned()),
        ("rule".to_owned(), violation.rule.clone().unwrap_or_default()),
        ("next_actions".to_owned(), joined(violation.next_actions.iter().map(|action| action.name().to_owned()))),
    ]);
    if let Some(from) = violation.available_from {
        metadata.insert("available_from".to_owned(), from.to_string());
    }
    if !acceptable.is_empty() {
        metadata.insert("acceptable".to_owned(), acceptable.to_owned());
    }
    pb::Refusal {
        reason: violation.code.name().to_owned(),
        message: format!("the policy does not allow {} for {shipment}: {}", violation.path, violation.code),
        subject: shipment,
        metadata,
    }
}

fn refusal(rejection: &Rejection, about: &About) -> pb::Refusal {
    let order = about.order.to_string();
    let line = |number: u32| about.child(ChildKind::Line, number);
    let shipment = about.shipment_id();
    let (subject, message, metadata): (String, String, Vec<(&str, String)>) = match rejection {
        Rejection::InvalidField(violations) => {
            let first = violations.first().map(|first| format!("{}: {}", first.field, first.description));
            (order, first.unwrap_or_default(), vec![])
        }
        Rejection::OrderNotFound => (order.clone(), format!("there is no order {order}"), vec![("order_id", order)]),
        Rejection::OutOfScope => {
            (order.clone(), "this reaches beyond what the caller sees".to_owned(), vec![("order_id", order)])
        }
        Rejection::LineNotFound { line: number } => {
            let id = line(*number);
            (id.clone(), format!("there is no line {id}"), vec![("line_id", id)])
        }
        Rejection::ShipmentNotFound { shipment } => {
            let id = about.child(ChildKind::Shipment, *shipment);
            (id.clone(), format!("there is no shipment {id}"), vec![("shipment_id", id)])
        }
        Rejection::RefundNotFound { refund } => {
            let id = about.child(ChildKind::Refund, *refund);
            (id.clone(), format!("there is no refund {id}"), vec![("refund_id", id)])
        }
        Rejection::RequestIdReused => {
            let id = about.request_id.map(|id| id.to_string()).unwrap_or_default();
            (order, "this request_id was used for another content".to_owned(), vec![("request_id", id)])
        }
        Rejection::OrderAlreadyExists => {
            (order.clone(), format!("there is an order {order} with another content"), vec![("order_id", order)])
        }
        Rejection::EtagMismatch { present } => {
            (order, "the order has changed since".to_owned(), vec![("etag", etag(*present))])
        }
        Rejection::FenceStale { present, stage, cancellations } => (
            shipment.clone(),
            format!("something opened or ended on {shipment} since its fence was read; the present one is {present}"),
            vec![
                ("shipment_id", shipment),
                ("fence", present.to_string()),
                ("stage", stage.name().to_owned()),
                (
                    "cancellation_ids",
                    joined(cancellations.iter().map(|number| about.child(ChildKind::Cancellation, *number))),
                ),
            ],
        ),
        Rejection::UnknownWarehouse { warehouse } => {
            (order, format!("the store has no warehouse {warehouse}"), vec![("warehouse_id", warehouse.clone())])
        }
        Rejection::UnknownCarrier { carrier } => {
            (order, format!("the store has no carrier {carrier}"), vec![("carrier_id", carrier.clone())])
        }
        Rejection::ReasonRequired { declared } => {
            (order, "the policy requires a reason".to_owned(), vec![("reasons", joined(declared.iter().cloned()))])
        }
        Rejection::ReasonUnknown { reason, declared } => (
            order,
            format!("the policy declares no reason {reason}"),
            vec![("reason", reason.clone()), ("reasons", joined(declared.iter().cloned()))],
        ),
        Rejection::ReasonNotAllowed { reason, declared } => (
            order,
            format!("the policy does not take {reason} from this requester"),
            vec![("reason", reason.clone()), ("reasons", joined(declared.iter().cloned()))],
        ),
        Rejection::NoteRequired { reason } => {
            (order, format!("{reason} needs a note"), vec![("reason", reason.clone())])
        }
        Rejection::EvidenceRequired { reason } => {
            (order, format!("{reason} needs evidence"), vec![("reason", reason.clone())])
        }
        Rejection::AlreadyPending { cancellation } => {
            let id = about.child(ChildKind::Cancellation, *cancellation);
            (id.clone(), format!("{id} waits for the very same units"), vec![("cancellation_id", id)])
        }
        Rejection::UnitsClaimed { line: number, requested, available } => (
            line(*number),
            format!("{requested} units are asked, {available} are neither cancelled nor claimed"),
            quantities(line(*number), *requested, *available),
        ),
        Rejection::QuantityUnavailable { line: number, requested, available } => (
            line(*number),
            format!("{requested} units are asked, {available} are left"),
            quantities(line(*number), *requested, *available),
        ),
        // Without a violation there is nothing that could have been cancelled.
        Rejection::Ineligible { .. } => (order.clone(), "no rule allows it".to_owned(), vec![("order_id", order)]),
        Rejection::NotReleased => {
            (shipment.clone(), format!("{shipment} is not released yet"), vec![("shipment_id", shipment)])
        }
        Rejection::StageMismatch { stage } => (
            shipment.clone(),
            format!("this step does not lead on from {stage}"),
            vec![("shipment_id", shipment), ("stage", stage.name().to_owned())],
        ),
        Rejection::ShipmentBarred { cancellation } => {
            let id = about.child(ChildKind::Cancellation, *cancellation);
            let metadata = vec![("shipment_id", shipment.clone()), ("cancellation_id", id.clone())];
            (shipment, format!("{id} waits and bars the dispatch"), metadata)
        }
        Rejection::CurrencyMismatch { expected } => {
            let code = expected.code();
            let message = format!("all money of the order is in one currency, {code}");
            (order, message, vec![("currency_code", code.to_owned())])
        }
        Rejection::RefundNotClaimed { refund } => {
            let id = about.child(ChildKind::Refund, *refund);
            (id.clone(), format!("no worker has claimed {id}"), vec![("refund_id", id)])
        }
        Rejection::LimitReached { limit, max } => (
            order,
            format!("the order has as many {limit} as it may have, {max}"),
            vec![("limit", limit.clone()), ("limit_max", max.to_string())],
        ),
    };
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    pb::Refusal { reason: rejection.reason().to_owned(), subject, message, metadata }
}

fn quantities(line: String, requested: u32, available: u32) -> Vec<(&'static str, String)> {
    vec![("line_id", line), ("requested", requested.to_string()), ("available", available.to_string())]
}

/// A list in one value; what does not fit is left out.
fn joined(entries: impl IntoIterator<Item = String>) -> String {
    let mut list = String::new();
    for entry in entries {
        if list.len() + entry.len() + 1 > LIST_BYTES_MAX {
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&entry);
    }
    list
}
