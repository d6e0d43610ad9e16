//! Requests to list decisions.

use belay_domain::ids::{OrderId, OrderKey, WorkerId};
use belay_domain::query::{DecisionFilter, DecisionPlace};
use belay_domain::records::RequestKey;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use uuid::Uuid;

use super::envelope::Reader;
use super::lists::{ListRequest, asked_page};
use super::{Parsed, optional_id, request_id, time, unspecified_or};
use crate::pages::PageRequest;
use crate::status::CallError;

/// A place, as a token keeps it: the instant in microseconds, the order, the request and its caller.
type KeptPlace = (i64, [u8; 16], Uuid, String);

pub fn list_decisions(
    mut request: pb::ListDecisionsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<DecisionFilter>> {
    let page = asked_page!("ListDecisions", request, reader);
    page.list(&request.store_id, |v, store| {
        let order = optional_id(v, "order_id", request.order_id, OrderId::parse);
        let request_id = request_id(v, &request.request_id);
        let caller_role = unspecified_or(v, "caller_role", request.caller_role);
        let caller_id = optional_id(v, "caller_id", request.caller_id, WorkerId::parse);
        let start = time(v, "start_time", request.start_time);
        let end = time(v, "end_time", request.end_time);
        let store = store?;
        Some(DecisionFilter {
            scope: reader.caller.scope.clone(),
            order: order?.map(|order| OrderKey::of(&store, &order)),
            request_id: request_id?,
            caller_role: caller_role?,
            caller_id: caller_id?.map(|id| id.as_str().to_owned()),
            rejected_only: request.rejected_only,
            start: start?,
            end: end?,
            store,
        })
    })
}

/// What a page of decisions begins after; `None` for the first.
pub fn after(page: &PageRequest) -> Result<Option<DecisionPlace>, CallError> {
    let Some((micros, order_key, request_id, caller)) = page.after::<KeptPlace>()? else {
        return Ok(None);
    };
    let time = Timestamp::from_microsecond(micros).map_err(|_| CallError::PageTokenInvalid)?;
    let key = RequestKey {
        order_key: OrderKey(order_key),
        request_id,
        caller,
    };
    Ok(Some(DecisionPlace { time, key }))
}

/// Cuts the page. `left_off` is where the search ended that may go on, and has found no more than these.
pub fn cut<Record>(
    page: &PageRequest,
    found: &[Record],
    left_off: Option<DecisionPlace>,
    render: impl Fn(&Record) -> Option<pb::PolicyDecision>,
    place: impl Fn(&Record) -> DecisionPlace,
) -> (Vec<pb::PolicyDecision>, String) {
    let (entries, token) = page.cut(found, render, |record| kept(place(record)));
    match left_off {
        Some(place) if token.is_empty() => (entries, page.tokens.seal(&kept(place))),
        Some(_) | None => (entries, token),
    }
}

fn kept(place: DecisionPlace) -> KeptPlace {
    let RequestKey {
        order_key,
        request_id,
        caller,
    } = place.key;
    let micros = place.time.as_microsecond();
    (micros, order_key.0, request_id, caller)
}
