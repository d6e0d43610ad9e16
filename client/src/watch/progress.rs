//! How far a watch has come. It knows no connection and no acknowledgement.

use std::collections::BTreeMap;

use crate::ids::ResumeToken;
use crate::model::{Event, EventBatch};

/// What a batch has brought that is new.
pub(super) struct Received {
    pub(super) events: Vec<Event>,
    /// Behind everything that was received before.
    pub(super) token: ResumeToken,
    /// Whether the token lies behind these events too.
    pub(super) covers_events: bool,
}

/// How far all streams of a watch have come, and how far the present one has.
///
/// A stream that was opened again may begin before what was received already. Its events are told
/// apart by their positions, and its tokens by the positions that it has come to: with one of them
/// the watch would go back, and with it the checkpoint.
#[derive(Default)]
pub(super) struct Progress {
    /// The furthest position of any stream, by partition.
    reached: BTreeMap<i32, i64>,
    /// The last position of the present stream, by partition, as far as it was told.
    stream: BTreeMap<i32, i64>,
    /// Behind everything that was reached.
    token: Option<ResumeToken>,
}

impl Progress {
    /// The progress of a watch that begins behind a token.
    pub(super) fn behind(token: Option<ResumeToken>) -> Self {
        Self {
            token,
            ..Self::default()
        }
    }

    pub(super) fn token(&self) -> Option<&ResumeToken> {
        self.token.as_ref()
    }

    /// Moves over a batch to what is new in it: its events, and its token unless the stream has not
    /// caught up with the ones before.
    pub(super) fn advance(&mut self, mut batch: EventBatch) -> Received {
        for place in &batch.positions {
            self.stream.insert(place.partition, place.position);
        }
        for event in &batch.events {
            self.stream.insert(event.partition, event.position);
        }
        batch.events.retain(|event| {
            let reached = self.reached.entry(event.partition).or_insert(i64::MIN);
            let is_new = event.position > *reached;
            *reached = event.position.max(*reached);
            is_new
        });
        let mut is_caught_up = true;
        for (partition, at) in &self.stream {
            let reached = self.reached.entry(*partition).or_insert(*at);
            is_caught_up &= *at >= *reached;
            *reached = (*reached).max(*at);
        }
        let (token, covers_events) = match &self.token {
            Some(token) if !is_caught_up => (token.clone(), false),
            _ => (batch.resume_token, true),
        };
        self.token = Some(token.clone());
        Received {
            events: batch.events,
            token,
            covers_events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{At, spread as batch};
    use super::*;

    #[test]
    fn a_stream_that_begins_too_early_gives_no_token_until_it_has_caught_up() {
        let mut progress = Progress::default();
        let steps: [(EventBatch, &[At], &str); 10] = [
            (batch("a", &[], &[(0, 1), (1, 4)]), &[], "a"),
            (batch("b", &[(0, 2), (0, 3)], &[]), &[(0, 2), (0, 3)], "b"),
            (batch("c", &[(1, 7)], &[]), &[(1, 7)], "c"),
            (batch("d", &[(1, 7), (1, 8), (1, 8)], &[]), &[(1, 8)], "d"),
            // Another stream.
            (batch("early", &[], &[(0, 1), (1, 4)]), &[], "d"),
            (batch("e", &[(0, 2), (0, 3)], &[]), &[], "d"),
            (batch("f", &[(0, 4)], &[]), &[(0, 4)], "d"),
            (batch("g", &[(1, 7)], &[]), &[], "d"),
            (batch("h", &[(1, 8), (1, 9)], &[]), &[(1, 9)], "h"),
            // A partition that was not seen before.
            (batch("i", &[(2, 1)], &[]), &[(2, 1)], "i"),
        ];
        for (batch, expected, token) in steps {
            let said = String::from(batch.resume_token.clone());
            let received = progress.advance(batch);
            let events = received.events.iter();
            let places: Vec<_> = events
                .map(|event| (event.partition, event.position))
                .collect();
            assert_eq!(places, expected, "{said}");
            assert_eq!(received.token, token.into(), "{said}");
            assert_eq!(received.covers_events, said == token, "{said}");
            assert_eq!(progress.token(), Some(&token.into()), "{said}");
        }
    }
}
