//! Callers that keep to HTTP/2 and to no manners.

use std::net::SocketAddr;

use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use prost::Message;
use prost::bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;
use tonic::codegen::http::Request;

use crate::HANG;

/// Who calls.
pub const AS_OPERATOR: &[(&str, &str)] = &[("belay-role", "operator"), ("belay-actor", "raw")];

/// A connection of HTTP/2 with nothing around it that would keep to any manners.
#[derive(Debug)]
pub struct Http2 {
    pub calls: SendRequest<Bytes>,
    /// What drives it.
    _connection: JoinSet<()>,
}

impl Http2 {
    pub async fn to(address: SocketAddr) -> Self {
        Self::with_window(address, 1024 * 1024).await
    }

    /// Takes so many bytes of each answer.
    pub async fn with_window(address: SocketAddr, bytes: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("it is taken");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(bytes);
        let (calls, connection) = builder.handshake(stream).await.expect("it speaks HTTP/2");
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ends shows in its calls.
            let _ = connection.await;
        });
        Self {
            calls,
            _connection: driver,
        }
    }

    /// Begins a call, of which a message is to be sent.
    pub async fn begin(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let begun = self.try_begin(path, metadata).await;
        begun.expect("a stream")
    }

    /// The same, on a connection that may have been cut.
    pub async fn try_begin(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let request = Request::post(format!("http://belay{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let request = metadata.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let mut ready = self.calls.clone().ready().await?;
        let request = request.body(()).expect("a request");
        ready.send_request(request, false)
    }

    /// A whole call of one message, by an operator.
    pub async fn call(&self, path: &str, message: &impl Message) -> ResponseFuture {
        let (answer, mut body) = self.begin(path, AS_OPERATOR).await;
        let message = message.encode_to_vec();
        let message = Bytes::from([head(message.len()), message].concat());
        // Who is refused may have the answer before it has sent its message.
        let _ = body.send_data(message, true);
        answer
    }
}

/// What stands before a message of so many bytes.
pub fn head(bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).expect("a message").to_be_bytes();
    [&[0], length.as_slice()].concat()
}

/// The status with which a call ends.
pub async fn status(answer: ResponseFuture) -> Status {
    let answer = timeout(HANG, answer)
        .await
        .expect("an answer")
        .expect("an answer");
    let (head, mut body) = answer.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return status;
    }
    while let Some(data) = timeout(HANG, body.data()).await.expect("more") {
        let data = data.expect("it does not break off");
        body.flow_control()
            .release_capacity(data.len())
            .expect("it was taken");
    }
    let trailers = body.trailers().await.expect("it ends").expect("trailers");
    Status::from_header_map(&trailers).expect("a status")
}
