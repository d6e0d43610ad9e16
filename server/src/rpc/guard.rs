//! The guard that every call passes before its method runs, so that no new method can forget it.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use belay_wire::auth::{authorize, roles};
use belay_wire::status::{CallError, CallOutcome, outcome_of};
use futures_util::FutureExt as _;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::call::{self, Call};
use super::deadline::Deadline;
use super::edge;
use super::method;
use crate::auth::{self, Authentication};
use crate::telemetry::Telemetry;
use crate::telemetry::calls::OpenCall;

/// Lets a call through to `service` once its caller is known, its role may call the method, and as
/// long as its deadline has not passed; and tells how it went.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    service: S,
    authentication: Authentication,
    telemetry: Telemetry,
}

impl<S> Guard<S> {
    pub(super) fn new(service: S, authentication: Authentication, telemetry: Telemetry) -> Self {
        Self {
            service,
            authentication,
            telemetry,
        }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let deadline = Deadline::of(request.headers(), Instant::now());
        let (path, headers) = (request.uri().path(), request.headers());
        let called = method::called(path);
        let mut open = OpenCall::begin(&self.telemetry, called, path, headers);
        let caller = roles(path).and_then(|roles| {
            let caller =
                auth::authenticate(&self.authentication, headers, request.extensions().get())?;
            open.is_from(&caller.actor);
            authorize(roles, caller)
        });
        let caller = match caller {
            Ok(caller) => caller,
            Err(failure) => {
                let answer = open.span().in_scope(|| refuse(failure.into()));
                open.end(outcome_of(answer.headers()));
                return Box::pin(std::future::ready(Ok(answer)));
            }
        };
        let path = path.to_owned();
        request.extensions_mut().insert(Call {
            caller,
            deadline: deadline.decide_by,
        });
        let answer = self.service.call(request);
        Box::pin(async move {
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
                return Ok(answer.map(|body| StreamBody::of(body, open)));
            }
            open.end(outcome);
            Ok(answer)
        })
    }
}

/// The body of a stream, with whose end the call ends.
struct StreamBody {
    body: Body,
    open: Option<OpenCall>,
}

impl StreamBody {
    fn of(body: Body, open: OpenCall) -> Body {
        Body::new(Self {
            body,
            open: Some(open),
        })
    }
}

impl http_body::Body for StreamBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(open) = self.open.take()
        {
            open.end(outcome_of(trailers));
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
    use tonic_types::StatusExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

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
        let response = Guard::new(never, Authentication::Dev, Telemetry::local())
            .oneshot(request)
            .await
            .unwrap();
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
        let response = Guard::new(undecoded, Authentication::Dev, Telemetry::local())
            .oneshot(request)
            .await
            .unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "INVALID_FIELD"
        );
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
        let response = Guard::new(panics, Authentication::Dev, Telemetry::local())
            .oneshot(request)
            .await
            .unwrap();
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
