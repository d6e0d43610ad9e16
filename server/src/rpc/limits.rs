//! How large a message may be. tonic has a limit of its own, but answers it without a reason; so ours is lower and cuts the
//! request before tonic sees its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use prost::bytes::{Buf, Bytes};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::status::Failure;

/// Largest message taken from a caller.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// tonic's own limit on what it decodes; never met, because ours is.
pub(super) const DECODING_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// What stands before each message: one byte of flags, four of length.
const HEADER_BYTES: usize = 5;

/// Refuses messages that are too large, as soon as their length is announced.
pub fn layer() -> LimitLayer {
    LimitLayer
}

#[derive(Debug, Clone, Copy)]
pub struct LimitLayer;

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, service: S) -> Limit<S> {
        Limit { service }
    }
}

#[derive(Debug, Clone)]
pub struct Limit<S> {
    service: S,
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Limit<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let measured =
            request.map(|body| Body::new(Measured { body, header: Vec::with_capacity(HEADER_BYTES), left: 0 }));
        self.service.call(measured)
    }
}

/// A body that fails with a status once a message in it announces more than we take.
struct Measured {
    body: Body,
    /// The begun header of the next message.
    header: Vec<u8>,
    /// Bytes of the present message that are still to come.
    left: usize,
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
                if self.left > MESSAGE_BYTES_MAX {
                    return Err(Failure::MessageTooLarge { limit_bytes: MESSAGE_BYTES_MAX }.into());
                }
            }
        }
        Ok(())
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(too_large) = self.measure(data)
        {
            return Poll::Ready(Some(Err(too_large)));
        }
        frame
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
    use prost::Message as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_types::StatusExt as _;
    use tower::ServiceExt as _;

    use super::*;

    /// A body in pieces, so that headers and messages are cut anywhere.
    struct Pieces(std::vec::IntoIter<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// Sends a message of about this many bytes through the layer to a real service and returns how the call ended.
    async fn check(service_name_bytes: usize) -> Status {
        let message = HealthCheckRequest { service: "x".repeat(service_name_bytes) }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[0], length.as_slice(), message.as_slice()].concat();
        let pieces: Vec<Bytes> = [&body[..2], &body[2..7], &body[7..]].map(Bytes::copy_from_slice).into();
        let (_, service) = tonic_health::server::health_reporter();
        let request = http::Request::post("/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .body(Body::new(Pieces(pieces.into_iter())))
            .unwrap();
        let response = layer().layer(tonic::service::Routes::new(service)).oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused_with_its_reason() {
        let fits = check(MESSAGE_BYTES_MAX - 16).await;
        assert!(fits.get_details_error_info().is_none(), "the service itself answers: {fits}");
        for bytes in [MESSAGE_BYTES_MAX + 1, 3 * MESSAGE_BYTES_MAX] {
            let refused = check(bytes).await;
            let info = refused.get_details_error_info().unwrap();
            assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
            assert_eq!(info.metadata["limit_bytes"], MESSAGE_BYTES_MAX.to_string());
        }
    }
}
