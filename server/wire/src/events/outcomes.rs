//! The ends of parts of cancellations that events tell of, for those who count them.

use belay_domain::cancellation::PartState;
use belay_domain::error_reason::ErrorReason;
use belay_domain::terms::Path;
use belay_proto::v1 as pb;
use belay_proto::v1::event::Detail;

use crate::Wire as _;

/// The end of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedPart<'a> {
    /// None in events that were written before it was recorded.
    pub path: Option<Path>,
    pub state: PartState,
    /// Why the cancellation was asked: a code of the policy. Empty where nobody gave a reason.
    pub reason: &'a str,
    pub refused_reason: Option<ErrorReason>,
}

/// The parts that end in these events.
pub fn ended_parts(events: &[pb::Event]) -> impl Iterator<Item = EndedPart<'_>> {
    events.iter().filter_map(|event| match &event.detail {
        Some(Detail::PartEnded(ended)) => Some(EndedPart {
            path: Path::from_number(ended.path),
            state: PartState::from_number(ended.state)?,
            reason: &ended.reason,
            refused_reason: ErrorReason::parse(&ended.refused_reason),
        }),
        Some(_) | None => None,
    })
}
