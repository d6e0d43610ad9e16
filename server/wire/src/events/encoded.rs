//! Stored events as the messages of a stream hold them: made once for all who get them.

use std::ops::Range;

use belay_proto::v1 as pb;
use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{
    WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, int32, int64, key_len,
};

use super::EventError;

/// The field `events` of `belay.v1.WatchEventsResponse`.
const EVENTS: u32 = 1;
/// `partition` and `position` of `belay.v1.Event`.
const PARTITION: u32 = 2;
const POSITION: u32 = 3;

/// The events of a row, each as a field of a message of a stream and with its place in the feed.
/// Cloning it, or a part of it, copies nothing.
#[derive(Debug, Clone, Default)]
pub struct EncodedEvents {
    bytes: Bytes,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl EncodedEvents {
    /// Of the stored bytes of a row. Its events are counted and not looked into.
    pub fn of(
        payload: &[u8],
        partition: u16,
        last_position: u64,
        count: u32,
    ) -> Result<Self, EventError> {
        let (mut bytes, mut ends) = (BytesMut::new(), Vec::new());
        encode(
            payload,
            (partition, last_position, count),
            &mut bytes,
            |end| {
                ends.push(end);
            },
        )?;
        Ok(Self {
            bytes: bytes.freeze(),
            ends,
        })
    }

    /// Those of them, counted from 0.
    pub fn part(&self, range: Range<usize>) -> Bytes {
        let end = |count: usize| match count {
            0 => Some(0),
            _ => self.ends.get(count - 1).copied(),
        };
        match (end(range.start), end(range.end)) {
            (Some(from), Some(to)) if from <= to => self.bytes.slice(from..to),
            _ => Bytes::new(),
        }
    }
}

/// An event that has its place, as a field of a message of a stream.
pub fn encode_one(event: &pb::Event) -> Bytes {
    let mut bytes = BytesMut::new();
    prost::encoding::message::encode(EVENTS, event, &mut bytes);
    bytes.freeze()
}

/// Appends the events of a row that stand behind a position, each as a field of a message of a
/// stream and with its place in the feed. Its events are counted and not looked into.
pub fn encode_behind(
    position: u64,
    payload: &[u8],
    (partition, last_position, count): (u16, u64, u32),
    bytes: &mut BytesMut,
) -> Result<(), EventError> {
    let known = position.saturating_sub(last_position.saturating_sub(count.into()));
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    if known == 0 {
        return encode(payload, (partition, last_position, count), bytes, |_| {});
    }
    // Somebody goes on in the middle of a row, which no watch does by itself.
    let whole = EncodedEvents::of(payload, partition, last_position, count)?;
    bytes.extend_from_slice(&whole.part(known..whole.ends.len()));
    Ok(())
}

/// Appends the events of a row, and says where each of them ends.
fn encode(
    mut payload: &[u8],
    (partition, last_position, count): (u16, u64, u32),
    bytes: &mut BytesMut,
    mut ended: impl FnMut(usize),
) -> Result<(), EventError> {
    bytes.reserve(payload.len() * 5 / 4);
    let mut position = (last_position + 1).saturating_sub(count.into());
    let mut found = 0;
    while !payload.is_empty() {
        let length = usize::try_from(decode_varint(&mut payload)?).unwrap_or(usize::MAX);
        let cut = payload.split_at_checked(length);
        let (event, rest) = cut.ok_or(EventError::CutOff { last_position })?;
        let place = (
            i32::from(partition),
            i64::try_from(position).unwrap_or(i64::MAX),
        );
        let of_place =
            int32::encoded_len(PARTITION, &place.0) + int64::encoded_len(POSITION, &place.1);
        let length = event.len() + of_place;
        let prefix = u64::try_from(length).unwrap_or(u64::MAX);
        bytes.reserve(key_len(EVENTS) + encoded_len_varint(prefix) + length);
        encode_key(EVENTS, WireType::LengthDelimited, bytes);
        encode_varint(prefix, bytes);
        bytes.put_slice(event);
        // Behind what is stored: of a field that comes twice the last one counts.
        int32::encode(PARTITION, &place.0, bytes);
        int64::encode(POSITION, &place.1, bytes);
        found += 1;
        ended(bytes.len());
        (payload, position) = (rest, position + 1);
    }
    if u32::try_from(found) != Ok(count) {
        return Err(EventError::Count {
            last_position,
            found,
            count,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn event(number: usize) -> pb::Event {
        pb::Event {
            store_id: "s".repeat(number * 60),
            order_id: format!("A-{number}"),
            partition: 3,
            ..pb::Event::default()
        }
    }

    fn stored(count: usize) -> Vec<u8> {
        let events = (0..count).map(event);
        events
            .flat_map(|event| event.encode_length_delimited_to_vec())
            .collect()
    }

    #[test]
    fn a_message_of_them_is_read_as_the_events_with_their_places() {
        let encoded = EncodedEvents::of(&stored(5), 3, 300, 5).unwrap();
        let read = super::super::read(&stored(5), 3, 300, 5).unwrap();
        for range in [0..5, 0..1, 2..4, 4..5, 2..2] {
            let message = pb::WatchEventsResponse::decode(encoded.part(range.clone())).unwrap();
            assert_eq!(message.events, read[range]);
        }
        assert!(encoded.part(4..6).is_empty());
        // As those that were written before partitions were in the bytes.
        let bare = pb::Event::default().encode_length_delimited_to_vec();
        let encoded = EncodedEvents::of(&bare, 7, 1, 1).unwrap();
        let message = pb::WatchEventsResponse::decode(encoded.part(0..1)).unwrap();
        assert_eq!(message.events, super::super::read(&bare, 7, 1, 1).unwrap());
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let whole = stored(2);
        assert!(EncodedEvents::of(&whole, 3, 300, 1).is_err());
        assert!(EncodedEvents::of(&whole, 3, 300, 3).is_err());
        assert!(EncodedEvents::of(&whole[..whole.len() - 1], 3, 300, 2).is_err());
        assert!(EncodedEvents::of(&[255], 3, 300, 1).is_err());
    }
}
