//! A consumer of the feed.

use belay_domain::feed::{Consumer, PartitionEnds};
use belay_proto::v1 as pb;

use super::cancellation::actor;
use crate::resume::{ResumeTokens, partition_positions};
use crate::values::time;

/// A consumer, and how far behind these ends it is.
pub fn consumer(
    consumer: &Consumer,
    ends: &[PartitionEnds],
    tokens: &ResumeTokens,
) -> pb::Consumer {
    let key = &consumer.key;
    let expired: Vec<(u16, u64)> = consumer.positions.expired(ends).collect();
    pb::Consumer {
        consumer_id: key.id.to_string(),
        store_id: key
            .store
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        owner: Some(actor(&key.owner)),
        positions: partition_positions(&consumer.positions),
        resume_token: tokens.seal(consumer.filter, &consumer.positions),
        lag_events: i64::try_from(consumer.positions.lag(ends)).unwrap_or(i64::MAX),
        commit_time: Some(time(consumer.commit_time)),
        expired_events: i64::try_from(expired.iter().map(|(_, lost)| lost).sum::<u64>())
            .unwrap_or(i64::MAX),
        expired_partitions: expired.iter().map(|(at, _)| i32::from(*at)).collect(),
    }
}
