//! The guard that every call passes before its method runs, so that no new method can forget it.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use belay_domain::scope::Caller;
use belay_wire::auth::{access, authorize};
use belay_wire::freshness::{Freshness, WritePositions};
use belay_wire::status::{CallError, CallOutcome, outcome_of};
use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::call::{self, Call};
use super::deadline::Deadline;
use super::edge;
use super::method;
use crate::auth::peer::Peer;
use crate::auth::session::Session;
use crate::auth::{Authentication, authenticate};
use crate::caller_limits::{Admitted, CallerLimits};
use crate::telemetry::Telemetry;
use crate::telemetry::calls::OpenCall;

/// The admission of calls: authentication, role, and limits of each caller.
#[derive(Debug, Clone)]
struct CallAdmission {
    authentication: Authentication,
    limits: CallerLimits,
    positions: WritePositions,
    telemetry: Telemetry,
}

/// A call that was let in.
struct LetIn {
    caller: Caller,
    session: Session,
    admitted: Admitted,
    freshness: Freshness,
}

impl CallAdmission {
    /// Who calls, where it may; the call counts as under way from here.
    async fn of(
        &self,
        path: &str,
        parts: &http::request::Parts,
        open: &mut OpenCall,
    ) -> Result<LetIn, CallError> {
        let access = access(path)?;
        let (peer, metrics) = (parts.extensions.get::<Peer>(), &self.telemetry.metrics);
        open.came_from(peer.map(|peer| peer.address));
        let login = authenticate(&self.authentication, &parts.headers, peer, metrics).await?;
        open.is_from(&login.caller);
        let admitted = self.limits.admit(&login.caller.actor, Instant::now());
        let admitted = admitted.map_err(|beyond| {
            metrics.caller_limited(beyond.limit);
            CallError::CallerLimit {
                limit: beyond.limit,
                limit_max: beyond.limit_max,
                retry: beyond.retry,
            }
        })?;
        Ok(LetIn {
            caller: authorize(access, login.caller)?,
            session: login.session,
            admitted,
            freshness: Freshness::read(&parts.headers, &self.positions)?,
        })
    }
}

/// The guard in front of `service`: it lets a call through once its caller is known, its role may
/// call the method, and as long as its deadline has not passed; and tells how it went.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    service: S,
    admission: CallAdmission,
}

impl<S> Guard<S> {
    pub(super) fn new(
        service: S,
        authentication: Authentication,
        limits: CallerLimits,
        positions: WritePositions,
        telemetry: Telemetry,
    ) -> Self {
        let admission = CallAdmission {
            authentication,
            limits,
            positions,
            telemetry,
        };
        Self { service, admission }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let deadline = Deadline::of(request.headers(), Instant::now());
        let path = request.uri().path().to_owned();
        let called = method::called(&path);
        let mut open = OpenCall::begin(&self.admission.telemetry, called, &path, request.headers());
        // The one that is ready is called; who calls may take a while to learn.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        let admission = self.admission.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let known = admission.of(&path, &parts, &mut open);
            let known = tokio::time::timeout_at(deadline.answer_by, known).await;
            let known = match known.unwrap_or(Err(CallError::DeadlineExceeded)) {
                Ok(known) if !deadline.is_over => known,
                refused => {
                    // A call that has no time is not begun: else it were chance what is told first.
                    let failure = refused.err().unwrap_or(CallError::DeadlineExceeded);
                    let answer = open.span().in_scope(|| refuse(failure));
                    open.end(outcome_of(answer.headers()));
                    return Ok(answer);
                }
            };
            let (caller, session, admitted) =
                (known.caller, known.session, Arc::new(known.admitted));
            parts.extensions.insert(Call {
                caller,
                deadline: deadline.decide_by,
                freshness: known.freshness,
            });
            let body = CountedBody::of(body, admitted.clone());
            let answer = service.call(http::Request::from_parts(parts, body));
            // What a method left half-done when it panicked is closed with it: its connection does
            // not return to the pool.
            let answer = AssertUnwindSafe(answer).catch_unwind();
            let answer = async {
                match tokio::time::timeout_at(deadline.answer_by, answer).await {
                    Ok(Ok(Ok(answer))) if is_undecodable(&answer) => refuse(undecodable()),
                    Ok(Ok(Ok(mut answer))) => {
                        edge::explain(answer.headers_mut());
                        answer
                    }
                    Ok(Err(_)) => refuse(CallError::Internal(format!("{path} panicked"))),
                    Err(_) => refuse(CallError::DeadlineExceeded),
                }
            };
            let answer = open.span().run(answer).await;
            // A stream that is refused has its status in its headers, as any other answer.
            let outcome = outcome_of(answer.headers());
            if open.streams() && outcome.code == CallOutcome::OK {
                return Ok(answer.map(|body| StreamBody::of(body, open, session, admitted)));
            }
            drop(admitted);
            open.end(outcome);
            Ok(answer)
        })
    }
}

/// The body of a request, whose bytes count for its caller.
struct CountedBody {
    body: Body,
    admitted: Arc<Admitted>,
}

impl CountedBody {
    fn of(body: Body, admitted: Arc<Admitted>) -> Body {
        Body::new(Self { body, admitted })
    }
}

impl http_body::Body for CountedBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.admitted.has_sent(data.len(), Instant::now());
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

/// The body of a stream, with whose end the call ends. It ends with its caller's session at the
/// latest, and nothing is sent after that.
struct StreamBody {
    body: Body,
    open: Option<OpenCall>,
    /// None once it is over.
    session: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _admitted: Arc<Admitted>,
}

impl StreamBody {
    fn of(body: Body, open: OpenCall, session: Session, admitted: Arc<Admitted>) -> Body {
        Body::new(Self {
            body,
            open: Some(open),
            session: Some(Box::pin(session.over())),
            _admitted: admitted,
        })
    }

    /// The trailers of a stream whose caller's session is over.
    fn cut(&mut self) -> HeaderMap {
        self.session = None;
        // What it reads from ends as well.
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let written = call::status(CallError::SessionEnded).add_header(&mut trailers);
        if let Err(error) = written {
            tracing::error!(%error, "a stream is cut without its reason");
        }
        trailers
    }
}

impl http_body::Body for StreamBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(session) = &mut self.session else {
            return Poll::Ready(None);
        };
        let frame = match session.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Ok(Frame::trailers(self.cut())))),
            Poll::Pending => Pin::new(&mut self.body).poll_frame(cx),
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(open) = self.open.take()
        {
            open.end(outcome_of(trailers));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.session.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Every failure of ours has details. INTERNAL without them is tonic's word for a request that it
/// could not decode, which is no bug of the server.
fn is_undecodable(answer: &Response) -> bool {
    const INTERNAL: &str = "13";
    let headers = answer.headers();
    headers
        .get("grpc-status")
        .is_some_and(|status| status == INTERNAL)
        && !headers.contains_key("grpc-status-details-bin")
}

fn undecodable() -> CallError {
    CallError::undecodable(
        "the message cannot be decoded: it is no protobuf, not of this type, not compressed as said, or holds text that is no UTF-8",
    )
}

fn refuse(failure: CallError) -> Response {
    call::status(failure).into_http()
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Actor;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use tokio_util::sync::CancellationToken;
    use tonic_types::StatusExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::caller_limits::CallerSettings;

    fn guard<S>(service: S) -> Guard<S> {
        let limits = CallerLimits::new(CallerSettings::default());
        let positions = WritePositions::new(&[1; 32], &[]);
        let telemetry = Telemetry::local();
        Guard::new(service, Authentication::Dev, limits, positions, telemetry)
    }

    /// The reason with which the guard answers a call to a method that never does.
    async fn reason(path: &str, headers: &[(&str, &str)]) -> String {
        let never = service_fn(|request: http::Request<Body>| {
            assert!(
                request.extensions().get::<Call>().is_some(),
                "methods find their caller on the request"
            );
            std::future::pending::<Result<Response, Infallible>>()
        });
        let request = headers
            .iter()
            .fold(http::Request::post(path), |request, (name, value)| {
                request.header(*name, *value)
            });
        let request = request.body(Body::empty()).unwrap();
        let response = guard(never).oneshot(request).await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        status.get_details_error_info().unwrap().reason
    }

    #[tokio::test]
    async fn a_call_ends_with_its_deadline() {
        let get_order = "/belay.v1.OrderService/GetOrder";
        assert_eq!(
            reason(get_order, &[("grpc-timeout", "1n")]).await,
            "DEADLINE_EXCEEDED"
        );
        assert_eq!(
            reason(get_order, &[("grpc-timeout", "30m")]).await,
            "DEADLINE_EXCEEDED"
        );
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_decoded_is_bad_input_and_no_bug() {
        let undecoded = service_fn(|_: http::Request<Body>| async {
            Ok::<_, Infallible>(tonic::Status::internal("invalid wire type").into_http::<Body>())
        });
        let request = http::Request::post("/belay.v1.OrderService/GetOrder")
            .body(Body::empty())
            .unwrap();
        let response = guard(undecoded).oneshot(request).await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "INVALID_FIELD"
        );
    }

    /// Frames of a stream that never ends, behind the guard, of a caller with this session.
    fn stream(session: Session) -> Body {
        let headers = HeaderMap::new();
        let open = OpenCall::begin(&Telemetry::local(), None, "/", &headers);
        let limits = CallerLimits::new(CallerSettings::default());
        let admitted = limits.admit(&Actor::system(), Instant::now()).unwrap();
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, tonic::Status>(Frame::data(bytes::Bytes::from_static(b"frame")))
        });
        StreamBody::of(
            Body::new(http_body_util::StreamBody::new(frames)),
            open,
            session,
            Arc::new(admitted),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_the_session_of_its_caller_and_sends_nothing_after() {
        let (withdrawn, other) = (CancellationToken::new(), CancellationToken::new());
        let second = std::time::Duration::from_secs(1);
        let expires = Instant::now() + second;
        let mut cut = stream(Session::of(vec![other, withdrawn.clone()], None));
        let mut expiring = stream(Session::of(Vec::new(), Some(expires)));
        let mut endless = stream(Session::default());
        for body in [&mut cut, &mut expiring, &mut endless] {
            assert!(body.frame().await.unwrap().unwrap().is_data());
        }
        withdrawn.cancel();
        tokio::time::advance(second).await;
        for body in [&mut cut, &mut expiring] {
            let trailers = body.frame().await.unwrap().unwrap().into_trailers();
            let status = tonic::Status::from_header_map(&trailers.unwrap()).unwrap();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert_eq!(
                status.get_details_error_info().unwrap().reason,
                "SESSION_ENDED"
            );
            assert!(body.is_end_stream() && body.frame().await.is_none());
        }
        assert!(endless.frame().await.unwrap().unwrap().is_data());
    }

    #[tokio::test]
    async fn a_panic_is_a_bug_of_one_call() {
        let panics = service_fn(|_: http::Request<Body>| async {
            tokio::task::yield_now().await;
            if true {
                panic!("password hunter2");
            }
            Ok::<Response, Infallible>(Response::default())
        });
        let request = http::Request::post("/belay.v1.OrderService/GetOrder")
            .body(Body::empty())
            .unwrap();
        let response = guard(panics).oneshot(request).await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!status.message().contains("hunter2"));
    }

    #[tokio::test]
    async fn who_may_not_call_does_not_come_through() {
        let create_order = "/belay.v1.OrderService/CreateOrder";
        assert_eq!(
            reason(create_order, &[("belay-role", "AUDITOR")]).await,
            "ROLE_NOT_ALLOWED"
        );
        assert_eq!(
            reason(create_order, &[("belay-role", "KING")]).await,
            "ROLE_NOT_ALLOWED"
        );
        assert_eq!(
            reason(
                create_order,
                &[("belay-actor", "a b"), ("belay-role", "SELLER")]
            )
            .await,
            "INVALID_FIELD"
        );
    }

    #[tokio::test]
    async fn a_method_that_is_not_there_is_so_for_every_caller() {
        for caller in [
            &[][..],
            &[("belay-role", "AUDITOR")],
            &[("belay-role", "KING")],
        ] {
            assert_eq!(
                reason("/belay.v1.OrderService/DeleteAll", caller).await,
                "METHOD_UNKNOWN"
            );
        }
    }
}
