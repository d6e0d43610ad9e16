//! Errors as Connect tells them: a JSON object with the code, the message and the details, each in
//! bytes and once more so that a person can read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use belay_wire::json;
use belay_wire::status::{CallError, ConnectError};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};
use tonic::Status;
use tonic::body::Body;

use crate::rpc::status;

/// A call that is refused before a service has seen it.
#[derive(Debug)]
pub(super) struct Refused {
    failure: CallError,
    /// Instead of the one that goes with the code.
    status: Option<StatusCode>,
    header: Option<(HeaderName, &'static str)>,
}

impl From<CallError> for Refused {
    fn from(failure: CallError) -> Self {
        Self {
            failure,
            status: None,
            header: None,
        }
    }
}

impl Refused {
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn into_status(self) -> Status {
        status(self.failure)
    }

    /// The answer to a call that is none, or one of a single answer.
    pub(super) fn into_unary(self, pool: &DescriptorPool) -> Response<Body> {
        let told = status(self.failure);
        let mut answer = unary(&of_status(&told), pool);
        if let Some(status) = self.status {
            *answer.status_mut() = status;
        }
        if let Some((name, value)) = self.header {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// Of an answer that ended with this status.
pub(super) fn of_status(told: &Status) -> ConnectError {
    ConnectError::of_status(told).unwrap_or_else(|| {
        let cause = "an answer that failed says that it did not".to_owned();
        let told = status(CallError::Internal(cause));
        ConnectError::of_status(&told).expect("it is an error")
    })
}

/// The answer of a single call that failed.
pub(super) fn unary(error: &ConnectError, pool: &DescriptorPool) -> Response<Body> {
    let status = StatusCode::from_u16(error.http_status);
    let body = value(error, pool).to_string();
    let mut answer = whole("application/json", body.into());
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(delay) = error.retry_delay {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        let seconds = HeaderValue::from(seconds.max(1));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// The last message of a stream, with the error that it ended with, if it did.
pub(super) fn end_of_stream(
    error: Option<&ConnectError>,
    trailers: &HeaderMap,
    pool: &DescriptorPool,
) -> Vec<u8> {
    let mut end = Map::new();
    if let Some(error) = error {
        end.insert("error".to_owned(), value(error, pool));
    }
    let mut metadata = Map::new();
    for name in trailers.keys().filter(|name| is_metadata(name)) {
        let values = trailers.get_all(name).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        metadata.insert(name.to_string(), json!(values));
    }
    if !metadata.is_empty() {
        end.insert("metadata".to_owned(), Value::Object(metadata));
    }
    Value::Object(end).to_string().into_bytes()
}

/// Whether a header of a gRPC answer is somebody's metadata, and not the protocol's.
pub(super) fn is_metadata(name: &HeaderName) -> bool {
    !name.as_str().starts_with("grpc-") && name != CONTENT_TYPE && name != CONTENT_LENGTH
}

fn value(error: &ConnectError, pool: &DescriptorPool) -> Value {
    let detail = |detail: &prost_types::Any| {
        let (_, name) = detail.type_url.rsplit_once('/').unwrap_or_default();
        let bytes = detail.value.as_slice();
        let mut told = json!({"type": name, "value": STANDARD_NO_PAD.encode(bytes)});
        if let Some(readable) = json::value_of(pool, name, bytes) {
            told["debug"] = readable;
        }
        told
    };
    let details: Vec<Value> = error.details.iter().map(detail).collect();
    let mut told = json!({"code": error.code, "message": error.message});
    if !details.is_empty() {
        told["details"] = Value::Array(details);
    }
    told
}

/// An answer in one piece.
pub(super) fn whole(content: &'static str, bytes: Bytes) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let body = Full::new(bytes).map_err(|never| match never {});
    let mut answer = Response::new(Body::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(CONTENT_LENGTH, length);
    answer
}

/// An answer to what is no call, for people.
pub(super) fn text(status: StatusCode, told: &'static str) -> Response<Body> {
    let mut answer = whole("text/plain; charset=utf-8", told.into());
    *answer.status_mut() = status;
    answer
}
