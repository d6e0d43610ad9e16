//! Requests of the EventService.

use std::collections::HashSet;

use belay_domain::event::EventType;
use belay_domain::feed::{PartitionEnds, PositionError, Positions};
use belay_domain::ids::{
    CarrierId, ConsumerId, IdError, OrderId, OrderKey, Partitions, SellerId, StoreId, WarehouseId,
};
use belay_proto::v1 as pb;
use belay_proto::v1::{list_events_request, watch_events_request};

use super::bounds::FILTER_IDS_MAX;
use super::envelope::Reader;
use super::lists::{asked_page, page_size};
use super::{Parsed, Violations, at_most, id, optional_id, parse, specified};
use crate::events::Selector;
use crate::pages::PageRequest;
use crate::resume::{FilterHash, ResumePoint, ResumeTokens, filter_hash};
use crate::status::CallError;

/// A selection of events, and where to begin.
#[derive(Debug)]
pub struct EventsRequest {
    /// The store that it is narrowed to, which must be one that the caller sees.
    pub store: Option<StoreId>,
    /// The order that it is narrowed to, with its partition.
    pub order: Option<(OrderKey, u16)>,
    pub selector: Selector,
    pub filter: FilterHash,
    pub begin: Begin,
}

/// The place to begin at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    Now,
    Behind(Positions),
    /// Behind those that are named; the rest with the oldest event that is kept.
    BehindSome(Vec<(u16, u64)>),
}

impl Begin {
    /// The positions behind which to read, where everything behind them is kept.
    pub fn resolve(&self, ends: &[PartitionEnds]) -> Result<Positions, PositionError> {
        let positions = match self {
            Begin::Now => Positions::at_end(ends),
            Begin::Behind(positions) => positions.clone(),
            Begin::BehindSome(named) => {
                let mut positions = Positions::at_oldest(ends).as_slice().to_vec();
                for (partition, position) in named {
                    if let Some(present) = positions.get_mut(usize::from(*partition)) {
                        *present = *position;
                    }
                }
                Positions::new(positions)
            }
        };
        positions.check(ends).map(|()| positions)
    }
}

/// With the oldest event that is kept.
const OLDEST: Begin = Begin::BehindSome(Vec::new());

pub fn watch_events(
    request: pb::WatchEventsRequest,
    reader: &Reader<'_>,
    partitions: Partitions,
) -> Parsed<EventsRequest> {
    use watch_events_request::Begin as Asked;

    let tokens = ResumeTokens::new(reader.identity_key, partitions);
    let (asked, begin) = parse(|v| {
        let asked = event_filter(v, request.filter.unwrap_or_default());
        let begin = match request.begin {
            None => Some(AskedBegin::At(Begin::Now)),
            Some(Asked::Start(start)) => match pb::FeedStart::try_from(start) {
                Ok(pb::FeedStart::Unspecified | pb::FeedStart::Now) => {
                    Some(AskedBegin::At(Begin::Now))
                }
                Ok(pb::FeedStart::Oldest) => Some(AskedBegin::At(OLDEST)),
                Err(_) => v.refuse(
                    "start",
                    format!("{start} is not a value that this server knows"),
                ),
            },
            Some(Asked::ResumeToken(token)) => Some(AskedBegin::Token(token)),
            Some(Asked::Positions(positions)) => named(v, &positions, partitions),
        };
        Some((asked?, begin?))
    })?;
    asked.request(reader, &tokens, begin)
}

pub fn list_events(
    request: pb::ListEventsRequest,
    reader: &Reader<'_>,
    partitions: Partitions,
) -> Parsed<(EventsRequest, u16)> {
    use list_events_request::Begin as Asked;

    let tokens = ResumeTokens::new(reader.identity_key, partitions);
    let (asked, begin, size) = parse(|v| {
        let asked = event_filter(v, request.filter.unwrap_or_default());
        let begin = match request.begin {
            _ if !request.page_token.is_empty() => Some(AskedBegin::Page(request.page_token)),
            None => Some(AskedBegin::At(OLDEST)),
            Some(Asked::ResumeToken(token)) => Some(AskedBegin::Token(token)),
            Some(Asked::Positions(positions)) => named(v, &positions, partitions),
        };
        let size = page_size(v, request.page_size);
        Some((asked?, begin?, size?))
    })?;
    Ok((asked.request(reader, &tokens, begin)?, size))
}

/// The beginning that a request asks for; a token is not opened yet.
enum AskedBegin {
    At(Begin),
    Token(String),
    Page(String),
}

/// A filter, with its lists in order and each entry once, so that the same filter is written in one
/// way.
struct ReadFilter {
    filter: pb::EventFilter,
    store: Option<StoreId>,
    order: Option<OrderKey>,
}

impl ReadFilter {
    /// A token says where to begin for one filter only.
    fn request(
        self,
        reader: &Reader<'_>,
        tokens: &ResumeTokens,
        begin: AskedBegin,
    ) -> Parsed<EventsRequest> {
        let filter = filter_hash(&self.filter);
        let behind = |token: &str| {
            let point = tokens.open(token).filter(|point| point.filter == filter);
            point.map(|point| Begin::Behind(point.positions))
        };
        let begin = match begin {
            AskedBegin::At(begin) => begin,
            AskedBegin::Token(token) => behind(&token).ok_or(CallError::ResumeTokenInvalid)?,
            AskedBegin::Page(token) => behind(&token).ok_or(CallError::PageTokenInvalid)?,
        };
        Ok(EventsRequest {
            store: self.store,
            order: self.order.map(|order| (order, tokens.partition_of(order))),
            selector: Selector::of_caller(&self.filter, reader.caller),
            filter,
            begin,
        })
    }
}

fn event_filter(v: &mut Violations, mut filter: pb::EventFilter) -> Option<ReadFilter> {
    let store = optional_id(
        v,
        "filter.store_id",
        filter.store_id.clone(),
        StoreId::parse,
    );
    let order = optional_id(
        v,
        "filter.order_id",
        filter.order_id.clone(),
        OrderId::parse,
    );
    if filter.store_id.is_empty() && !filter.order_id.is_empty() {
        v.add("filter.store_id", "must be given with order_id");
    }
    ids(
        v,
        "filter.seller_ids",
        &mut filter.seller_ids,
        SellerId::parse,
    );
    ids(
        v,
        "filter.warehouse_ids",
        &mut filter.warehouse_ids,
        WarehouseId::parse,
    );
    ids(
        v,
        "filter.carrier_ids",
        &mut filter.carrier_ids,
        CarrierId::parse,
    );
    let (types, types_max) = (&filter.event_types, EventType::ALL.len());
    if at_most(v, "filter.event_types", types.len(), types_max).is_some() {
        for (at, number) in types.iter().enumerate() {
            let _: Option<EventType> = specified(v, &format!("filter.event_types[{at}]"), *number);
        }
    }
    filter.event_types.sort_unstable();
    filter.event_types.dedup();
    let (store, order) = (store?, order?);
    let order = order.and_then(|order| Some(OrderKey::of(store.as_ref()?, &order)));
    Some(ReadFilter {
        filter,
        store,
        order,
    })
}

fn ids<T>(
    v: &mut Violations,
    field: &str,
    given: &mut Vec<String>,
    parse: impl Fn(String) -> Result<T, IdError>,
) {
    if at_most(v, field, given.len(), FILTER_IDS_MAX).is_none() {
        return;
    }
    for (at, text) in given.iter().enumerate() {
        id(v, &format!("{field}[{at}]"), text.clone(), &parse);
    }
    given.sort_unstable();
    given.dedup();
}

fn named(
    v: &mut Violations,
    given: &pb::FeedPositions,
    partitions: Partitions,
) -> Option<AskedBegin> {
    let entries = given.partitions.len();
    let partitions = partitions.count.get();
    at_most(v, "positions.partitions", entries, partitions.into())?;
    let mut seen = HashSet::new();
    let mut named = Vec::new();
    for (at, entry) in given.partitions.iter().enumerate() {
        let path = format!("positions.partitions[{at}]");
        let partition = u16::try_from(entry.partition)
            .ok()
            .filter(|number| *number < partitions);
        let position = u64::try_from(entry.position).ok();
        match (partition, position) {
            (None, _) => v.add(
                format!("{path}.partition"),
                format!(
                    "must be from 0 to {}, is {}",
                    partitions - 1,
                    entry.partition
                ),
            ),
            (_, None) => v.add(format!("{path}.position"), "must be 0 or more"),
            (Some(partition), Some(_)) if !seen.insert(partition) => {
                v.add(path, "repeats an earlier entry")
            }
            (Some(partition), Some(position)) => named.push((partition, position)),
        }
    }
    (named.len() == given.partitions.len()).then_some(AskedBegin::At(Begin::BehindSome(named)))
}

/// A consumer, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedConsumer {
    pub store: Option<StoreId>,
    pub id: ConsumerId,
}

pub fn commit_position(
    request: pb::CommitPositionRequest,
    reader: &Reader<'_>,
    partitions: Partitions,
) -> Parsed<(NamedConsumer, ResumePoint)> {
    let named = parse(|v| {
        let named = consumer(v, request.store_id, request.consumer_id);
        if request.resume_token.is_empty() {
            v.add("resume_token", "must be given");
        }
        named
    })?;
    let tokens = ResumeTokens::new(reader.identity_key, partitions);
    let point = tokens.open(&request.resume_token);
    Ok((named, point.ok_or(CallError::ResumeTokenInvalid)?))
}

pub fn get_consumer(request: pb::GetConsumerRequest, _: &Reader<'_>) -> Parsed<NamedConsumer> {
    parse(|v| consumer(v, request.store_id, request.consumer_id))
}

pub fn delete_consumer(
    request: pb::DeleteConsumerRequest,
    _: &Reader<'_>,
) -> Parsed<NamedConsumer> {
    parse(|v| consumer(v, request.store_id, request.consumer_id))
}

pub fn list_consumers(
    mut request: pb::ListConsumersRequest,
    reader: &Reader<'_>,
) -> Parsed<(Option<StoreId>, PageRequest)> {
    let page = asked_page!("ListConsumers", request, reader);
    let (store, size) = parse(|v| {
        let store = optional_id(v, "store_id", request.store_id, StoreId::parse);
        let size = page_size(v, page.size);
        Some((store?, size?))
    })?;
    let (token, tokens) = (page.token, page.tokens);
    Ok((
        store,
        PageRequest {
            size,
            token,
            tokens,
        },
    ))
}

fn consumer(v: &mut Violations, store: String, consumer: String) -> Option<NamedConsumer> {
    let id = id(v, "consumer_id", consumer, ConsumerId::parse);
    let store = optional_id(v, "store_id", store, StoreId::parse);
    Some(NamedConsumer {
        store: store?,
        id: id?,
    })
}
