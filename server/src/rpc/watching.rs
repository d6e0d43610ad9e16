//! WatchEvents as it is served: what it sends is made once for all who watch, so its messages are
//! put together of bytes and not of events.
//!
//! The generated server of the service encodes each message anew for each caller; this stands
//! before it and takes the one method.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use belay_proto::codec::MessageDecoder;
use belay_proto::v1 as pb;
use belay_wire::status::{CallError, MESSAGE_BYTES_MAX};
use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tower::Service;

use super::edge;

const WATCH_EVENTS: &str = "/belay.v1.EventService/WatchEvents";

/// A message of the stream: `belay.v1.WatchEventsResponse`, its events as bytes.
#[derive(Debug)]
pub(super) struct WatchMessage {
    /// Whole fields `events`, in their order.
    pub(super) events: Vec<Bytes>,
    /// All else; it has no events.
    pub(super) rest: pb::WatchEventsResponse,
}

impl WatchMessage {
    /// The message that its bytes are.
    pub(super) fn whole(self) -> Result<pb::WatchEventsResponse, CallError> {
        let mut whole = self.rest;
        for events in self.events {
            let read = whole.merge(events);
            read.map_err(|error| CallError::Internal(format!("events cannot be read: {error}")))?;
        }
        Ok(whole)
    }
}

/// The service before which WatchEvents is answered, by this method.
#[derive(Debug, Clone)]
pub(super) struct Watching<S, M> {
    service: S,
    method: M,
}

impl<S, M> Watching<S, M> {
    pub(super) fn new(service: S, method: M) -> Self {
        Self { service, method }
    }
}

impl<S: NamedService, M> NamedService for Watching<S, M> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S, M> Service<http::Request<Body>> for Watching<S, M>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
    M: ServerStreamingService<pb::WatchEventsRequest, Response = WatchMessage>,
    M: Clone + Send + 'static,
    M::ResponseStream: Send + 'static,
    M::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != WATCH_EVENTS {
            return Box::pin(self.service.call(request));
        }
        let method = self.method.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(WatchCodec)
                .accept_compressed(edge::COMPRESSION)
                .send_compressed(edge::COMPRESSION)
                .max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(grpc.server_streaming(method, request).await)
        })
    }
}

struct WatchCodec;

impl Codec for WatchCodec {
    type Encode = WatchMessage;
    type Decode = pb::WatchEventsRequest;
    type Encoder = WatchEncoder;
    type Decoder = MessageDecoder<pb::WatchEventsRequest>;

    fn encoder(&mut self) -> WatchEncoder {
        WatchEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder::default()
    }
}

struct WatchEncoder;

impl Encoder for WatchEncoder {
    type Item = WatchMessage;
    type Error = Status;

    fn encode(&mut self, message: WatchMessage, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let events: usize = message.events.iter().map(Bytes::len).sum();
        out.reserve(events + message.rest.encoded_len());
        for events in message.events {
            out.put(events);
        }
        let written = message.rest.encode(out);
        written.unwrap_or_else(|error| panic!("the buffer was made large enough: {error}"));
        Ok(())
    }
}
