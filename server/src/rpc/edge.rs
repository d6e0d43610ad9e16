//! The edge that every call of every service passes first, the standard ones included: it must be
//! gRPC, its metadata and message must be of a size that is taken and come in time, and its answer,
//! if it is an error, says why in the way that all do. What it holds of memory on both ways is
//! counted here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use belay_wire::auth::is_administration;
use belay_wire::status::{CallError, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tower::{Layer, Service};

use super::answers::{self, Flow, IfFull};
use super::bounds::{BoundSettings, CALL_BYTES, ConnectionBounds, Held, PortBounds};
use super::call::status;
use super::fields::FieldBound;
use super::limits::{self, Expected, Intake};
use super::method;

/// The only compression that is taken and given.
pub const COMPRESSION: CompressionEncoding = CompressionEncoding::Gzip;
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
const GRPC_STATUS: &str = "grpc-status";
const GRPC_DETAILS: &str = "grpc-status-details-bin";
const GZIP: &str = "gzip";
const IDENTITY: &str = "identity";
/// Paths of health and reflection, which are open to everybody.
const STANDARD_PATHS: &str = "/grpc.";
/// Largest message to one of them: a name, or a symbol.
pub const STANDARD_MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// What HTTP/2 counts for a header beside its name and value.
const HEADER_BYTES: usize = 32;

/// The methods that can be called through an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    All,
    /// All but administration, which is called elsewhere.
    WithoutAdministration,
}

/// Outermost: what is no call is refused before anything reads it.
pub fn layer(methods: Methods) -> EdgeLayer {
    EdgeLayer { methods }
}

#[derive(Debug, Clone, Copy)]
pub struct EdgeLayer {
    methods: Methods,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, service: S) -> Edge<S> {
        Edge {
            service,
            methods: self.methods,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Edge<S> {
    service: S,
    methods: Methods,
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Edge<S>
where
    S: Service<http::Request<Body>, Response = Response>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(refused) = refused(&request, self.methods) {
            return Box::pin(std::future::ready(Ok(refused)));
        }
        // An answer is compressed for those who compress what they send. Most clients say of
        // themselves that they could read gzip, and few want it: small answers would only cost both
        // sides time.
        let headers = request.headers_mut();
        if !is_gzip(headers) {
            headers.remove(GRPC_ACCEPT_ENCODING);
        }
        let bounds = bounds(request.extensions_mut());
        let flow: Flow = request.extensions_mut().remove().unwrap_or_default();
        let kept = match Reservation::of(&request, &bounds) {
            Ok(kept) => kept,
            Err(overloaded) => {
                return Box::pin(std::future::ready(Ok(refuse(overloaded))));
            }
        };
        let if_full = if_full(request.uri().path());
        let mut intake = kept.intake(bounds.body_max());
        intake.fields = FieldBound::of(request.uri().path(), is_gzip(request.headers()));
        let answer = self
            .service
            .call(request.map(|body| limits::measured(body, intake)));
        Box::pin(async move {
            let answer = answer.await?;
            // A request is done with when it is answered; a stream of a standard service goes on.
            let standard = match kept {
                Reservation::Request(_) => None,
                Reservation::Standard(held) => Some(held),
            };
            Ok(explained(answer)
                .map(|body| answers::counted(body, bounds, flow, if_full, standard)))
        })
    }
}

/// Of the connection that a request came on. One that came through no port, as unit tests send it,
/// is its own.
fn bounds(extensions: &mut http::Extensions) -> ConnectionBounds {
    let bounds = extensions.remove();
    bounds.unwrap_or_else(|| PortBounds::new(BoundSettings::default()).connection())
}

/// The room that is held for a call until it is answered, or ends.
enum Reservation {
    /// Bytes of a request.
    Request(Arc<Held>),
    /// A call of a standard service.
    Standard(Held),
}

impl Reservation {
    fn of(request: &http::Request<Body>, bounds: &ConnectionBounds) -> Result<Self, CallError> {
        if request.uri().path().starts_with(STANDARD_PATHS) {
            let held = bounds.standard_calls().try_hold(1);
            return held.map(Reservation::Standard).ok_or(CallError::Overloaded);
        }
        if bounds.is_full_of_answers() {
            return Err(CallError::Overloaded);
        }
        let held = bounds
            .requests()
            .try_hold(CALL_BYTES + metadata_bytes(request.headers()));
        let held = held.ok_or(CallError::Overloaded)?;
        Ok(Reservation::Request(Arc::new(held)))
    }

    fn intake(&self, within: Duration) -> Intake {
        match self {
            // All our methods take one message.
            Reservation::Request(held) => Intake {
                expected: Expected::One,
                bytes_max: MESSAGE_BYTES_MAX,
                within,
                held: Some(held.clone()),
                fields: None,
            },
            // Reflection takes any number, and few enough calls are open to hold all they may send.
            Reservation::Standard(_) => Intake {
                expected: Expected::Any,
                bytes_max: STANDARD_MESSAGE_BYTES_MAX,
                within,
                held: None,
                fields: None,
            },
        }
    }
}

/// Whether there is anything to tell where an answer finds no room.
fn if_full(path: &str) -> IfFull {
    match method::called(path) {
        Some(called) if called.is_read && !called.streams => IfFull::Refuse,
        Some(_) | None => IfFull::Give,
    }
}

/// As HTTP/2 counts it.
fn metadata_bytes(headers: &HeaderMap) -> usize {
    let bytes = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_BYTES
    };
    headers.iter().map(bytes).sum()
}

/// The answer to a call that fails before its service has seen it.
pub(crate) fn refuse(failure: CallError) -> Response {
    status(failure).into_http()
}

/// The answer to a call that is none, or none that could be read.
fn refused(request: &http::Request<Body>, methods: Methods) -> Option<Response> {
    let plain = |status: StatusCode| {
        let mut response = Response::default();
        *response.status_mut() = status;
        response
    };
    if !is_grpc(request.headers()) {
        return Some(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if request.method() != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return Some(response);
    }
    if methods == Methods::WithoutAdministration && is_administration(request.uri().path()) {
        return Some(refuse(CallError::MethodUnknown));
    }
    if metadata_bytes(request.headers()) > METADATA_BYTES_MAX {
        return Some(refuse(CallError::MetadataTooLarge));
    }
    let encoding = request.headers().get(GRPC_ENCODING);
    if encoding.is_some_and(|encoding| encoding != IDENTITY && encoding != GZIP) {
        let mut response = refuse(CallError::EncodingUnsupported);
        response.headers_mut().insert(
            GRPC_ACCEPT_ENCODING,
            HeaderValue::from_static("identity,gzip"),
        );
        return Some(response);
    }
    None
}

/// gRPC with protobuf, which is also meant where no encoding is named. gRPC-Web begins with the
/// same letters and is something else: its callers would not understand the answer to what was done
/// for them.
fn is_grpc(headers: &HeaderMap) -> bool {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(GRPC_ENCODING)
        .is_some_and(|encoding| encoding == GZIP)
}

/// Gives a reason to the errors that tonic and the standard services make. They come in the
/// headers, or after a stream in the trailers.
fn explained(response: Response) -> Response {
    if !response.headers().contains_key(GRPC_STATUS) {
        return response.map(|body| Body::new(Explained { body }));
    }
    let (mut head, body) = response.into_parts();
    explain(&mut head.headers);
    Response::from_parts(head, body)
}

pub(super) fn explain(headers: &mut HeaderMap) {
    if headers.contains_key(GRPC_DETAILS) {
        return;
    }
    // What has no details was made by the libraries that we serve with.
    let Some(failure) =
        Status::from_header_map(headers).and_then(|status| CallError::of_others(&status))
    else {
        return;
    };
    if let Err(error) = status(failure).add_header(headers) {
        tracing::error!(%error, "an error could not be explained");
    }
}

/// The answer of a call whose status is still to come.
struct Explained {
    body: Body,
}

impl http_body::Body for Explained {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            explain(trailers);
        }
        Poll::Ready(frame)
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
    use std::convert::Infallible;

    use tonic::Code;
    use tonic_types::StatusExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// What comes of a call with these headers to a service that answers so.
    async fn answer(headers: &[(&str, &str)], answered: Option<Status>) -> Response {
        let service = service_fn(move |request: http::Request<Body>| {
            let answered = answered
                .clone()
                .expect("a call that is refused does not come so far");
            let mut response = answered.into_http::<Body>();
            if let Some(asked) = request.headers().get(GRPC_ACCEPT_ENCODING) {
                response.headers_mut().insert("asked", asked.clone());
            }
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let request = http::Request::post("/belay.v1.OrderService/GetOrder");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        layer(Methods::All)
            .layer(service)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    #[tokio::test]
    async fn what_is_not_grpc_does_not_come_through() {
        for odd in [
            "",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text",
            "application/grpc+json",
            "application/grpcx",
            "application/json",
            "text/html",
        ] {
            let response = answer(&[("content-type", odd)], None).await;
            assert_eq!(
                response.status(),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{odd:?}"
            );
        }
        assert_eq!(
            answer(&[], None).await.status(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        for known in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC",
            "application/grpc; charset=utf-8",
        ] {
            let response = answer(&[("content-type", known)], Some(Status::ok(""))).await;
            assert_eq!(response.status(), StatusCode::OK, "{known:?}");
        }
    }

    #[tokio::test]
    async fn a_compression_that_is_not_known_is_refused_and_the_known_ones_are_named() {
        let response = answer(&[GRPC, (GRPC_ENCODING, "snappy")], None).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "ENCODING_UNSUPPORTED"
        );
        assert_eq!(response.headers()[GRPC_ACCEPT_ENCODING], "identity,gzip");
    }

    #[tokio::test]
    async fn metadata_has_a_limit() {
        let (name, encodings) = (GRPC.0.len(), 2 * HEADER_BYTES);
        let taken = name + GRPC.1.len() + "long".len() + encodings;
        let fits = "x".repeat(METADATA_BYTES_MAX - taken);
        let response = answer(&[GRPC, ("long", &fits)], Some(Status::ok(""))).await;
        assert!(!response.headers().contains_key(GRPC_DETAILS));
        let response = answer(&[GRPC, ("long", &format!("{fits}x"))], None).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "METADATA_TOO_LARGE");
        assert_eq!(info.metadata["limit_bytes"], METADATA_BYTES_MAX.to_string());
        assert!(status.get_details_retry_info().is_none());
    }

    #[tokio::test]
    async fn who_does_not_compress_gets_no_compressed_answer() {
        let accepts = (GRPC_ACCEPT_ENCODING, "identity, deflate, gzip");
        let asked = |response: &Response| response.headers().contains_key("asked");
        assert!(!asked(
            &answer(&[GRPC, accepts], Some(Status::ok(""))).await
        ));
        assert!(asked(
            &answer(
                &[GRPC, accepts, (GRPC_ENCODING, "gzip")],
                Some(Status::ok(""))
            )
            .await
        ));
    }

    #[tokio::test]
    async fn every_error_of_others_gets_a_reason() {
        for code in (1..=16).map(Code::from_i32) {
            let response = answer(&[GRPC], Some(Status::new(code, "somebody's error"))).await;
            let status = Status::from_header_map(response.headers()).unwrap();
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.domain.as_str(), info.reason.is_empty()),
                ("belay", false),
                "{code:?}"
            );
        }
        let ok = answer(&[GRPC], Some(Status::ok(""))).await;
        assert!(!ok.headers().contains_key(GRPC_DETAILS));
    }
}
