//! An answer as gRPC knows it: what a proxy says when a server is gone is told apart from what a
//! server says.
//!
//! A proxy answers with a page of HTML, or ends what it has passed on as if it were complete. tonic
//! takes both for defects of the server, and such a failure does not pass by itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use http_body::Frame;
use tonic::body::Body;

use crate::error::BoxError;

/// The header or trailer of how a call ended. A server always sends it.
const STATUS: &str = "grpc-status";

/// The same answer, with what is not a server's word made a failure that is told as one.
pub(crate) fn told_apart(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(STATUS) {
        return response;
    }
    if response.status() != StatusCode::OK {
        // Without a body tonic reads the HTTP status, and makes what passes UNAVAILABLE.
        return response.map(|_page| Body::empty());
    }
    response.map(|body| {
        Body::new(ToTheEnd {
            body,
            has_ended: false,
        })
    })
}

/// A body that ends with the status of its call, or fails: an end without one is a connection that
/// broke, which the proxy has hidden.
struct ToTheEnd {
    body: Body,
    /// Whether its status has come. Whoever asks again hears that there is no more.
    has_ended: bool,
}

impl http_body::Body for ToTheEnd {
    type Data = <Body as http_body::Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => return Poll::Ready(Some(Err(status.into()))),
            None if self.has_ended => return Poll::Ready(None),
            None => return Poll::Ready(Some(Err(cut_off()))),
        };
        if let Some(trailers) = frame.trailers_ref() {
            self.has_ended = trailers.contains_key(STATUS);
            if !self.has_ended {
                return Poll::Ready(Some(Err(cut_off())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

fn cut_off() -> BoxError {
    let message = "the answer ended without a status: its server or a proxy has gone";
    io::Error::new(io::ErrorKind::UnexpectedEof, message).into()
}
