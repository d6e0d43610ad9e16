//! The message of a request on its way in: what comes over HTTP leaves as the message of a gRPC
//! call.
//!
//! Nothing is read before the services ask for it, so who may not call has nothing read for it.
//! What is read is bounded, counts for its connection, and comes in the time that gRPC's messages
//! have, which the edge looks at.

use std::error::Error;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use belay_wire::json;
use belay_wire::status::{CallError, MESSAGE_BYTES_MAX};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body::{Frame, SizeHint};
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;

use super::head::{Codec, Compression};
use super::methods::Method;
use crate::rpc::{ConnectionBounds, Held, status};

/// What stands before a message, of gRPC as of a stream of Connect: one byte of flags, four of
/// length.
pub(super) const HEADER_BYTES: usize = 5;
const FLAG_COMPRESSED: u8 = 1;

/// The body of a request, as gRPC has it.
pub(super) struct HttpBody {
    body: Body,
    method: Arc<Method>,
    codec: Codec,
    compression: Compression,
    read: BytesMut,
    /// What was read counts until it is another message. None where there was no room to begin
    /// with.
    held: Option<Held>,
    is_over: bool,
}

impl HttpBody {
    pub(super) fn new(
        body: Body,
        method: Arc<Method>,
        codec: Codec,
        compression: Compression,
        bounds: &ConnectionBounds,
    ) -> Self {
        Self {
            body,
            method,
            codec,
            compression,
            read: BytesMut::new(),
            held: bounds.requests().try_hold(0),
            is_over: false,
        }
    }

    /// Bytes that a body may have.
    fn bytes_max(&self) -> usize {
        let header = if self.method.streams { HEADER_BYTES } else { 0 };
        MESSAGE_BYTES_MAX + header
    }

    fn take(&mut self, data: &[u8]) -> Result<(), CallError> {
        if self.read.len() + data.len() > self.bytes_max() {
            return Err(CallError::MESSAGE_TOO_LARGE);
        }
        self.hold(data.len())?;
        self.read.extend_from_slice(data);
        if self.method.streams && self.read.len() >= HEADER_BYTES {
            self.announced()?;
        }
        Ok(())
    }

    fn hold(&self, bytes: usize) -> Result<(), CallError> {
        match &self.held {
            Some(held) if held.grow(bytes) => Ok(()),
            Some(_) | None => Err(CallError::Overloaded),
        }
    }

    /// The length that the header of an envelope says, and whether its message is compressed.
    fn announced(&self) -> Result<(usize, bool), CallError> {
        let [flags, length @ ..] = &self.read[..HEADER_BYTES] else {
            return Err(CallError::undecodable("the request has no message"));
        };
        if flags & !FLAG_COMPRESSED != 0 {
            return Err(CallError::undecodable(
                "the flags of the message are none that a request may have",
            ));
        }
        let length = length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if length > MESSAGE_BYTES_MAX {
            return Err(CallError::MESSAGE_TOO_LARGE);
        }
        Ok((length, flags & FLAG_COMPRESSED != 0))
    }

    /// What came, without what is around it.
    fn message(&mut self) -> Result<Bytes, CallError> {
        let is_compressed = if self.method.streams {
            self.open_envelope()?
        } else {
            self.compression == Compression::Gzip
        };
        let read = std::mem::take(&mut self.read).freeze();
        if is_compressed {
            self.decompressed(&read)
        } else {
            Ok(read)
        }
    }

    /// Takes the envelope off; whether the message in it is compressed.
    fn open_envelope(&mut self) -> Result<bool, CallError> {
        if self.read.len() < HEADER_BYTES {
            return Err(CallError::undecodable(
                "the request has no message; one without fields is still to be sent, in its envelope",
            ));
        }
        let (length, is_compressed) = self.announced()?;
        if is_compressed && self.compression == Compression::None {
            return Err(CallError::undecodable(
                "the message is compressed, and Connect-Content-Encoding does not say with what",
            ));
        }
        self.read.advance(HEADER_BYTES);
        if self.read.len() != length {
            return Err(CallError::undecodable(
                "the request has one message, which is as long as its envelope says",
            ));
        }
        Ok(is_compressed)
    }

    fn decompressed(&self, read: &[u8]) -> Result<Bytes, CallError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MESSAGE_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let whole = MultiGzDecoder::new(read)
            .take(limit)
            .read_to_end(&mut bytes);
        whole.map_err(|_| CallError::undecodable("the message is not compressed with gzip"))?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(CallError::MESSAGE_TOO_LARGE);
        }
        self.hold(bytes.len())?;
        Ok(bytes.into())
    }

    /// The message of the gRPC call.
    fn framed(&mut self) -> Result<Bytes, CallError> {
        let message = self.message()?;
        let protobuf = match self.codec {
            Codec::Proto => message,
            Codec::Json if message.is_empty() => {
                return Err(CallError::undecodable(
                    "the body is empty; a message without fields is {}",
                ));
            }
            Codec::Json => json::read(&self.method.input, &message)?
                .encode_to_vec()
                .into(),
        };
        let length = u32::try_from(protobuf.len());
        let length = length.map_err(|_| CallError::MESSAGE_TOO_LARGE)?;
        let mut framed = BytesMut::with_capacity(HEADER_BYTES + protobuf.len());
        framed.put_u8(0);
        framed.put_u32(length);
        framed.put(protobuf);
        // From here on the edge counts.
        self.held = None;
        Ok(framed.freeze())
    }

    fn fail(&mut self, failure: CallError) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_over = true;
        self.held = None;
        self.read = BytesMut::new();
        Poll::Ready(Some(Err(status(failure))))
    }
}

/// Whether the caller's end is to blame: hyper says of a body that ends too soon, and of chunks
/// that are none, that they could not be read. A stream of HTTP/2 that is given up has another
/// cause, and a status that says so.
fn broke_off(error: &Status) -> bool {
    let of_hyper = error.source().filter(|source| source.is::<hyper::Error>());
    let cause = of_hyper.and_then(Error::source);
    cause.is_some_and(<dyn Error>::is::<std::io::Error>)
}

impl http_body::Body for HttpBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // Not read at all: who waits to be told to go on is told that it is too much.
        let announced = usize::try_from(self.body.size_hint().lower());
        if announced.unwrap_or(usize::MAX) > self.bytes_max() {
            return self.fail(CallError::MESSAGE_TOO_LARGE);
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) if broke_off(&error) => {
                    let told = "the body breaks off before its end, or is no body of HTTP";
                    return self.fail(CallError::undecodable(told));
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => break,
            };
            if let Some(data) = frame.data_ref()
                && let Err(failure) = self.take(data)
            {
                return self.fail(failure);
            }
        }
        match self.framed() {
            Ok(framed) => {
                self.is_over = true;
                Poll::Ready(Some(Ok(Frame::data(framed))))
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
