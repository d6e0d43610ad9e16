//! One call, from its arguments to its answer: the only place that repeats.

use std::fmt;
use std::time::Duration;

use belay_proto::rpc::{Idempotency, Rpc};
use http::uri::PathAndQuery;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tower::retry::budget::Budget;

use crate::belay::Belay;
use crate::error::{Error, FieldViolation, Kind};
use crate::ids::{IdError, RequestId};
use crate::wire::Malformed;

/// The longest time for a call; what is longer is taken as this.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest response that is taken, in bytes. A page of large orders is larger than tonic's 4
/// MiB.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// A call that is not sent yet.
#[derive(Clone)]
pub(crate) struct Call<R> {
    belay: Belay,
    pub(crate) request: R,
    /// What is wrong with the arguments, found before anything was sent.
    pub(crate) faults: Faults,
    /// The idempotency key of writes to an order.
    pub(crate) request_id: Option<RequestId>,
    pub(crate) timeout: Duration,
}

/// Arguments that make no sense, by field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(pub(crate) Vec<FieldViolation>);

impl Faults {
    /// The text of a checked id. The text of what is none is never sent.
    pub(crate) fn id<T: Into<String>>(
        &mut self,
        field: &str,
        checked: Result<T, IdError>,
    ) -> String {
        match checked {
            Ok(id) => id.into(),
            Err(error) => {
                self.0.push(FieldViolation {
                    field: field.to_owned(),
                    description: error.to_string(),
                });
                String::new()
            }
        }
    }

    /// Adds the faults of what stands in a field.
    pub(crate) fn within(&mut self, field: &str, inner: Faults) {
        let inner = inner.0.into_iter();
        self.0.extend(inner.map(|fault| FieldViolation {
            field: format!("{field}.{}", fault.field),
            ..fault
        }));
    }
}

impl<R: Rpc> Call<R> {
    /// A write to an order gets its key now, before the first attempt, so that all attempts are one
    /// wish.
    pub(crate) fn new(belay: &Belay, request: R, faults: Faults) -> Self {
        let request_id = (R::IDEMPOTENCY == Idempotency::ByRequestId).then(RequestId::mint);
        Self {
            belay: belay.clone(),
            request,
            faults,
            request_id,
            timeout: belay.link().timeout,
        }
    }

    pub(crate) async fn send<T>(
        mut self,
        read: impl FnOnce(R::Response) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let request_id = self.request_id;
        if let Some(request_id) = request_id {
            self.request.set_request_id(request_id.to_string());
        }
        let outcome = match self.faults.0.is_empty() {
            true => self.repeat().await,
            false => Err(Error::invalid(self.faults.0)),
        };
        outcome
            .and_then(|answer| read(answer).map_err(|malformed| Error::malformed(&malformed)))
            .map_err(|error| error.with_request_id(request_id))
    }

    /// Attempts until there is an answer that another attempt would not better, within deadline,
    /// attempts and budget.
    async fn repeat(self) -> Result<R::Response, Error> {
        let link = self.belay.link();
        let deadline = Instant::now() + self.timeout.min(TIMEOUT_MAX);
        let mut delays = link.retry.delays();
        link.budget.deposit();
        loop {
            let error = match self.attempt(deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind() != Kind::Unavailable || R::IDEMPOTENCY == Idempotency::Never {
                return Err(error);
            }
            let Some(delay) = delays.next() else {
                return Err(error);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match delay_within(left, delay, error.retry_after()) {
                Some(delay) if link.budget.withdraw() => sleep(delay).await,
                Some(_) | None => return Err(error),
            }
        }
    }

    async fn attempt(&self, deadline: Instant) -> Result<R::Response, Error> {
        let mut request = Request::new(self.request.clone());
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        self.belay.caller().write(request.metadata_mut());
        let sent = unary(self.belay.link().channel.clone(), request);
        match timeout_at(deadline, sent).await {
            Ok(outcome) => outcome.map_err(Error::from_status),
            Err(_) => Err(Error::deadline_exceeded()),
        }
    }
}

/// Sends a request over a channel, as tonic's generated stubs do.
async fn unary<R: Rpc>(channel: Channel, request: Request<R>) -> Result<R::Response, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
    let path = PathAndQuery::from_static(R::PATH);
    let response = grpc.unary(request, path, ProstCodec::default()).await?;
    Ok(response.into_inner())
}

/// How long to wait before a repeat; none that would come too late. The server's delay is the
/// least. Ours on top keeps those who were told the same from coming back together.
fn delay_within(left: Duration, ours: Duration, servers: Option<Duration>) -> Option<Duration> {
    let delay = ours.saturating_add(servers.unwrap_or_default());
    (delay < left).then_some(delay)
}

/// The RPC and the key; arguments may hold what belongs in no log.
impl<R: Rpc> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::PATH.trim_start_matches("/belay.v1."))?;
        self.request_id
            .map_or(Ok(()), |request_id| write!(f, " {request_id}"))
    }
}

/// The type of one call: made by a method, completed by setters, sent by `send` or `await`.
macro_rules! call {
    ($(#[$doc:meta])* $name:ident(pb::$request:ident) -> $output:ty, |$answer:ident| $read:expr) => {
        $(#[$doc])*
        #[must_use = "a call does nothing until it is awaited or sent"]
        #[derive(Debug, Clone)]
        pub struct $name($crate::call::Call<belay_proto::v1::$request>);

        impl $name {
            /// How long this call may take, its repeats included, instead of the client's time-out.
            /// At most a day.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.0.timeout = timeout;
                self
            }

            /// Sends it and waits for the answer. To await the call does the same.
            ///
            /// # Errors
            /// [`Error`](crate::Error) says what went wrong; the method that made the call says
            /// what can.
            pub async fn send(self) -> Result<$output, $crate::Error> {
                self.0.send(|$answer| $read).await
            }
        }

        impl IntoFuture for $name {
            type Output = Result<$output, $crate::Error>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    };
}

/// The setter of the idempotency key.
macro_rules! keyed {
    ($($name:ident),+) => {$(
        impl $name {
            /// The idempotency key to send it under, instead of the minted one.
            pub fn request_id(mut self, request_id: impl Into<$crate::RequestId>) -> Self {
                self.0.request_id = Some(request_id.into());
                self
            }
        }
    )+};
}

/// The setters of a list, and the ways to follow it to its end.
macro_rules! paged {
    ($($name:ident -> $item:ty),+ $(,)?) => {$(
        impl $name {
            /// How many entries a page has at most: 1 to 1,000; 50 unless set.
            pub fn page_size(mut self, page_size: i32) -> Self {
                self.0.request.page_size = page_size;
                self
            }

            /// The `next_page_token` of the page before, with the same filters. A stream begins
            /// there.
            pub fn page_token(mut self, page_token: impl Into<String>) -> Self {
                self.0.request.page_token = page_token.into();
                self
            }

            /// This page and all that follow, each asked for when it is wanted.
            pub fn pages(self) -> $crate::Pages<$item> {
                let first = self.0.request.page_token.clone();
                let ask = move |token| -> $crate::pages::Asked<$item> { Box::pin(self.clone().page_token(token).send()) };
                $crate::Pages::new(first, Box::new(ask))
            }

            /// The entries of this page and of all that follow. The next page is asked for when the
            /// one before is used up.
            pub fn stream(self) -> $crate::Items<$item> {
                $crate::Items::new(self.pages())
            }
        }
    )+};
}

/// The setter of a note.
macro_rules! noted {
    ($($name:ident),+) => {$(
        impl $name {
            /// Free text by the person who does it: at most 2,000 characters. Some reasons require
            /// it of a request to cancel.
            pub fn note(mut self, note: impl Into<String>) -> Self {
                self.0.request.note = note.into();
                self
            }
        }
    )+};
}

/// The setter of the etag.
macro_rules! guarded {
    ($($name:ident),+) => {$(
        impl $name {
            /// The order's etag that was decided on: the call fails with `EtagMismatch` if the
            /// order has changed since.
            pub fn etag(mut self, etag: impl Into<$crate::Etag>) -> Self {
                self.0.request.etag = etag.into().into();
                self
            }
        }
    )+};
}

pub(crate) use {call, guarded, keyed, noted, paged};

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
