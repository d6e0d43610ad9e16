//! The head of a call: in which form its message is, until when its answer counts, and which
//! headers go on to the services.

use belay_wire::status::CallError;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT,
    HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::failure::Refused;
use super::methods::Method;

/// The form of the messages of a call, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Proto,
}

/// The compression of a request's message, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
}

const UNARY_JSON: &str = "application/json";
const UNARY_PROTO: &str = "application/proto";
const STREAM_JSON: &str = "application/connect+json";
const STREAM_PROTO: &str = "application/connect+proto";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const PROTOCOL_VERSION: &str = "connect-protocol-version";
const TIMEOUT: &str = "connect-timeout-ms";
const STREAM_ENCODING: &str = "connect-content-encoding";
const STREAM_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");
/// Of a timeout in milliseconds, as the protocol has it.
const TIMEOUT_DIGITS_MAX: usize = 10;
/// Of a timeout as gRPC has it.
const GRPC_TIMEOUT_MAX: u64 = 99_999_999;

/// Headers that are of the connection, or of a message in another form than the one that goes on.
const LEFT_OUT: [HeaderName; 12] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl Codec {
    /// The type of an answer.
    pub(super) fn content_type(self, streams: bool) -> &'static str {
        match (self, streams) {
            (Codec::Json, false) => UNARY_JSON,
            (Codec::Proto, false) => UNARY_PROTO,
            (Codec::Json, true) => STREAM_JSON,
            (Codec::Proto, true) => STREAM_PROTO,
        }
    }
}

/// The form that a call says its message has.
pub(super) fn codec(method: &Method, headers: &HeaderMap) -> Result<Codec, Refused> {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let mut parts = named.unwrap_or_default().split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let codecs = [Codec::Json, Codec::Proto];
    let known = codecs.into_iter().find(|codec| {
        let content_type = codec.content_type(method.streams);
        content_type.eq_ignore_ascii_case(essence)
    });
    let (unknown, accepted) = if method.streams {
        (
            "the answer of this method is a stream: content-type is application/connect+json or \
             application/connect+proto",
            "application/connect+json, application/connect+proto",
        )
    } else {
        (
            "content-type is application/json or application/proto",
            "application/json, application/proto",
        )
    };
    let refuse = |told| {
        Refused::from(CallError::undecodable(told))
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with_header(ACCEPT_POST, accepted)
    };
    if !parts.all(is_read) {
        return Err(refuse("the charset of a message is utf-8, or not named"));
    }
    known.ok_or_else(|| refuse(unknown))
}

/// Whether what a parameter of the content type says goes for what is read, which is UTF-8.
fn is_read(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim_matches('"');
    !name.eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
}

/// Makes the head of a gRPC call of it.
pub(super) fn to_grpc(parts: &mut Parts, streams: bool) -> Result<Compression, Refused> {
    let headers = &mut parts.headers;
    let version = headers.get(PROTOCOL_VERSION);
    if version.is_some_and(|version| version != "1") {
        let told = "the header Connect-Protocol-Version is 1, or not there";
        return Err(CallError::undecodable(told).into());
    }
    let timeout = headers.get(TIMEOUT).map(grpc_timeout).transpose()?;
    let compression = compression(headers, streams)?;
    let is_left_out = |name: &HeaderName| {
        let is_of_a_protocol = ["grpc-", "connect-"]
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix));
        is_of_a_protocol || LEFT_OUT.contains(name)
    };
    let left_out: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_left_out(name))
        .cloned()
        .collect();
    for name in left_out {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = timeout {
        headers.insert("grpc-timeout", timeout);
    }
    Ok(compression)
}

fn compression(headers: &HeaderMap, streams: bool) -> Result<Compression, Refused> {
    let (encoding, accepted_in) = if streams {
        (headers.get(STREAM_ENCODING), STREAM_ACCEPT_ENCODING)
    } else {
        (headers.get(CONTENT_ENCODING), ACCEPT_ENCODING)
    };
    match encoding.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Compression::None),
        Some(b"gzip") => Ok(Compression::Gzip),
        Some(_) => Err(Refused::from(CallError::EncodingUnsupported)
            .with_header(accepted_in, "identity, gzip")),
    }
}

/// Milliseconds, as gRPC says them: with fewer digits, and in seconds where those are too few.
fn grpc_timeout(value: &HeaderValue) -> Result<HeaderValue, Refused> {
    let digits = value.to_str().unwrap_or_default();
    let is_known = (1..=TIMEOUT_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let millis: Option<u64> = digits.parse().ok().filter(|_| is_known);
    let Some(millis) = millis else {
        let told = "the header Connect-Timeout-Ms is a number of at most 10 digits";
        return Err(CallError::undecodable(told).into());
    };
    let timeout = if millis <= GRPC_TIMEOUT_MAX {
        format!("{millis}m")
    } else {
        format!("{}S", millis / 1_000)
    };
    let timeout = HeaderValue::try_from(timeout);
    timeout.map_err(|_| CallError::undecodable("Connect-Timeout-Ms cannot be told on").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_told_on_as_grpc_has_it() {
        let told = |value: &'static str| {
            let timeout = grpc_timeout(&HeaderValue::from_static(value));
            timeout.map(|timeout| timeout.to_str().unwrap().to_owned())
        };
        for (value, expected) in [
            ("0", "0m"),
            ("250", "250m"),
            ("0000000250", "250m"),
            ("99999999", "99999999m"),
            ("100000000", "100000S"),
            ("9999999999", "9999999S"),
        ] {
            assert_eq!(told(value).unwrap(), expected);
        }
        for odd in ["", "-1", "+1", "1.5", "10s", "12345678901", " 1"] {
            assert!(told(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn headers_of_the_connection_and_of_protocols_do_not_go_on() {
        let mut parts = http::Request::new(()).into_parts().0;
        for name in [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "grpc-timeout",
            "grpc-encoding",
            "connect-protocol-version",
            "authorization",
            "belay-role",
            "traceparent",
        ] {
            parts.headers.insert(name, HeaderValue::from_static("1"));
        }
        assert_eq!(to_grpc(&mut parts, false).unwrap(), Compression::None);
        let mut left: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "authorization",
                "belay-role",
                "content-type",
                "te",
                "traceparent"
            ]
        );
        assert_eq!(parts.headers[CONTENT_TYPE], "application/grpc");
    }
}
