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
use prost::bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::bounds::Held;
use super::call::status;
use super::fields::FieldBound;

/// What stands before each message: one byte of flags, four of length.
const HEADER_BYTES: usize = 5;
/// Room that a message is given beyond what has come of it.
const BLOCK_BYTES: usize = 16 * 1024;

/// The number of messages that a call must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    One,
    Any,
}

/// The bounds of what a call may bring.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) expected: Expected,
    /// Of each message.
    pub(super) bytes_max: usize,
    /// The time for all of it to come; of any number of messages, for each of them.
    pub(super) within: Duration,
    /// Where what has come is counted.
    pub(super) held: Option<Arc<Held>>,
    /// Of the methods that are ours.
    pub(super) fields: Option<FieldBound>,
}

/// A body that refuses messages that are too large, as soon as their length is announced, and those
/// that do not come in time or find no room; and says what is missing at its end.
pub(super) fn measured(body: Body, intake: Intake) -> Body {
    Body::new(Measured {
        body,
        begun: Begun::default(),
        due: Instant::now() + intake.within,
        intake,
        header: Vec::with_capacity(HEADER_BYTES),
        left: 0,
        messages: 0,
        timer: None,
        has_ended: false,
    })
}

/// A body that fails with a status once a message in it announces more than we take. It hands on
/// whole messages alone: tonic makes room for all of a message once its length has come, which a
/// caller who then sends nothing would have for as long as its call lasts, without a byte of it
/// being counted.
struct Measured {
    body: Body,
    /// What has come of a message that is not whole.
    begun: Begun,
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

/// The beginning of a message, in blocks that stay where they are: one that grew by moving would
/// leave as much behind it. The pieces themselves are not kept, for a small one holds on to all of
/// the buffer that it was read into.
#[derive(Debug, Default)]
struct Begun {
    blocks: Vec<BytesMut>,
    bytes: usize,
}

impl Begun {
    fn add(&mut self, data: &[u8]) {
        let mut rest = data;
        if let Some(last) = self.blocks.last_mut() {
            let (fits, more) = rest.split_at(rest.len().min(last.capacity() - last.len()));
            last.extend_from_slice(fits);
            rest = more;
        }
        if !rest.is_empty() {
            // A message in small pieces has few blocks, and a short one has a small block.
            let bytes = rest.len().max(self.bytes.min(BLOCK_BYTES));
            let mut block = BytesMut::with_capacity(bytes);
            block.extend_from_slice(rest);
            self.blocks.push(block);
        }
        self.bytes += data.len();
    }

    /// All of it with its end.
    fn end(&mut self, end: &[u8]) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.bytes + end.len());
        for block in self.blocks.drain(..) {
            whole.extend_from_slice(&block);
        }
        whole.extend_from_slice(end);
        self.bytes = 0;
        whole.freeze()
    }
}

impl Measured {
    /// Follows the messages through the next bytes, and says how many of these there are up to the
    /// end of the last message that is whole.
    fn measure(&mut self, next: &[u8]) -> Result<usize, Status> {
        let (mut data, mut whole) = (next, 0);
        while !data.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data.advance(passed);
                if self.left == 0 {
                    whole = next.len() - data.len();
                }
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
                if self.left == 0 {
                    whole = next.len() - data.len();
                }
            }
        }
        Ok(whole)
    }

    /// Takes the next bytes into account, and gives the messages that are whole by them.
    fn take(&mut self, mut data: Bytes) -> Result<Option<Bytes>, Status> {
        let whole = self.measure(&data)?;
        if let Some(held) = &self.intake.held
            && !held.grow(data.len())
        {
            return Err(status(CallError::Overloaded));
        }
        if whole == 0 {
            self.begun.add(&data);
            return Ok(None);
        }
        let rest = data.split_off(whole);
        if self.begun.bytes > 0 {
            data = self.begun.end(&data);
        }
        self.begun.add(&rest);
        self.count_fields(&data)?;
        Ok(Some(data))
    }

    /// Of messages that are whole, with their headers.
    fn count_fields(&self, mut messages: &[u8]) -> Result<(), Status> {
        let Some(bound) = &self.intake.fields else {
            return Ok(());
        };
        while let Some((header, rest)) = messages.split_first_chunk::<HEADER_BYTES>() {
            let [flags, length @ ..] = *header;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            let Some((message, next)) = rest.split_at_checked(length) else {
                break;
            };
            let checked = bound.check(message, flags == 1, self.intake.bytes_max);
            checked.map_err(status)?;
            messages = next;
        }
        Ok(())
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
        let frame = loop {
            let frame = Pin::new(&mut self.body).poll_frame(cx);
            let Poll::Ready(Some(Ok(some))) = frame else {
                break frame;
            };
            let data = match some.into_data() {
                Ok(data) => data,
                Err(trailers) => break Poll::Ready(Some(Ok(trailers))),
            };
            if let Some(taken) = self.take(data).transpose() {
                return Poll::Ready(Some(taken.map(Frame::data)));
            }
        };
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
            fields: None,
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
    async fn messages_are_handed_on_when_they_are_whole() {
        let handed_on = async |pieces: &[&'static [u8]]| {
            let mut measured = measured(body(pieces), intake(Expected::Any, None));
            let mut handed_on: Vec<Bytes> = Vec::new();
            let mut next = async || {
                poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut measured), cx)).await
            };
            while let Some(Ok(frame)) = next().await {
                handed_on.push(frame.into_data().unwrap());
            }
            handed_on
        };
        let one = &b"\0\0\0\0\x02ab"[..];
        let both = &b"\0\0\0\0\x02ab\0\0\0\0\0"[..];
        assert_eq!(handed_on(&[b"\0\0\0", b"\0\x02a", b"b"]).await, [one]);
        assert_eq!(handed_on(&[both]).await, [both]);
        // The second does not keep the first waiting.
        assert_eq!(
            handed_on(&[b"\0\0\0\0\x02a", b"b\0\0", b"", b"\0\0\0"]).await,
            [one, b"\0\0\0\0\0"]
        );
        let announced = b"\0\0\0\x03\xff";
        assert!(handed_on(&[announced, b"a"]).await.is_empty());
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
