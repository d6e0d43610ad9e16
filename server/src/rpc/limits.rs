//! Limits on the size of messages. tonic has a limit of its own, but answers it without a reason;
//! so ours cuts the request before tonic sees its end. What tonic alone can measure is a message
//! that was compressed.

use std::pin::Pin;
use std::task::{Context, Poll};

use belay_wire::status::{CallError, MESSAGE_BYTES_MAX};
use http_body::{Frame, SizeHint};
use prost::bytes::{Buf, Bytes};
use tonic::Status;
use tonic::body::Body;

use super::call::status;

/// What stands before each message: one byte of flags, four of length.
const HEADER_BYTES: usize = 5;

/// The number of messages that a call must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    One,
    Any,
}

/// A body that refuses messages that are too large, as soon as their length is announced, and says
/// what is missing at its end.
pub(super) fn measured(body: Body, expected: Expected) -> Body {
    Body::new(Measured {
        body,
        header: Vec::with_capacity(HEADER_BYTES),
        left: 0,
        messages: 0,
        expected,
        has_ended: false,
    })
}

/// A body that fails with a status once a message in it announces more than we take.
struct Measured {
    body: Body,
    /// The begun header of the next message.
    header: Vec<u8>,
    /// Bytes of the present message that are still to come.
    left: usize,
    /// That have begun.
    messages: usize,
    expected: Expected,
    has_ended: bool,
}

impl Measured {
    /// Follows the messages through the next bytes.
    fn measure(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data.advance(passed);
                continue;
            }
            let missing = (HEADER_BYTES - self.header.len()).min(data.len());
            self.header.extend_from_slice(&data[..missing]);
            data.advance(missing);
            if let [_, length @ ..] = self.header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.header.clear();
                self.messages += 1;
                if self.left > MESSAGE_BYTES_MAX {
                    return Err(status(CallError::MESSAGE_TOO_LARGE));
                }
            }
        }
        Ok(())
    }

    /// Whether what has come may be all.
    fn end(&self) -> Result<(), Status> {
        if self.left > 0 || !self.header.is_empty() {
            return Err(status(CallError::undecodable(
                "the request ends in the middle of its message",
            )));
        }
        if self.messages == 0 && self.expected == Expected::One {
            return Err(status(CallError::undecodable(
                "the request has no message; one without fields is still to be sent",
            )));
        }
        Ok(())
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(too_large) = self.measure(data)
        {
            return Poll::Ready(Some(Err(too_large)));
        }
        let is_over = match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_over && !self.has_ended {
            self.has_ended = true;
            if let Err(missing) = self.end() {
                return Poll::Ready(Some(Err(missing)));
            }
        }
        frame
    }

    /// Not before the end was looked at: a body that is known to be empty is not read.
    fn is_end_stream(&self) -> bool {
        self.has_ended && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_types::StatusExt as _;
    use tower::{Layer as _, ServiceExt as _};

    use super::*;
    use crate::rpc::edge;

    /// A body in pieces, so that headers and messages are cut anywhere.
    struct Pieces(std::vec::IntoIter<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// Sends a message of about this many bytes to a real service and returns how the call ended.
    async fn check(service_name_bytes: usize) -> Status {
        let message = HealthCheckRequest {
            service: "x".repeat(service_name_bytes),
        }
        .encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[0], length.as_slice(), message.as_slice()].concat();
        let pieces: Vec<Bytes> = [&body[..2], &body[2..7], &body[7..]]
            .map(Bytes::copy_from_slice)
            .into();
        let (_, service) = tonic_health::server::health_reporter();
        let request = http::Request::post("/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .body(Body::new(Pieces(pieces.into_iter())))
            .unwrap();
        let response = edge::layer()
            .layer(tonic::service::Routes::new(service))
            .oneshot(request)
            .await
            .unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused_with_its_reason() {
        let fits = check(MESSAGE_BYTES_MAX - 16).await;
        assert_eq!(
            fits.get_details_error_info().unwrap().reason,
            "NAME_UNKNOWN",
            "the service itself answers"
        );
        for bytes in [MESSAGE_BYTES_MAX + 1, 3 * MESSAGE_BYTES_MAX] {
            let refused = check(bytes).await;
            let info = refused.get_details_error_info().unwrap();
            assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
            assert_eq!(info.metadata["limit_bytes"], MESSAGE_BYTES_MAX.to_string());
        }
    }

    #[tokio::test]
    async fn a_message_that_is_missing_or_breaks_off_is_told_so() {
        let end = async |pieces: &[&'static [u8]], expected| {
            let pieces: Vec<Bytes> = pieces
                .iter()
                .map(|piece| Bytes::from_static(piece))
                .collect();
            let mut body = measured(Body::new(Pieces(pieces.into_iter())), expected);
            loop {
                match std::future::poll_fn(|cx| {
                    http_body::Body::poll_frame(Pin::new(&mut body), cx)
                })
                .await
                {
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return status.message().to_owned(),
                    None => return String::new(),
                }
            }
        };
        assert_eq!(end(&[b"\0\0\0\0\x02", b"ab"], Expected::One).await, "");
        assert_eq!(
            end(&[b"\0\0\0\0\0"], Expected::One).await,
            "",
            "a message without fields is a message"
        );
        assert!(end(&[], Expected::One).await.contains("no message"));
        assert_eq!(end(&[], Expected::Any).await, "");
        for broken in [&b"\0\0"[..], b"\0\0\0\0\x02a"] {
            assert!(
                end(&[broken], Expected::Any).await.contains("middle"),
                "{broken:?}"
            );
        }
        let empty = measured(Body::empty(), Expected::One);
        assert!(
            !http_body::Body::is_end_stream(&empty),
            "or nobody would look"
        );
    }
}
