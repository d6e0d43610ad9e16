//! Answers on their way out: what the services say in gRPC leaves as Connect has it. What waits for
//! its caller is counted as it leaves, and not as it was made: JSON is longer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use belay_wire::json;
use belay_wire::status::{CallError, ConnectError};
use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost_reflect::DynamicMessage;
use tonic::Status;
use tonic::body::Body;

use super::Shared;
use super::failure::{self, Refused, end_of_stream, is_metadata, of_status};
use super::head::Codec;
use super::intake::HEADER_BYTES;
use super::methods::Method;
use crate::rpc::{ConnectionBounds, Flow, IfFull, counted, status};

/// The flag of the last message of a stream.
const FLAG_END: u8 = 2;

/// The way of an answer to its caller.
pub(super) struct Way {
    pub(super) shared: Arc<Shared>,
    pub(super) method: Arc<Method>,
    pub(super) codec: Codec,
    pub(super) bounds: ConnectionBounds,
    pub(super) flow: Flow,
}

impl Way {
    /// The answer to a call that no service has seen.
    pub(super) fn refuse(self, refused: Refused) -> Response<Body> {
        if self.method.streams {
            let body = refused.into_status().into_http();
            return self.stream(body);
        }
        refused.into_unary(self.shared.methods.pool())
    }

    /// The answer to a call that a service has answered so.
    pub(super) async fn answer(self, answered: Response<Body>) -> Response<Body> {
        if self.method.streams {
            return self.stream(answered);
        }
        let pool = self.shared.methods.pool();
        let answer = match self.unary(answered).await {
            Ok(answer) => answer,
            Err(error) => failure::unary(&error, pool),
        };
        answer.map(|body| counted(body, self.bounds, self.flow, IfFull::Give, None))
    }

    async fn unary(&self, answered: Response<Body>) -> Result<Response<Body>, ConnectError> {
        let (head, body) = answered.into_parts();
        if let Some(error) = ConnectError::of(&head.headers) {
            return Err(error);
        }
        // What is collected counts until it is read below.
        let collected = body.collect().await.map_err(|told| of_status(&told))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        if let Some(error) = ConnectError::of(&trailers) {
            return Err(error);
        }
        let mut message = collected.aggregate();
        if message.remaining() < HEADER_BYTES {
            return Err(broken("an answer without a message"));
        }
        message.advance(HEADER_BYTES);
        let length = message.remaining();
        let bytes = self.told(message.copy_to_bytes(length))?;
        if self.method.is_read && !self.bounds.has_room_for_answer(bytes.len()) {
            return Err(of_status(&status(CallError::Overloaded)));
        }
        let mut answer = failure::whole(self.codec.content_type(false), bytes);
        let headers = answer.headers_mut();
        for (name, value) in head.headers.iter().filter(|(name, _)| is_metadata(name)) {
            headers.append(name.clone(), value.clone());
        }
        for (name, value) in trailers.iter().filter(|(name, _)| is_metadata(name)) {
            if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
                headers.append(name, value.clone());
            }
        }
        Ok(answer)
    }

    fn stream(self, answered: Response<Body>) -> Response<Body> {
        let (head, body) = answered.into_parts();
        let content = HeaderValue::from_static(self.codec.content_type(true));
        let (bounds, flow) = (self.bounds.clone(), self.flow.clone());
        let refused = ConnectError::of(&head.headers).is_some();
        let envelopes = Envelopes {
            way: self,
            body,
            refused: refused.then(|| head.headers.clone()),
            read: BytesMut::new(),
            is_over: false,
        };
        let body = counted(Body::new(envelopes), bounds, flow, IfFull::Give, None);
        let mut answer = Response::new(body);
        let metadata = head.headers.iter().filter(|(name, _)| is_metadata(name));
        for (name, value) in metadata {
            answer.headers_mut().append(name.clone(), value.clone());
        }
        answer.headers_mut().insert(CONTENT_TYPE, content);
        answer
    }

    /// A message as the caller wants it.
    fn told(&self, message: Bytes) -> Result<Bytes, ConnectError> {
        if self.codec == Codec::Proto {
            return Ok(message);
        }
        let message = DynamicMessage::decode(self.method.output.clone(), message);
        let message =
            message.map_err(|error| broken(&format!("an answer is unreadable: {error}")))?;
        let text = json::write(&message);
        let text = text.map_err(|error| broken(&format!("an answer cannot be JSON: {error}")))?;
        Ok(text.into())
    }
}

/// A defect of ours.
fn broken(cause: &str) -> ConnectError {
    of_status(&status(CallError::Internal(cause.to_owned())))
}

/// The messages of a stream, each in its envelope, and the last that says how it ended.
struct Envelopes {
    way: Way,
    body: Body,
    /// The headers of a stream that was refused.
    refused: Option<HeaderMap>,
    /// Of the next message.
    read: BytesMut,
    is_over: bool,
}

impl Envelopes {
    /// The next message that has come whole.
    fn message(&mut self) -> Option<Bytes> {
        let header: [u8; HEADER_BYTES] = self.read.get(..HEADER_BYTES)?.try_into().ok()?;
        let [_, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.read.len() < HEADER_BYTES + length {
            return None;
        }
        self.read.advance(HEADER_BYTES);
        Some(self.read.split_to(length).freeze())
    }

    fn end(&mut self, error: Option<&ConnectError>, trailers: &HeaderMap) -> Frame<Bytes> {
        self.is_over = true;
        // What it reads from ends as well.
        self.body = Body::empty();
        let end = end_of_stream(error, trailers, self.way.shared.methods.pool());
        envelope(FLAG_END, &end)
    }

    fn fail(&mut self, error: &ConnectError) -> Frame<Bytes> {
        self.end(Some(error), &HeaderMap::new())
    }
}

fn envelope(flags: u8, message: &[u8]) -> Frame<Bytes> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut envelope = BytesMut::with_capacity(HEADER_BYTES + message.len());
    envelope.put_u8(flags);
    envelope.put_u32(length);
    envelope.put_slice(message);
    Frame::data(envelope.freeze())
}

impl http_body::Body for Envelopes {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(headers) = self.refused.take() {
            let error = ConnectError::of(&headers);
            return Poll::Ready(Some(Ok(self.end(error.as_ref(), &headers))));
        }
        loop {
            if let Some(message) = self.message() {
                let frame = match self.way.told(message) {
                    Ok(told) => envelope(0, &told),
                    Err(error) => self.fail(&error),
                };
                return Poll::Ready(Some(Ok(frame)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(told)) => {
                    return Poll::Ready(Some(Ok(self.fail(&of_status(&told)))));
                }
                None => {
                    let error = broken("a stream ended without its status");
                    return Poll::Ready(Some(Ok(self.fail(&error))));
                }
            };
            match frame.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let error = ConnectError::of(&trailers);
                    return Poll::Ready(Some(Ok(self.end(error.as_ref(), &trailers))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
