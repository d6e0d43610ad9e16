//! Answers on their way out: what of them waits for its caller is counted until it has left, and
//! how long it waits can be seen from outside.
//!
//! An answer is handed on in pieces. hyper asks for the next piece once the caller has room for the
//! present one, so a piece that is in its hands for long is one that nobody takes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use belay_wire::status::CallError;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::bounds::{ConnectionBounds, Held, HeldAnswer};
use super::call::status;

/// What is handed on at once.
const PIECE_BYTES: usize = 16 * 1024;

/// The flow of one answer towards its caller. Cloning it shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow(Arc<Mutex<Option<Instant>>>);

impl Flow {
    /// Since when a piece of the answer waits for its caller; none where none does.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// The way in which an answer may fail for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfFull {
    /// It is refused: nothing was done for it.
    Refuse,
    /// It is given: what was done is to be told.
    Give,
}

/// The body of an answer, which is counted and cut into pieces.
/// `standard` is held as long as it is open.
pub(crate) fn counted(
    body: Body,
    bounds: ConnectionBounds,
    flow: Flow,
    if_full: IfFull,
    standard: Option<Held>,
) -> Body {
    Body::new(Counted {
        body,
        bounds,
        flow,
        if_full,
        _standard: standard,
        rest: Bytes::new(),
        is_over: false,
    })
}

struct Counted {
    body: Body,
    bounds: ConnectionBounds,
    flow: Flow,
    if_full: IfFull,
    _standard: Option<Held>,
    /// Of what the service gave last.
    rest: Bytes,
    is_over: bool,
}

impl Counted {
    /// The next piece.
    fn piece(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.len().min(PIECE_BYTES);
        self.flow.is_waiting(Some(Instant::now()));
        Frame::data(self.rest.split_to(bytes))
    }

    /// Counts what the service gives until the last of it has left.
    fn count(&self, data: Bytes) -> Option<Bytes> {
        let has_room = self.bounds.has_room_for_answer(data.len());
        if self.if_full == IfFull::Refuse && !has_room {
            return None;
        }
        let held = self.bounds.hold_answer(data.len());
        Some(Bytes::from_owner(CountedBytes { data, _held: held }))
    }
}

/// Bytes that are counted as long as there are any of them.
struct CountedBytes {
    data: Bytes,
    _held: HeldAnswer,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // Who asks has passed on what it had.
        self.flow.is_waiting(None);
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let data = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => data,
                Ok(empty) => return Poll::Ready(Some(Ok(Frame::data(empty)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            over => return Poll::Ready(over),
        };
        let Some(data) = self.count(data) else {
            self.is_over = true;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(
                status(CallError::Overloaded)
                    .add_header(&mut trailers)
                    .map(|()| Frame::trailers(trailers)),
            ));
        };
        self.rest = data;
        Poll::Ready(Some(Ok(self.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && (self.is_over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::rpc::bounds::{BoundSettings, PortBounds};

    fn port(bytes: usize) -> PortBounds {
        PortBounds::new(BoundSettings {
            answer_bytes: bytes,
            ..BoundSettings::default()
        })
    }

    fn body(bytes: usize) -> Body {
        Body::new(Full::new(Bytes::from(vec![7; bytes])).map_err(|never| match never {}))
    }

    #[tokio::test]
    async fn an_answer_is_counted_until_its_last_piece_has_left() {
        let port = port(1024 * 1024);
        let flow = Flow::default();
        let bytes = 2 * PIECE_BYTES + 1;
        let counted = counted(
            body(bytes),
            port.connection(),
            flow.clone(),
            IfFull::Give,
            None,
        );
        let mut counted = std::pin::pin!(counted);
        let mut pieces = Vec::new();
        for expected in [PIECE_BYTES, PIECE_BYTES, 1] {
            assert_eq!(flow.waits_since().is_some(), !pieces.is_empty());
            let frame = counted.frame().await.unwrap().unwrap();
            let piece = frame.into_data().unwrap();
            assert_eq!(piece.len(), expected);
            pieces.push(piece);
            assert_eq!(port.answer_bytes(), bytes);
        }
        assert!(counted.frame().await.is_none());
        assert_eq!(flow.waits_since(), None, "nothing is left to wait");
        pieces.truncate(1);
        assert_eq!(port.answer_bytes(), bytes, "a piece is still on its way");
        pieces.clear();
        assert_eq!(port.answer_bytes(), 0);
    }

    #[tokio::test]
    async fn without_room_a_read_is_refused_and_a_write_is_told() {
        let port = port(4 * 10);
        let connection = port.connection();
        let answer = |bytes, if_full| {
            let bounds = connection.clone();
            counted(body(bytes), bounds, Flow::default(), if_full, None).collect()
        };
        let only = answer(100, IfFull::Refuse).await.unwrap();
        assert_eq!(only.to_bytes().len(), 100);

        let _other = connection.hold_answer(1);
        let fits = answer(9, IfFull::Refuse).await.unwrap().to_bytes();
        assert_eq!(fits.len(), 9);
        let refused = answer(10, IfFull::Refuse).await.unwrap();
        let status = Status::from_header_map(refused.trailers().unwrap()).unwrap();
        let reason = status.get_details_error_info().unwrap().reason;
        assert_eq!(reason, "OVERLOADED");
        assert!(status.get_details_retry_info().is_some());
        let given = answer(10, IfFull::Give).await.unwrap().to_bytes();
        assert_eq!(given.len(), 10);
        drop((fits, given));
        assert_eq!(port.answer_bytes(), 1);
    }
}
