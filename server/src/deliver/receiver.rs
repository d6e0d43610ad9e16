//! The receiver: one event is sent to it, and what it answers is read within bounds.
//!
//! Nothing but the URL says where an event goes: no redirect is followed and no proxy of the
//! environment is used. Whoever names the URL runs the server, so private addresses are allowed.

use std::time::Duration;

use belay_wire::cloud_events::CONTENT_TYPE;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;

use super::retry::SendOutcome;

/// The longest that a connection may take, where the whole request may take longer.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// After which an idle connection is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Of the body of an answer; the rest is not read, and its connection is closed.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Of the words for a failure, which are kept with the event, in characters.
pub(super) const FAILURE_CHARS_MAX: usize = 200;
/// Of the URL, in bytes.
pub(super) const URL_BYTES_MAX: usize = 2_048;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The reason why a URL is none to deliver to.
#[derive(Debug, thiserror::Error)]
pub(super) enum UrlError {
    #[error("must be an http or https URL, such as https://example.com/belay")]
    Malformed,
    #[error("must have at most {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("must have no user and password: signatures say who sends")]
    UserInfo,
}

/// Reads the URL of a receiver.
pub(super) fn parse_url(text: &str) -> Result<Uri, UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    let url: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
    let authority = url.authority().ok_or(UrlError::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::UserInfo);
    }
    match url.scheme_str() {
        Some("http" | "https") => Ok(url),
        Some(_) | None => Err(UrlError::Malformed),
    }
}

/// A message to the receiver.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    /// When it is sent, in seconds.
    pub(super) seconds: i64,
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
}

/// The way to the receiver. Cloning it shares its connections.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    timeout: Duration,
}

impl Receiver {
    /// `timeout` is for the whole of one request, the connection and the answer included.
    pub(super) fn new(url: Uri, timeout: Duration, connections: usize) -> std::io::Result<Self> {
        crate::tls::install_provider();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout.min(CONNECT_MAX)));
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(connections)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self {
            client,
            url,
            timeout,
        })
    }

    /// Sends it once.
    pub(super) async fn post(&self, message: Message, now: Timestamp) -> SendOutcome {
        let Some(request) = self.request(message) else {
            return failed("the request could not be made".to_owned());
        };
        match tokio::time::timeout(self.timeout, self.exchange(request, now)).await {
            Ok(outcome) => outcome,
            Err(_) => failed(format!("no answer within {:?}", self.timeout)),
        }
    }

    fn request(&self, message: Message) -> Option<Request<Full<Bytes>>> {
        let seconds = HeaderValue::from(message.seconds);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header(
                header::USER_AGENT,
                concat!("belay/", env!("CARGO_PKG_VERSION")),
            )
            .header(WEBHOOK_ID, message.id)
            .header(WEBHOOK_TIMESTAMP, seconds)
            .header(WEBHOOK_SIGNATURE, message.signature);
        request.body(Full::new(Bytes::from(message.body))).ok()
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, now: Timestamp) -> SendOutcome {
        let answer = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => return failed(causes(&error)),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        // Its end says that the receiver is done: a head alone may have been sent too early.
        let ended = read_to_end(answer).await;
        if !status.is_success() {
            return refusal(status, &headers, now);
        }
        match ended {
            Ok(()) => SendOutcome::Taken,
            Err(error) => failed(format!("{status}, and then {}", causes(&error))),
        }
    }
}

/// Reads an answer up to its bound.
async fn read_to_end(answer: Response<Incoming>) -> Result<(), hyper::Error> {
    let mut body = answer.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data();
        read += data.map_or(0, |data| data.len());
        if read > ANSWER_BYTES_MAX {
            return Ok(());
        }
    }
    Ok(())
}

/// What an answer means that is no 2xx: a request that is wrong stays wrong, all else may pass.
fn refusal(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> SendOutcome {
    let failure = format!("HTTP {}", status.as_u16());
    let may_pass = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if status.is_client_error() && !may_pass.contains(&status) {
        return SendOutcome::Refused(failure);
    }
    SendOutcome::Failed {
        failure,
        retry_after: retry_after(headers, now),
        is_throttled: status == StatusCode::TOO_MANY_REQUESTS,
    }
}

/// Seconds, or an instant.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

fn failed(failure: String) -> SendOutcome {
    SendOutcome::Failed {
        failure: failure.chars().take(FAILURE_CHARS_MAX).collect(),
        retry_after: None,
        is_throttled: false,
    }
}

/// An error with what it came from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_no_more() {
        let most = format!("http://a/{}", "x".repeat(URL_BYTES_MAX - 9));
        for good in [
            "http://127.0.0.1:8080/hook?key=1",
            "https://example.com",
            &most,
        ] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for odd in ["", "example.com", "/hook", "ftp://a/", "http://", "a b"] {
            assert!(
                matches!(parse_url(odd), Err(UrlError::Malformed)),
                "{odd:?}"
            );
        }
        assert!(matches!(
            parse_url(&format!("{most}x")),
            Err(UrlError::TooLong)
        ));
        assert!(matches!(
            parse_url("https://user:pass@example.com/"),
            Err(UrlError::UserInfo)
        ));
    }

    #[test]
    fn a_wrong_request_stays_wrong_and_all_else_may_pass() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |status: u16| {
            refusal(
                StatusCode::from_u16(status).unwrap(),
                &HeaderMap::new(),
                now,
            )
        };
        for status in [400, 401, 403, 404, 410, 413, 422, 451] {
            assert_eq!(of(status), SendOutcome::Refused(format!("HTTP {status}")));
        }
        for status in [301, 302, 308, 408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(
                of(status),
                SendOutcome::Failed {
                    failure: format!("HTTP {status}"),
                    retry_after: None,
                    is_throttled: status == 429,
                }
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_an_instant() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            of("Mon, 23 Nov 2026 10:02:00 GMT"),
            Some(Duration::from_secs(120))
        );
        assert_eq!(of("Mon, 23 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        for odd in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_failure_is_told_in_few_words() {
        let told = |chars: usize| match failed("é".repeat(chars)) {
            SendOutcome::Failed { failure, .. } => failure.chars().count(),
            odd @ (SendOutcome::Taken | SendOutcome::Refused(_)) => panic!("{odd:?}"),
        };
        assert_eq!(told(FAILURE_CHARS_MAX), FAILURE_CHARS_MAX);
        assert_eq!(told(FAILURE_CHARS_MAX + 1), FAILURE_CHARS_MAX);
    }
}
