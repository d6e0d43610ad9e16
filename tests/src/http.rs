//! Callers over HTTP/1.1, who write each byte themselves: what curl and a language without gRPC
//! would send.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost::Message as _;
use prost_types::Any;
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;

pub const JSON: &str = "application/json";
pub const PROTO: &str = "application/proto";
pub const STREAM_JSON: &str = "application/connect+json";
/// The flag of the message that ends a stream.
pub const FLAG_END: u8 = 2;

/// A caller over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCaller {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl HttpCaller {
    /// Nobody yet.
    pub fn to(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    pub fn role(self, role: &str) -> Self {
        self.header("belay-role", role)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Calls a method, such as `OrderService/GetOrder`, with this message.
    pub async fn post(&self, method: &str, message: &Value) -> HttpReply {
        self.post_text(method, message.to_string().as_bytes()).await
    }

    /// The same with a message that may be none.
    pub async fn post_text(&self, method: &str, text: &[u8]) -> HttpReply {
        let path = format!("/belay.v1.{method}");
        self.send("POST", &path, &[("content-type", JSON)], text)
            .await
    }

    /// Sends just this on a connection of its own.
    pub async fn send(
        &self,
        verb: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpReply {
        let mut connection = self.connect().await;
        connection
            .write(&self.request(verb, path, headers, body))
            .await;
        connection.reply().await
    }

    /// A connection for several calls.
    pub async fn connect(&self) -> HttpConnection<TcpStream> {
        let stream = TcpStream::connect(self.address).await;
        HttpConnection::over(stream.expect("it listens"))
    }

    /// Opens a stream of messages in JSON.
    pub async fn open(&self, method: &str, message: &Value) -> HttpStream {
        let body = enveloped(0, message.to_string().as_bytes());
        let path = format!("/belay.v1.{method}");
        self.open_with(&path, &[("content-type", STREAM_JSON)], &body)
            .await
    }

    pub async fn open_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpStream {
        let mut connection = self.connect().await;
        connection
            .write(&self.request("POST", path, headers, body))
            .await;
        let head = connection.head().await.expect("an answer");
        HttpStream {
            connection,
            head,
            read: Vec::new(),
        }
    }

    /// The bytes of a request.
    pub fn request(
        &self,
        verb: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let mut head = format!("{verb} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_length = headers
            .iter()
            .any(|(name, _)| ["content-length", "transfer-encoding"].contains(name));
        if !has_length {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }
}

/// A message of a stream, as it is sent.
pub fn enveloped(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a length");
    [&[flags], length.to_be_bytes().as_slice(), message].concat()
}

/// A connection in HTTP/1.1, in clear or not.
#[derive(Debug)]
pub struct HttpConnection<S> {
    stream: BufReader<S>,
}

/// Status and headers of an answer.
#[derive(Debug, Clone)]
pub struct HttpHead {
    pub status: u16,
    /// By names in lower case; what is there twice has both, with a comma between.
    pub headers: BTreeMap<String, String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// It may be refused before all of it is sent.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next answer, whole.
    pub async fn reply(&mut self) -> HttpReply {
        let head = self.head().await.expect("an answer");
        let length = head.headers.get("content-length");
        let mut body = Vec::new();
        if let Some(length) = length {
            body = vec![0; length.parse().expect("a number")];
            self.stream.read_exact(&mut body).await.expect("all of it");
        } else if head.headers.contains_key("transfer-encoding") {
            while let Some(chunk) = self.chunk().await {
                body.extend(chunk);
            }
        }
        HttpReply { head, body }
    }

    /// The head of the next answer; none where the connection ends before it.
    pub async fn head(&mut self) -> Option<HttpHead> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut headers = BTreeMap::<String, String>::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            let known = headers.entry(name.to_lowercase()).or_default();
            if !known.is_empty() {
                known.push_str(", ");
            }
            known.push_str(value);
        }
        let status: u16 = status.unwrap_or_else(|| panic!("{first:?} is no status line"));
        if status == 100 {
            return Box::pin(self.head()).await;
        }
        Some(HttpHead { status, headers })
    }

    /// Returns once the other side has ended it, in order or not.
    pub async fn ended(&mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new()).await;
    }

    /// The next piece of a body that comes in pieces; none at its end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = self.line().await?;
        let length = usize::from_str_radix(&length, 16).expect("a length");
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk).await.ok()?;
        self.line().await?;
        (length > 0).then_some(chunk)
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await;
        if read.unwrap_or(0) == 0 {
            return None;
        }
        Some(line.trim_end().to_owned())
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct HttpReply {
    pub head: HttpHead,
    pub body: Vec<u8>,
}

impl HttpReply {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The message of a success.
    #[track_caller]
    pub fn good(&self) -> Value {
        assert_eq!(self.status(), 200, "{}", self.text());
        self.json()
    }

    /// The error that it is.
    #[track_caller]
    pub fn error(&self) -> HttpError {
        assert_ne!(self.status(), 200, "{}", self.text());
        HttpError::of(&self.json())
    }
}

/// An error as Connect tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpError {
    pub code: String,
    /// `ErrorInfo.reason`.
    pub reason: String,
    pub message: String,
    /// The details as gRPC has them.
    pub details: Vec<Any>,
    /// The same for people, by their types.
    pub readable: BTreeMap<String, Value>,
}

impl HttpError {
    #[track_caller]
    pub fn of(told: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let (mut details, mut readable) = (Vec::new(), BTreeMap::new());
        for detail in told["details"].as_array().into_iter().flatten() {
            let name = text(&detail["type"]);
            let value = STANDARD_NO_PAD.decode(text(&detail["value"]));
            details.push(Any {
                type_url: format!("type.googleapis.com/{name}"),
                value: value.expect("base64 without padding"),
            });
            readable.insert(name, detail["debug"].clone());
        }
        Self {
            code: text(&told["code"]),
            reason: text(&readable.get("google.rpc.ErrorInfo").unwrap_or(&Value::Null)["reason"]),
            message: text(&told["message"]),
            details,
            readable,
        }
    }

    /// Code and reason together.
    pub fn what(&self) -> (&str, &str) {
        (&self.code, &self.reason)
    }

    /// The paths of the violated fields.
    pub fn fields(&self) -> Vec<String> {
        let bad = self.readable.get("google.rpc.BadRequest");
        let violations = bad.and_then(|bad| bad["fieldViolations"].as_array());
        let field = |violation: &Value| violation["field"].as_str().unwrap_or_default().to_owned();
        violations.into_iter().flatten().map(field).collect()
    }

    /// Expects of a call over gRPC to have been refused in the same way, to the last byte.
    #[track_caller]
    pub fn is_as(&self, grpc: &crate::raw::Refused) {
        let words = format!("{:?}", grpc.code);
        let code = self.code.replace('_', "").replace("canceled", "cancelled");
        assert_eq!(code, words.to_lowercase(), "{self:?}");
        assert_eq!(self.reason, grpc.reason);
        assert_eq!(self.message, grpc.message);
        let details = tonic_types::Status::decode(grpc.details.as_slice()).expect("a status");
        let values = |details: &[Any]| -> Vec<Any> { details.to_vec() };
        assert_eq!(values(&self.details), values(&details.details));
    }
}

/// An open stream.
#[derive(Debug)]
pub struct HttpStream {
    connection: HttpConnection<TcpStream>,
    pub head: HttpHead,
    read: Vec<u8>,
}

impl HttpStream {
    /// The next message, with its flags; none where the answer is over.
    pub async fn next(&mut self) -> Option<(u8, Value)> {
        loop {
            if let Some(header) = self.read.first_chunk::<5>() {
                let [flags, length @ ..] = *header;
                let length = usize::try_from(u32::from_be_bytes(length)).expect("a length");
                if self.read.len() >= 5 + length {
                    let message: Vec<u8> = self.read.drain(..5 + length).skip(5).collect();
                    let value = serde_json::from_slice(&message).expect("JSON");
                    return Some((flags, value));
                }
            }
            let chunk = self.connection.chunk().await?;
            self.read.extend(chunk);
        }
    }

    /// The next message, which must be none that ends it.
    pub async fn message(&mut self) -> Value {
        let (flags, value) = self.next().await.expect("a message");
        assert_eq!(flags, 0, "{value}");
        value
    }

    /// Reads to the message that ends it.
    pub async fn end(mut self) -> Value {
        loop {
            let (flags, value) = self.next().await.expect("a message that ends it");
            if flags == FLAG_END {
                assert_eq!(self.next().await, None, "nothing comes behind the end");
                return value;
            }
        }
    }
}
