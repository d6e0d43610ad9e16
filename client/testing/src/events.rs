//! The feed: events, streams of them, and who reads them by name.

use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Role;
use belay_domain::feed::{CONSUMERS_MAX, Consumer, ConsumerKey, Positions};
use belay_domain::ids::StoreId;
use belay_domain::scope::IdFilter;
use belay_proto::v1 as pb;
use belay_wire::parse::events as parse;
use belay_wire::parse::events::{EventsRequest, NamedConsumer};
use belay_wire::render;
use belay_wire::resume::{ResumeTokens, partition_positions};
use belay_wire::status::CallError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::call::{Answer, Call};
use crate::server::Shared;
use crate::world::{LogRow, PARTITIONS, World};

/// Rows that one page looks at, and bytes after which one ends: as the server on MySQL does.
const PAGE_ROWS: usize = 2_000;
const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes of events after which a message is sent.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Between two messages of a watch: one without events then is a bookmark.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(10);

impl Call<'_> {
    fn tokens(&self) -> ResumeTokens {
        ResumeTokens::new(&self.world.identity_key, PARTITIONS)
    }

    /// A store that is named must be one that the caller sees.
    fn check_asked(&self, asked: Option<&StoreId>) -> Answer<()> {
        asked.map_or(Ok(()), |store| self.config(store).map(drop))
    }

    fn key(&self, named: NamedConsumer) -> Answer<ConsumerKey> {
        self.check_asked(named.store.as_ref())?;
        Ok(ConsumerKey {
            store: named.store,
            id: named.id,
            owner: self.caller.actor.clone(),
        })
    }

    fn show(&self, consumer: &Consumer) -> pb::Consumer {
        render::consumer(consumer, &self.world.ends(), &self.tokens())
    }
}

/// The rows of a partition behind a position, of every order or of one.
fn rows_behind<'a>(
    world: &'a World,
    asked: &'a EventsRequest,
    (partition, behind): (u16, u64),
) -> impl Iterator<Item = &'a LogRow> {
    let rows = &world.log[usize::from(partition)];
    let begin = rows.partition_point(|row| row.last <= behind);
    let is_watched = asked.order.is_none_or(|(_, of)| of == partition);
    let rows = rows[begin..].iter().filter(move |_| is_watched);
    rows.filter(|row| asked.order.is_none_or(|(key, _)| key == row.order))
}

/// The events of a row that somebody is to get who stands behind this position.
fn selected<'a>(
    row: &'a LogRow,
    asked: &'a EventsRequest,
    behind: u64,
) -> impl Iterator<Item = pb::Event> {
    let selected = row.events().iter().filter(move |event| {
        event.position.unsigned_abs() > behind && asked.selector.selects(event)
    });
    selected.map(|event| asked.selector.shown(event).into_owned())
}

pub(crate) fn list_events(
    call: &mut Call<'_>,
    request: pb::ListEventsRequest,
) -> Answer<pb::ListEventsResponse> {
    let (asked, size) = parse::list_events(request, &call.reader(), PARTITIONS)?;
    call.check_asked(asked.store.as_ref())?;
    let ends = call.world.ends();
    let mut positions = asked.begin.resolve(&ends).map_err(CallError::Position)?;
    if let Some((_, of)) = asked.order {
        // Nothing matches in the other partitions.
        let others = (0..).zip(&ends).filter(|(partition, _)| *partition != of);
        others.for_each(|(partition, end)| positions.advance(partition, end.last));
    }
    let (mut events, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
    let mut is_last = true;
    'partitions: for partition in PARTITIONS.all() {
        let behind = positions.of(partition);
        for row in rows_behind(call.world, &asked, (partition, behind)) {
            if looked_at >= PAGE_ROWS || events.len() >= usize::from(size) || bytes >= PAGE_BYTES {
                is_last = false;
                break 'partitions;
            }
            let before = events.len();
            events.extend(selected(row, &asked, behind));
            if events.len() > before {
                bytes += row.bytes();
            }
            positions.advance(partition, row.last);
            looked_at += 1;
        }
        if let Some(end) = ends.get(usize::from(partition)) {
            // Nothing matches behind the last row of an order; the server finds that out by a read
            // of its own, for which there must be room.
            let is_full =
                looked_at >= PAGE_ROWS || events.len() >= usize::from(size) || bytes >= PAGE_BYTES;
            if is_full && positions.of(partition) < end.last {
                is_last = false;
                break 'partitions;
            }
            positions.advance(partition, end.last);
        }
    }
    let resume_token = call.tokens().seal(asked.filter, &positions);
    Ok(pb::ListEventsResponse {
        events,
        next_page_token: if is_last {
            String::new()
        } else {
            resume_token.clone()
        },
        resume_token,
    })
}

/// A watch of the feed that has begun.
#[derive(Debug)]
pub(crate) struct Watch {
    asked: EventsRequest,
    positions: Positions,
    tokens: ResumeTokens,
    moved: watch::Receiver<()>,
    is_first: bool,
    has_ended: bool,
    next_bookmark: Instant,
}

pub(crate) fn watch_events(
    call: &mut Call<'_>,
    request: pb::WatchEventsRequest,
    moved: watch::Receiver<()>,
) -> Answer<Watch> {
    let asked = parse::watch_events(request, &call.reader(), PARTITIONS)?;
    call.check_asked(asked.store.as_ref())?;
    let positions = asked.begin.resolve(&call.world.ends());
    Ok(Watch {
        positions: positions.map_err(CallError::Position)?,
        tokens: call.tokens(),
        asked,
        moved,
        is_first: true,
        has_ended: false,
        next_bookmark: Instant::now(),
    })
}

impl Watch {
    /// The next message; None after the last one, which is a bookmark.
    pub(crate) async fn next(&mut self, shared: &Arc<Shared>) -> Option<pb::WatchEventsResponse> {
        if self.has_ended {
            return None;
        }
        if std::mem::take(&mut self.is_first) {
            return Some(self.bookmark(shared));
        }
        loop {
            self.moved.mark_unchanged();
            if shared.closing.is_cancelled() {
                self.has_ended = true;
                return Some(self.bookmark(shared));
            }
            let events = self.take(&shared.world());
            if !events.is_empty() {
                return Some(self.message(events));
            }
            tokio::select! {
                moved = self.moved.changed() => self.has_ended = moved.is_err(),
                () = sleep_until(self.next_bookmark) => return Some(self.bookmark(shared)),
                () = shared.closing.cancelled() => self.has_ended = true,
            }
            if self.has_ended {
                return Some(self.bookmark(shared));
            }
        }
    }

    /// What is there: whole rows, as many as fit into a message.
    fn take(&mut self, world: &World) -> Vec<pb::Event> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        for partition in PARTITIONS.all() {
            let behind = self.positions.of(partition);
            for row in rows_behind(world, &self.asked, (partition, behind)) {
                if bytes >= MESSAGE_BYTES {
                    return events;
                }
                let before = events.len();
                events.extend(selected(row, &self.asked, behind));
                if events.len() > before {
                    bytes += row.bytes();
                }
                self.positions.advance(partition, row.last);
            }
            // Nothing matches behind the last row of an order.
            let end = world.log[usize::from(partition)].last();
            self.positions
                .advance(partition, end.map_or(0, |row| row.last));
        }
        events
    }

    fn message(&mut self, events: Vec<pb::Event>) -> pb::WatchEventsResponse {
        self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
        let positions = if events.is_empty() {
            partition_positions(&self.positions)
        } else {
            Vec::new()
        };
        pb::WatchEventsResponse {
            events,
            resume_token: self.tokens.seal(self.asked.filter, &self.positions),
            positions,
        }
    }

    fn bookmark(&mut self, shared: &Arc<Shared>) -> pb::WatchEventsResponse {
        if let Some((_, watched)) = self.asked.order {
            // Nothing matches in a partition that is not watched: there it stands at the end.
            let ends = shared.world().ends();
            let others = (0..)
                .zip(&ends)
                .filter(|(partition, _)| *partition != watched);
            others.for_each(|(partition, end)| self.positions.advance(partition, end.last));
        }
        self.message(Vec::new())
    }
}

pub(crate) fn commit_position(
    call: &mut Call<'_>,
    request: pb::CommitPositionRequest,
) -> Answer<pb::CommitPositionResponse> {
    let (named, point) = parse::commit_position(request, &call.reader(), PARTITIONS)?;
    let key = call.key(named)?;
    if let Some(error) = point.positions.ahead(&call.world.ends()) {
        return Err(CallError::Position(error));
    }
    let now = call.now;
    let consumers = &mut call.world.consumers;
    let of_owner = consumers.iter().filter(|each| each.key.owner == key.owner);
    let count = of_owner.count();
    let present = consumers.iter_mut().find(|each| each.key == key);
    let behind = present
        .as_ref()
        .and_then(|present| point.positions.behind(&present.positions));
    if let Some((partition, position)) = behind {
        return Err(CallError::PositionBehind {
            consumer: key.id,
            partition,
            position,
        });
    }
    let consumer = Consumer {
        key,
        positions: point.positions,
        filter: point.filter,
        commit_time: now,
    };
    match present {
        Some(present) => *present = consumer.clone(),
        None if count >= CONSUMERS_MAX => {
            return Err(CallError::ConsumersExhausted {
                limit_max: CONSUMERS_MAX,
            });
        }
        None => consumers.push(consumer.clone()),
    }
    Ok(pb::CommitPositionResponse {
        consumer: Some(call.show(&consumer)),
    })
}

pub(crate) fn delete_consumer(
    call: &mut Call<'_>,
    request: pb::DeleteConsumerRequest,
) -> Answer<pb::DeleteConsumerResponse> {
    let named = parse::delete_consumer(request, &call.reader())?;
    let key = call.key(named)?;
    call.world.consumers.retain(|consumer| consumer.key != key);
    Ok(pb::DeleteConsumerResponse {})
}

pub(crate) fn get_consumer(
    call: &mut Call<'_>,
    request: pb::GetConsumerRequest,
) -> Answer<pb::GetConsumerResponse> {
    let named = parse::get_consumer(request, &call.reader())?;
    let key = call.key(named)?;
    let found = call.world.consumers.iter().find(|each| each.key == key);
    let consumer = found.ok_or(CallError::ConsumerNotFound { consumer: key.id })?;
    Ok(pb::GetConsumerResponse {
        consumer: Some(call.show(consumer)),
    })
}

/// The key by which a list of consumers is sorted: store, name, role and id of the owner.
type ConsumerPlace = (String, String, String, String);

fn place(consumer: &Consumer) -> ConsumerPlace {
    let ConsumerKey { store, id, owner } = &consumer.key;
    let store = store.as_ref().map(ToString::to_string);
    let role = owner.role.name().to_owned();
    (
        store.unwrap_or_default(),
        id.to_string(),
        role,
        owner.id.clone(),
    )
}

pub(crate) fn list_consumers(
    call: &mut Call<'_>,
    request: pb::ListConsumersRequest,
) -> Answer<pb::ListConsumersResponse> {
    let (store, page) = parse::list_consumers(request, &call.reader())?;
    call.check_asked(store.as_ref())?;
    let after: Option<ConsumerPlace> = page.after()?;
    let caller = &call.caller;
    let sees_all = matches!(caller.actor.role, Role::Operator | Role::Auditor);
    let is_found = |consumer: &&Consumer| {
        let key = &consumer.key;
        let is_seen = match (&key.store, &caller.scope.stores) {
            (None, _) | (_, IdFilter::All) => true,
            (Some(store), IdFilter::Only(stores)) => stores.contains(store),
        };
        is_seen
            && (store.is_none() || key.store == store)
            && (sees_all || key.owner == caller.actor)
            && after.as_ref().is_none_or(|after| place(consumer) > *after)
    };
    let mut found: Vec<&Consumer> = call.world.consumers.iter().filter(is_found).collect();
    found.sort_by_key(|consumer| place(consumer));
    found.truncate(page.limit().into());
    let show = |consumer: &&Consumer| Some(call.show(consumer));
    let (consumers, next_page_token) = page.cut(&found, show, |consumer| place(consumer));
    Ok(pb::ListConsumersResponse {
        consumers,
        next_page_token,
    })
}
