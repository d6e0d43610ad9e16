//! UpdateOrderMetadata and UpdateCancellationMetadata: what integrators keep with an order or a
//! cancellation changes. In any state, for nothing is decided by it.

use serde::{Deserialize, Serialize};

use crate::annotations::{
    Annotations, AnnotationsChange, ChangedAnnotations, METADATA_MAX, REFERENCES_MAX,
};
use crate::decision::Answer;
use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::rejection::{Limit, Rejection};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMetadata {
    /// Of the order itself where none is named.
    pub cancellation: Option<u32>,
    pub change: AnnotationsChange,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &UpdateMetadata) -> Result<Answer, Rejection> {
    let kept = annotations(draft, command.cancellation)?;
    let changed = kept.change(&command.change);
    if changed != ChangedAnnotations::default() {
        check(Limit::Metadata, kept.metadata.len(), METADATA_MAX)?;
        check(Limit::References, kept.references.len(), REFERENCES_MAX)?;
        draft.emit(EventDetail::MetadataChanged {
            cancellation: command.cancellation,
            changed,
        });
    }
    Ok(command
        .cancellation
        .map_or(Answer::Order, Answer::Cancellation))
}

fn annotations<'a>(
    draft: &'a mut Draft<'_>,
    cancellation: Option<u32>,
) -> Result<&'a mut Annotations, Rejection> {
    let Some(number) = cancellation else {
        return Ok(&mut draft.order.annotations);
    };
    let mut cancellations = draft.order.cancellations.iter_mut();
    let found = cancellations.find(|cancellation| cancellation.number == number);
    found
        .map(|cancellation| &mut cancellation.annotations)
        .ok_or(Rejection::CancellationNotFound {
            cancellation: number,
        })
}

fn check(limit: Limit, count: usize, max: usize) -> Result<(), Rejection> {
    if count <= max {
        Ok(())
    } else {
        Err(Rejection::LimitReached { limit, max })
    }
}
