//! Whether a request has left. A call whose time ends before that has had no effect.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::Request;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// What became of one request. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<OnceLock<Fate>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A connection has asked for its message.
    Left,
    Withdrawn,
}

impl Sent {
    /// The same request, watched as it leaves.
    pub(crate) fn watch(&self, request: Request<Body>) -> Request<Body> {
        request.map(|body| {
            Body::new(Watched {
                body,
                sent: self.clone(),
            })
        })
    }

    /// Whether the request has not left. From here on it does not: what is given up may be on its
    /// way to a connection still.
    pub(crate) fn withdraw(&self) -> bool {
        *self.0.get_or_init(|| Fate::Withdrawn) == Fate::Withdrawn
    }

    fn leave(&self) -> bool {
        *self.0.get_or_init(|| Fate::Left) == Fate::Left
    }
}

/// The message of a request.
struct Watched {
    body: Body,
    sent: Sent,
}

impl http_body::Body for Watched {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if !self.sent.leave() {
            let error = Status::cancelled("the call was given up before it was sent");
            return Poll::Ready(Some(Err(error)));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;

    use super::*;

    /// Whether a connection gets the message.
    fn leaves(request: &mut Request<Body>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(request.body_mut()).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.unwrap().is_ok(),
            Poll::Pending => panic!("the message is there"),
        }
    }

    #[test]
    fn a_request_leaves_or_is_withdrawn_and_never_both() {
        let (sent, body) = (Sent::default(), Body::new("message".to_owned()));
        let mut request = sent.watch(Request::new(body));
        assert!(leaves(&mut request));
        assert!(!sent.withdraw());

        let (sent, body) = (Sent::default(), Body::new("message".to_owned()));
        let mut request = sent.watch(Request::new(body));
        assert!(sent.withdraw() && sent.withdraw());
        assert!(!leaves(&mut request));
    }
}
