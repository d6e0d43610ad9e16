//! The drain of a server: open calls are waited for, idle connections are not.
//!
//! The port asks here when to close its connections and when to cut them; and each call is counted,
//! so that what a stop waits for, and says that it waits for, are calls. Health and reflection are
//! not counted: their streams have no end of their own, and end with the server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tower::{Layer, Service};

/// What a connection without open calls has for its goodbye: a client that listens needs one round
/// trip. Calls that crossed the goodbye are still served.
const GOODBYE_MAX: Duration = Duration::from_millis(500);
/// Paths of the services whose streams end with the server.
const ENDLESS_PATHS: &str = "/grpc.";
/// The trailer of a stream that has ended as it should, and its value.
const GRPC_STATUS: (&str, &str) = ("grpc-status", "0");

/// The calls and connections of one server. Cloning it shares them.
#[derive(Debug, Clone)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: watch::Sender<usize>,
    /// No connection is taken any more, endless streams end, and who has not spoken yet need not
    /// begin.
    close: CancellationToken,
    /// What is still connected is cut.
    cut: CancellationToken,
}

/// The outcome of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Calls that did not end in time.
    pub cut_calls: usize,
}

impl Drain {
    #[expect(
        clippy::new_without_default,
        reason = "it belongs to one server, which makes it"
    )]
    pub fn new() -> Self {
        let (close, cut) = (CancellationToken::new(), CancellationToken::new());
        Self(Arc::new(Inner {
            calls: watch::Sender::new(0),
            close,
            cut,
        }))
    }

    /// Counts the calls, and ends endless streams.
    pub fn layer(&self) -> DrainLayer {
        self.layer_that(Does::Both)
    }

    /// Counts the calls alone: their endless streams are ended further in.
    pub fn counting_layer(&self) -> DrainLayer {
        self.layer_that(Does::Counts)
    }

    /// Ends endless streams alone: the calls are counted further out.
    pub fn ending_layer(&self) -> DrainLayer {
        self.layer_that(Does::Ends)
    }

    fn layer_that(&self, does: Does) -> DrainLayer {
        DrainLayer {
            drain: self.clone(),
            does,
        }
    }

    /// Ends once no connection is to be taken any more, and what never spoke is to be closed.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.close.clone().cancelled_owned()
    }

    /// Ends once every connection is to be cut, in the middle of its calls.
    pub(crate) fn cutting(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.cut.clone().cancelled_owned()
    }

    /// Takes no connection and waits until open calls have ended, no longer than `calls_max`; then
    /// closes what is left. `served` ends when the last connection has.
    pub async fn finish(&self, served: impl Future<Output = ()>, calls_max: Duration) -> Drained {
        self.0.close.cancel();
        let mut served = std::pin::pin!(served);
        let mut calls = self.0.calls.subscribe();
        let ended = async {
            loop {
                // The sender is here: neither of these fails.
                let _ = calls.wait_for(|open| *open == 0).await;
                tokio::select! {
                    () = &mut served => return true,
                    _ = calls.wait_for(|open| *open > 0) => {}
                    () = tokio::time::sleep(GOODBYE_MAX) => return false,
                }
            }
        };
        let cut_calls = match tokio::time::timeout(calls_max, ended).await {
            Ok(true) => return Drained { cut_calls: 0 },
            Ok(false) => {
                tracing::info!("connections without a call were open and are closed");
                0
            }
            Err(_) => {
                let calls = *self.0.calls.borrow();
                tracing::warn!(
                    calls,
                    waited_ms = calls_max.as_millis(),
                    "open calls did not end in time and are cut"
                );
                calls
            }
        };
        self.0.cut.cancel();
        served.await;
        Drained { cut_calls }
    }

    fn begin_call(&self) -> CountedCall {
        self.0.calls.send_modify(|open| *open += 1);
        CountedCall {
            drain: self.clone(),
        }
    }
}

/// A call that is counted until this is dropped: with the end of its answer, or with its caller.
#[derive(Debug)]
struct CountedCall {
    drain: Drain,
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.drain.0.calls.send_modify(|open| *open -= 1);
    }
}

/// The part of its work that a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Both,
    Counts,
    Ends,
}

#[derive(Debug, Clone)]
pub struct DrainLayer {
    drain: Drain,
    does: Does,
}

impl<S> Layer<S> for DrainLayer {
    type Service = DrainService<S>;

    fn layer(&self, service: S) -> DrainService<S> {
        DrainService {
            service,
            drain: self.drain.clone(),
            does: self.does,
        }
    }
}

#[derive(Debug, Clone)]
pub struct DrainService<S> {
    service: S,
    drain: Drain,
    does: Does,
}

impl<S> Service<http::Request<Body>> for DrainService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_endless = request.uri().path().starts_with(ENDLESS_PATHS);
        let until = match self.does {
            Does::Both | Does::Ends if is_endless => {
                Until::Closed(Box::pin(self.drain.0.close.clone().cancelled_owned()))
            }
            Does::Both | Does::Counts if !is_endless => Until::Answered {
                _call: self.drain.begin_call(),
            },
            Does::Both | Does::Counts | Does::Ends => Until::Over,
        };
        let answer = self.service.call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| {
                Body::new(AnswerBody {
                    body,
                    until,
                    is_over: false,
                })
            }))
        })
    }
}

/// The end of an answer.
enum Until {
    /// To its own end.
    Answered { _call: CountedCall },
    /// To its own end, which another layer looks at.
    Over,
    /// To its own end or that of the server.
    Closed(Pin<Box<WaitForCancellationFutureOwned>>),
}

/// The body of an answer.
struct AnswerBody {
    body: Body,
    until: Until,
    is_over: bool,
}

impl http_body::Body for AnswerBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending()
            && let Until::Closed(closed) = &mut self.until
            && closed.as_mut().poll(cx).is_ready()
        {
            self.is_over = true;
            let (name, value) = GRPC_STATUS;
            let trailers = http::HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )]);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
