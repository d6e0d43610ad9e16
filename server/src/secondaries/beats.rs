//! The beats of this server: which it has written to the primary, and since when. It knows no
//! database.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The beats that are remembered.
#[derive(Debug, Default)]
pub(super) struct Beats {
    last: u64,
    /// From the oldest on, with the instant before which each was not there.
    written: VecDeque<(u64, Instant)>,
}

impl Beats {
    /// The number of the next beat. One that fails leaves a gap, for it may be there after all.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A beat that was sent then is there. What is older than `keep` by then is forgotten, but for
    /// one.
    pub(super) fn written(&mut self, beat: u64, sent_at: Instant, keep: Duration) {
        self.written.push_back((beat, sent_at));
        while self.written.len() > 1 && self.written[1].1 + keep < sent_at {
            self.written.pop_front();
        }
    }

    /// What shows this beat shows all that was committed before then. None where that is longer ago
    /// than anything that is remembered.
    pub(super) fn as_of(&self, beat: u64) -> Option<Instant> {
        let behind = self
            .written
            .partition_point(|(written, _)| *written <= beat);
        let (_, sent_at) = self.written.get(behind.checked_sub(1)?)?;
        Some(*sent_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_beat_tells_when_it_was_sent_and_one_that_failed_the_one_before() {
        let mut beats = Beats::default();
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        for second in 0..4 {
            let beat = beats.next();
            assert_eq!(beat, second + 1);
            if second != 2 {
                beats.written(beat, at(second), HOUR);
            }
        }
        assert_eq!(beats.as_of(0), None, "it has shown none");
        assert_eq!(beats.as_of(1), Some(at(0)));
        assert_eq!(beats.as_of(2), Some(at(1)));
        assert_eq!(beats.as_of(3), Some(at(1)), "it may be there");
        assert_eq!(beats.as_of(4), Some(at(3)));
        assert_eq!(beats.as_of(9), Some(at(3)));
    }

    #[test]
    fn old_beats_are_forgotten() {
        let mut beats = Beats::default();
        let begun = Instant::now();
        let minute = Duration::from_secs(60);
        for turn in 0..120 {
            let beat = beats.next();
            beats.written(beat, begun + minute * turn, HOUR);
        }
        // Those of an hour, and one before them.
        assert_eq!(beats.written.len(), 62);
        assert_eq!(beats.as_of(58), None);
        assert_eq!(beats.as_of(120), Some(begun + minute * 119));
    }
}
