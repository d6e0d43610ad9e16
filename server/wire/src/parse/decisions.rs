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

/// A place, as a token keeps it: the instant in microseconds, the order, the request and its
/// caller.
type KeptDecisionPlace = (i64, [u8; 16], Uuid, String);

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
    page.after::<KeptDecisionPlace>()?.map(place).transpose()
}

fn place(
    (micros, order_key, request_id, caller): KeptDecisionPlace,
) -> Result<DecisionPlace, CallError> {
    let time = Timestamp::from_microsecond(micros).map_err(|_| CallError::PageTokenInvalid)?;
    let key = RequestKey {
        order_key: OrderKey(order_key),
        request_id,
        caller,
    };
    Ok(DecisionPlace { time, key })
}

/// The place where a page of an order's history begins: behind an event, and behind a rejected
/// request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPlace {
    pub position: Option<u64>,
    pub rejected: Option<DecisionPlace>,
}

/// What a page of a history with rejected requests begins after.
pub fn after_in_history(page: &PageRequest) -> Result<HistoryPlace, CallError> {
    let Some((position, rejected)) = page.after::<(Option<u64>, Option<KeptDecisionPlace>)>()?
    else {
        return Ok(HistoryPlace::default());
    };
    Ok(HistoryPlace {
        position,
        rejected: rejected.map(place).transpose()?,
    })
}

/// Cuts a page of a history with rejected requests: both lists lie behind `after`, in their order,
/// and each has as many as the page may read, or all that there are.
pub fn cut_history(
    page: &PageRequest,
    after: HistoryPlace,
    events: Vec<pb::Event>,
    rejected: Vec<(DecisionPlace, pb::Event)>,
) -> (Vec<pb::Event>, String) {
    let at = |event: &pb::Event| event.event_time.map(|time| (time.seconds, time.nanos));
    let (mut events, mut rejected) = (
        events.into_iter().peekable(),
        rejected.into_iter().peekable(),
    );
    let mut reached = after;
    let mut merged = Vec::new();
    while merged.len() < usize::from(page.limit()) {
        // What changed the order comes before what was asked at that instant in vain.
        let first = events.peek().map(&at);
        let next = match rejected.next_if(|(_, event)| first.is_none_or(|first| at(event) < first))
        {
            Some((place, event)) => {
                reached.rejected = Some(place);
                event
            }
            None => match events.next() {
                Some(event) => {
                    reached.position = Some(event.position.unsigned_abs());
                    event
                }
                None => break,
            },
        };
        merged.push((reached.clone(), next));
    }
    page.cut(
        &merged,
        |(_, event)| Some(event.clone()),
        |(reached, _)| (reached.position, reached.rejected.clone().map(kept)),
    )
}

/// Cuts the page. `left_off` is where the search ended that may go on, and has found no more than
/// these.
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

fn kept(place: DecisionPlace) -> KeptDecisionPlace {
    let RequestKey {
        order_key,
        request_id,
        caller,
    } = place.key;
    let micros = place.time.as_microsecond();
    (micros, order_key.0, request_id, caller)
}
