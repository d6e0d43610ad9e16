//! The conclusion: after a part has moved on, its cancellation may be over, and money and shipments
//! follow.

use crate::cancellation::CancellationState;
use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::refunds;

/// Closes the cancellation if none of its parts waits any more, and lets money and shipments
/// follow.
pub(crate) fn conclude(draft: &mut Draft<'_>, number: u32) {
    close_if_over(draft, number);
    follow_up(draft, number);
}

fn close_if_over(draft: &mut Draft<'_>, number: u32) {
    let now = draft.now;
    let cancellation = draft.cancellation_mut(number);
    if cancellation.close_time.is_some() || !cancellation.is_over() {
        return;
    }
    cancellation.close_time = Some(now);
    let cancellation = cancellation.clone();
    let promise = draft.order.promise(&cancellation);
    match cancellation.state() {
        CancellationState::Completed => draft.emit(EventDetail::CancellationCompleted {
            cancellation: number,
            refund: promise.refund,
            release: promise.release,
            effects: cancellation.effects.clone(),
            counted: cancellation.counted,
        }),
        CancellationState::Rejected => draft.emit(EventDetail::CancellationRejected {
            cancellation: number,
            close_reason: cancellation.close_reason(),
        }),
        CancellationState::Withdrawn => draft.emit(EventDetail::CancellationWithdrawn {
            cancellation: number,
        }),
        CancellationState::Pending => {}
    }
    if cancellation.closes_unpaid() && draft.order.is_wholly_cancelled() {
        draft.emit(EventDetail::OrderClosedUnpaid {
            cancellation: number,
        });
    }
}

/// The order may be paid now, what was cancelled is refunded, and shipments that waited for it are
/// released. The release comes last, once it is known whether the order is paid.
fn follow_up(draft: &mut Draft<'_>, number: u32) {
    draft.follow_payments();
    refunds::reconcile(draft, Some(number));
    draft.release_if_ready();
}
