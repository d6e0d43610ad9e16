//! Limits on the size of messages, on what all of them hold at once, and on the time they take to
//! come. tonic has a limit of its own, but answers it without a reason;
//! so ours cuts the request before tonic sees its end. What tonic alone can measure is a message
//! that was compressed.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use belay_wire::status::CallError;
use http_body::{Frame, SizeHint};
use prost::bytes::{Buf, Bytes};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::bounds::Held;
use super::call::status;

/// What stands before each message: one byte of flags, four of length.
const HEADER_BYTES: usize = 5;

/// The number of messages that a call must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    One,
    Any,
}

/// What a call may bring.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) expected: Expected,
    /// Of each message.
    pub(super) bytes_max: usize,
    /// The time for all of it to come; of any number of messages, for each of them.
    pub(super) within: Duration,
    /// Where what has come is counted.
    pub(super) held: Option<Arc<Held>>,
}

/// A body that refuses messages that are too large, as soon as their length is announced, and those
/// that do not come in time or find no room; and says what is missing at its end.
pub(super) fn measured(body: Body, intake: Intake) -> Body {
    Body::new(Measured {
        body,
        due: Instant::now() + intake.within,
        intake,
        header: Vec::with_capacity(HEADER_BYTES),
        left: 0,
        messages: 0,
        timer: None,
        has_ended: false,
    })
}

/// A body that fails with a status once a message in it announces more than we take.
struct Measured {
    body: Body,
    intake: Intake,
    /// The begun header of the next message.
    header: Vec<u8>,
    /// Bytes of the present message that are still to come.
    left: usize,
    /// That have begun.
    messages: usize,
    due: Instant,
    /// Begun when something had to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
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
            if self.header.is_empty() && self.messages > 0 {
                // The time of the next one.
                self.due = Instant::now() + self.intake.within;
                self.timer = None;
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
                let limit_bytes = self.intake.bytes_max;
                if self.left > limit_bytes {
                    return Err(status(CallError::MessageTooLarge { limit_bytes }));
                }
            }
        }
        Ok(())
    }

    /// Takes the next bytes into account.
    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        self.measure(data)?;
        match &self.intake.held {
            Some(held) if !held.grow(data.len()) => Err(status(CallError::Overloaded)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether what is still to come is late. Between two of many messages there may be any time.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let is_between = self.messages > 0 && self.left == 0 && self.header.is_empty();
        if self.intake.expected == Expected::Any && is_between {
            return false;
        }
        let due = self.due;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        timer.as_mut().poll(cx).is_ready()
    }

    /// Whether what has come may be all.
    fn end(&self) -> Result<(), Status> {
        if self.left > 0 || !self.header.is_empty() {
            return Err(status(CallError::undecodable(
                "the request ends in the middle of its message",
            )));
        }
        if self.messages == 0 && self.intake.expected == Expected::One {
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
            && let Err(refused) = self.take(data)
        {
            return Poll::Ready(Some(Err(refused)));
        }
        if frame.is_pending() && self.is_late(cx) {
            return Poll::Ready(Some(Err(status(CallError::DeadlineExceeded))));
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
    use std::future::poll_fn;

    use prost::Message as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_types::StatusExt as _;
    use tower::{Layer as _, ServiceExt as _};

    use super::*;
    use crate::rpc::bounds::{BoundSettings, PortBounds};
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
        let response = edge::layer(edge::Methods::All)
            .layer(tonic::service::Routes::new(service))
            .oneshot(request)
            .await
            .unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    fn intake(expected: Expected, held: Option<Arc<Held>>) -> Intake {
        Intake {
            expected,
            bytes_max: 1024,
            within: Duration::from_secs(10),
            held,
        }
    }

    fn body(pieces: &[&'static [u8]]) -> Body {
        let pieces: Vec<Bytes> = pieces
            .iter()
            .map(|piece| Bytes::from_static(piece))
            .collect();
        Body::new(Pieces(pieces.into_iter()))
    }

    /// How the body ends; nothing where that is in order.
    async fn end(mut body: Body) -> Option<Status> {
        loop {
            let frame = poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await;
            match frame {
                Some(Ok(_)) => {}
                Some(Err(status)) => return Some(status),
                None => return None,
            }
        }
    }

    fn reason(status: &Status) -> String {
        status.get_details_error_info().unwrap().reason
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused_with_its_reason() {
        let limit = edge::STANDARD_MESSAGE_BYTES_MAX;
        let fits = check(limit - 16).await;
        assert_eq!(reason(&fits), "NAME_UNKNOWN", "the service itself answers");
        for bytes in [limit + 1, 3 * limit] {
            let refused = check(bytes).await;
            assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
            let info = refused.get_details_error_info().unwrap();
            assert_eq!(info.metadata["limit_bytes"], limit.to_string());
        }
    }

    #[tokio::test]
    async fn a_message_that_is_missing_or_breaks_off_is_told_so() {
        let told = async |pieces: &[&'static [u8]], expected| {
            let ended = end(measured(body(pieces), intake(expected, None))).await;
            ended.map_or(String::new(), |status| status.message().to_owned())
        };
        assert_eq!(told(&[b"\0\0\0\0\x02", b"ab"], Expected::One).await, "");
        assert_eq!(
            told(&[b"\0\0\0\0\0"], Expected::One).await,
            "",
            "a message without fields is a message"
        );
        assert!(told(&[], Expected::One).await.contains("no message"));
        assert_eq!(told(&[], Expected::Any).await, "");
        for broken in [&b"\0\0"[..], b"\0\0\0\0\x02a"] {
            let told = told(&[broken], Expected::Any).await;
            assert!(told.contains("middle"), "{broken:?}");
        }
        let empty = measured(Body::empty(), intake(Expected::One, None));
        assert!(
            !http_body::Body::is_end_stream(&empty),
            "or nobody would look"
        );
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_and_what_has_come_is_counted() {
        let port = PortBounds::new(BoundSettings {
            request_bytes: 4 * 7,
            ..BoundSettings::default()
        });
        let connection = port.connection();
        for (bytes, expected) in [(&b"ab"[..], None), (b"abc", Some("OVERLOADED"))] {
            let held = Arc::new(connection.requests().try_hold(0).unwrap());
            let header: &[u8] = if bytes.len() == 2 {
                b"\0\0\0\0\x02"
            } else {
                b"\0\0\0\0\x03"
            };
            let intake = intake(Expected::One, Some(held.clone()));
            let ended = end(measured(body(&[header, bytes]), intake)).await;
            assert_eq!(ended.as_ref().map(reason).as_deref(), expected);
            assert!((5..=7).contains(&port.request_bytes()));
            drop(held);
            assert_eq!(port.request_bytes(), 0);
        }
    }

    /// A body that brings this and then nothing more.
    struct Halting(Option<Bytes>);

    impl http_body::Body for Halting {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.0.take() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                None => Poll::Pending,
            }
        }
    }

    /// How a body ends that brings this and then nothing more, and has no time for it.
    async fn halted(piece: &'static [u8], expected: Expected) -> Option<String> {
        let halting = Body::new(Halting(Some(Bytes::from_static(piece))));
        let intake = Intake {
            within: Duration::ZERO,
            ..intake(expected, None)
        };
        let ended = end(measured(halting, intake)).await;
        ended.map(|status| reason(&status))
    }

    #[tokio::test]
    async fn a_message_that_does_not_come_in_time_is_given_up() {
        let late = Some("DEADLINE_EXCEEDED".to_owned());
        for begun in [&b""[..], b"\0\0", b"\0\0\0\0\x02a"] {
            assert_eq!(halted(begun, Expected::One).await, late);
            assert_eq!(halted(begun, Expected::Any).await, late);
        }
        let whole = b"\0\0\0\0\x01a";
        let end_is_part = halted(whole, Expected::One).await;
        assert_eq!(end_is_part, late, "its end is part of it");
        assert_eq!(halted(b"\0\0\0\0\x01a\0", Expected::Any).await, late);
        tokio::select! {
            biased;
            _ = halted(whole, Expected::Any) => panic!("another may come any time"),
            ended = halted(b"", Expected::One) => assert_eq!(ended, late),
        }
    }
}
