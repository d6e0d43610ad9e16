//! The feed: batches of events, and who reads it by name.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, Event};
use crate::ids::{ConsumerId, ResumeToken, StoreId};
use crate::wire::{FromWire, Malformed, read, read_all, text_if_set, time};

/// A place in one partition of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// The position of the last event behind it; 0 before the first.
    pub position: i64,
}

impl PartitionPosition {
    /// A position in a partition, both as events name them.
    pub fn new(partition: i32, position: i64) -> Self {
        Self {
            partition,
            position,
        }
    }
}

/// Events of a stream, those of one write together.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EventBatch {
    /// The events. Empty in a bookmark.
    pub events: Vec<Event>,
    /// To go on behind this batch.
    pub resume_token: ResumeToken,
    /// Where the stream is, in every partition. Of a bookmark alone.
    pub positions: Vec<PartitionPosition>,
}

/// A named reader of the feed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Consumer {
    /// The name.
    pub consumer_id: ConsumerId,
    /// The store whose events it reads. `None` if it was not narrowed to one.
    pub store_id: Option<StoreId>,
    /// The caller that commits.
    pub owner: Actor,
    /// How far it is, in every partition.
    pub positions: Vec<PartitionPosition>,
    /// To go on behind its last commit.
    pub resume_token: ResumeToken,
    /// How many events are behind its last commit, whether or not they match its filter.
    pub lag_events: i64,
    /// How many of these are no longer kept. Above 0 its `resume_token` is POSITION_EXPIRED: to go
    /// on with what is kept, begin with its positions without those of `expired_partitions`.
    pub expired_events: i64,
    /// The partitions in which those were.
    pub expired_partitions: Vec<i32>,
    /// When it committed last.
    pub commit_time: Timestamp,
}

impl FromWire for PartitionPosition {
    type Message = pb::PartitionPosition;

    fn from_wire(message: pb::PartitionPosition) -> Result<Self, Malformed> {
        Ok(Self::new(message.partition, message.position))
    }
}

impl FromWire for EventBatch {
    type Message = pb::WatchEventsResponse;

    fn from_wire(message: pb::WatchEventsResponse) -> Result<Self, Malformed> {
        Ok(Self {
            events: read_all(message.events)?,
            resume_token: message.resume_token.into(),
            positions: read_all(message.positions)?,
        })
    }
}

impl FromWire for Consumer {
    type Message = pb::Consumer;

    fn from_wire(message: pb::Consumer) -> Result<Self, Malformed> {
        Ok(Self {
            consumer_id: ConsumerId::unchecked(message.consumer_id),
            store_id: text_if_set(message.store_id).map(StoreId::unchecked),
            owner: read(message.owner, "consumer.owner")?,
            positions: read_all(message.positions)?,
            resume_token: message.resume_token.into(),
            lag_events: message.lag_events,
            expired_events: message.expired_events,
            expired_partitions: message.expired_partitions,
            commit_time: time(message.commit_time, "consumer.commit_time")?,
        })
    }
}
