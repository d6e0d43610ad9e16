//! One call, from its request to its response. It is the only place that repeats attempts. It knows
//! no RPC by name.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use belay_proto::codec::MessageCodec;
use belay_proto::rpc::{Idempotency, Rpc, StreamRpc};
use futures_util::Stream as _;
use http::uri::PathAndQuery;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::{Request, Response, Status, Streaming};
use tower::retry::budget::Budget;
use tower::util::MapRequest;

use crate::argument_errors::ArgumentErrors;
use crate::belay::Belay;
use crate::caller::Shown;
use crate::error::{Error, Kind};
use crate::freshness::{Freshness, WritePosition};
use crate::ids::RequestId;
use crate::retry::RetryPolicy;
use crate::sent::Sent;
use crate::telemetry::CallSpan;
use crate::transport::Transport;
use crate::wire::Malformed;

/// The longest time for a call; what is longer is taken as this.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest response that is taken, in bytes: what a server promises of every answer, and what
/// every other client takes.
const RESPONSE_BYTES_MAX: usize = 4 << 20;

/// A call that is not sent yet.
#[derive(Clone)]
pub(crate) struct Call<R> {
    belay: Belay,
    pub(crate) request: R,
    /// The errors of the arguments: a call that has any is not sent.
    pub(crate) errors: ArgumentErrors,
    /// The request id of a write to an order.
    pub(crate) request_id: Option<RequestId>,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    /// Instead of the client's.
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) freshness: Freshness,
}

/// A response, and the position of the write that it is about.
type Answered<R> = (<R as Rpc>::Response, Option<WritePosition>);

impl<R: Rpc> Call<R> {
    /// A write to an order gets its request id here, before the first attempt, so that all attempts
    /// are one request.
    pub(crate) fn new(belay: &Belay, request: R, errors: ArgumentErrors) -> Self {
        let request_id = (R::IDEMPOTENCY == Idempotency::ByRequestId).then(RequestId::mint);
        Self {
            belay: belay.clone(),
            request,
            errors,
            request_id,
            timeout: belay.link().timeout,
            attempt_timeout: belay.link().attempt_timeout,
            retry: None,
            freshness: Freshness::default(),
        }
    }

    pub(crate) async fn send<T>(
        &self,
        read: impl FnOnce(R::Response, Option<WritePosition>) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let span = CallSpan::begin(R::PATH, &self.belay.link().server, self.request_id);
        let outcome = if self.errors.0.is_empty() {
            self.repeat(&span).await
        } else {
            Err(Error::invalid(self.errors.0.clone()))
        };
        span.end(outcome.as_ref().map(drop));
        outcome
            .and_then(|(response, position)| {
                read(response, position).map_err(|malformed| Error::malformed(&malformed))
            })
            .map_err(|error| error.with_request_id(self.request_id))
    }

    /// Attempts the call until it succeeds or fails for good, within deadline, attempts and budget.
    async fn repeat(&self, span: &CallSpan) -> Result<Answered<R>, Error> {
        let link = self.belay.link();
        let deadline = Instant::now() + self.timeout.min(TIMEOUT_MAX);
        let mut delays = self.retry.as_ref().unwrap_or(&link.retry).delays();
        let is_write = R::IDEMPOTENCY != Idempotency::Read;
        let (mut is_unknown, mut attempt, mut has_renewed) = (false, 0, false);
        // Why there was no connection for the attempts so far.
        let mut unreached: Option<String> = None;
        link.budget.deposit();
        loop {
            let (outcome, shown) = self.attempt(deadline, span, unreached.as_deref()).await;
            attempt += 1;
            span.attempt_ended(attempt, outcome.as_ref().map(drop));
            let mut error = match outcome {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // A token may expire between two attempts; with another one nothing was asked yet.
            if error.kind() == Kind::Unauthenticated
                && !has_renewed
                && let Some(shown) = shown
            {
                let renewed = timeout_at(deadline, shown.refused()).await;
                match renewed.unwrap_or_else(|_| Err(Error::silent_source())) {
                    Ok(true) => {
                        has_renewed = true;
                        continue;
                    }
                    Ok(false) => {}
                    Err(no_token) => error = no_token,
                }
            }
            if !error.was_not_sent() {
                unreached = None;
            } else if std::error::Error::source(&error).is_some() {
                unreached = Some(error.message().to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // An attempt that took too long leaves time for another.
            let is_cut = error.kind() == Kind::DeadlineExceeded && !left.is_zero();
            let is_worth_it = error.kind() == Kind::Unavailable || is_cut;
            // A decision is what became of the attempts before it too: they are one request.
            is_unknown = is_write
                && (error.leaves_outcome_unknown() || (is_unknown && !error.is_decision()));
            let failed = |error: Error| {
                if is_unknown {
                    error.with_unknown_outcome()
                } else {
                    error
                }
            };
            // What reached nobody has happened to nobody.
            let may_repeat = R::IDEMPOTENCY != Idempotency::Never || error.was_not_sent();
            if !is_worth_it || !may_repeat {
                return Err(failed(error));
            }
            let Some(delay) = delays.next() else {
                return Err(failed(error));
            };
            match delay_within(left, delay, error.retry_after()) {
                Some(delay) if link.budget.withdraw() => sleep(delay).await,
                Some(_) | None => return Err(failed(error)),
            }
        }
    }

    /// With the token that was shown, if the caller's tokens change.
    async fn attempt(
        &self,
        deadline: Instant,
        span: &CallSpan,
        unreached: Option<&str>,
    ) -> (Result<Answered<R>, Error>, Option<Shown>) {
        let now = Instant::now();
        let attempt_deadline = match R::IDEMPOTENCY {
            // The first attempt is the last.
            Idempotency::Never => deadline,
            Idempotency::Read | Idempotency::Always | Idempotency::ByRequestId => {
                deadline.min(now + self.attempt_timeout.min(TIMEOUT_MAX))
            }
        };
        let mut message = self.request.clone();
        if let Some(request_id) = self.request_id {
            message.set_request_id(request_id.to_string());
        }
        let mut request = Request::new(message);
        request.set_timeout(attempt_deadline.saturating_duration_since(now));
        span.write(request.metadata_mut());
        self.freshness.write(request.metadata_mut());
        let link = self.belay.link();
        let (sent, mut shown, mut has_token) = (Sent::default(), None, false);
        let answering = async {
            shown = self.belay.caller().write(request.metadata_mut()).await?;
            has_token = true;
            let answer = unary(link.transport.clone(), sent.clone(), request).await;
            answer.map_err(|status| Error::from_status(status).at(&link.address))
        };
        let outcome = timeout_at(attempt_deadline, answering).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Error::deadline_exceeded()));
        let outcome = outcome.map_err(|error| match error.is_timeout() && sent.withdraw() {
            true if has_token => Error::not_reached(&link.address, unreached),
            true => Error::silent_source(),
            false => error,
        });
        (outcome, shown)
    }
}

/// Sends a request, as tonic's generated stubs do.
async fn unary<R: Rpc>(
    transport: Transport,
    sent: Sent,
    request: Request<R>,
) -> Result<Answered<R>, Status> {
    let transport = MapRequest::new(transport, move |request| sent.watch(request));
    let mut grpc = Grpc::new(transport).max_decoding_message_size(RESPONSE_BYTES_MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
    let path = PathAndQuery::from_static(R::PATH);
    let response = grpc.unary(request, path, MessageCodec::default()).await?;
    let (metadata, message, _) = response.into_parts();
    Ok((message, WritePosition::of_answer(&metadata)))
}

/// A stream that is not opened yet.
#[derive(Clone)]
pub(crate) struct StreamCall<R> {
    belay: Belay,
    pub(crate) request: R,
    /// The errors of the arguments: a stream that has any is not opened.
    pub(crate) errors: ArgumentErrors,
}

impl<R: StreamRpc> StreamCall<R> {
    pub(crate) fn new(belay: &Belay, request: R, errors: ArgumentErrors) -> Self {
        Self {
            belay: belay.clone(),
            request,
            errors,
        }
    }

    pub(crate) async fn open(self) -> Result<Streaming<R::Response>, Error> {
        if !self.errors.0.is_empty() {
            return Err(Error::invalid(self.errors.0));
        }
        open_stream(&self.belay, self.request).await
    }
}

/// Polls a stream for its next message, and reads it.
pub(crate) fn poll_message<M, T>(
    messages: &mut Streaming<M>,
    cx: &mut Context<'_>,
    read: impl FnOnce(M) -> Result<T, Malformed>,
) -> Poll<Option<Result<T, Error>>> {
    let message = ready!(Pin::new(messages).poll_next(cx));
    Poll::Ready(message.map(|message| {
        let message = message.map_err(Error::from_status)?;
        read(message).map_err(|malformed| Error::malformed(&malformed))
    }))
}

/// Opens the stream of an RPC, once, or once more where the token is no longer good. Messages may
/// come at any time, so it has no deadline, and its span is that of the opening.
async fn open_stream<R: StreamRpc>(
    belay: &Belay,
    message: R,
) -> Result<Streaming<R::Response>, Error> {
    let link = belay.link();
    let span = CallSpan::begin(R::PATH, &link.server, None);
    let (mut opened, shown) = try_open(belay, message.clone(), &span).await;
    if let (Err(error), Some(shown)) = (&opened, shown)
        && error.kind() == Kind::Unauthenticated
    {
        match shown.refused().await {
            Ok(true) => (opened, _) = try_open(belay, message, &span).await,
            Ok(false) => {}
            Err(no_token) => opened = Err(no_token),
        }
    }
    span.end(opened.as_ref().map(drop));
    opened
}

async fn try_open<R: StreamRpc>(
    belay: &Belay,
    message: R,
    span: &CallSpan,
) -> (Result<Streaming<R::Response>, Error>, Option<Shown>) {
    let link = belay.link();
    let mut request = Request::new(message);
    span.write(request.metadata_mut());
    let shown = match belay.caller().write(request.metadata_mut()).await {
        Ok(shown) => shown,
        Err(error) => return (Err(error), None),
    };
    let transport = link.transport.for_streams();
    let mut grpc = Grpc::new(transport).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let opened = async {
        grpc.ready()
            .await
            .map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
        let path = PathAndQuery::from_static(R::PATH);
        let codec = MessageCodec::<R, R::Response>::default();
        grpc.server_streaming(request, path, codec).await
    };
    let opened = opened
        .await
        .map(Response::into_inner)
        .map_err(|status| Error::from_status(status).at(&link.address));
    (opened, shown)
}

/// The delay before a repeat; `None` if the repeat would come too late. The server's delay is the
/// least. Ours is added to it, so that callers with the same delay do not come back
/// together.
fn delay_within(left: Duration, ours: Duration, servers: Option<Duration>) -> Option<Duration> {
    let delay = ours.saturating_add(servers.unwrap_or_default());
    (delay < left).then_some(delay)
}

/// The RPC and the request id; arguments may hold what belongs in no log.
impl<R: Rpc> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::PATH.trim_start_matches("/belay.v1."))?;
        self.request_id
            .map_or(Ok(()), |request_id| write!(f, " {request_id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_delay_is_the_least_and_ours_comes_on_top() {
        let [one, two, three] = [1, 2, 3].map(Duration::from_secs);
        let hour = Duration::from_secs(3600);
        assert_eq!(delay_within(hour, one, Some(two)), Some(three));
        assert_eq!(delay_within(hour, one, Some(Duration::ZERO)), Some(one));
        assert_eq!(delay_within(hour, one, None), Some(one));
    }

    #[test]
    fn a_repeat_that_would_come_too_late_is_not_waited_for() {
        let [one, two, three] = [1, 2, 3].map(Duration::from_secs);
        assert_eq!(
            delay_within(three, one, Some(two)),
            None,
            "at the deadline it is too late"
        );
        assert_eq!(
            delay_within(three + Duration::from_nanos(1), one, Some(two)),
            Some(three)
        );
        assert_eq!(delay_within(Duration::ZERO, Duration::ZERO, None), None);
        assert_eq!(delay_within(three, one, Some(Duration::MAX)), None);
    }
}
