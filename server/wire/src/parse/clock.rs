//! Requests of the ClockService.

use belay_proto::testing::v1 as pb;
use jiff::SignedDuration;

use super::bounds::{ADVANCE_MAX, ADVANCE_MIN};
use super::{Parsed, Reader, Violations, duration, parse};

/// How far the time is to move.
pub fn advance_time(request: pb::AdvanceTimeRequest, _: &Reader<'_>) -> Parsed<SignedDuration> {
    parse(|v| advance(v, request))
}

fn advance(v: &mut Violations, request: pb::AdvanceTimeRequest) -> Option<SignedDuration> {
    let length = request
        .duration
        .and_then(duration)
        .filter(|length| (ADVANCE_MIN..=ADVANCE_MAX).contains(length));
    if length.is_none() {
        v.add("duration", "must be from a microsecond to 3,660 days");
    }
    length
}
