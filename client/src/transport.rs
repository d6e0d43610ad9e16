//! The way of a request to a server and back, in one place: over the network, with or without TLS, or to
//! a server in the same process.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;
#[cfg(feature = "testing")]
use tower::util::BoxCloneSyncService;

type Request = http::Request<Body>;
type Response = http::Response<Body>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) enum Transport {
    Network(Channel),
    #[cfg(feature = "testing")]
    InProcess(BoxCloneSyncService<Request, Response, BoxError>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Network(_) => "Network",
            #[cfg(feature = "testing")]
            Transport::InProcess(_) => "InProcess",
        })
    }
}

impl Service<Request> for Transport {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Transport::Network(channel) => channel.poll_ready(cx).map_err(BoxError::from),
            #[cfg(feature = "testing")]
            Transport::InProcess(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self {
            Transport::Network(channel) => {
                let response = channel.call(request);
                Box::pin(async { response.await.map_err(BoxError::from) })
            }
            #[cfg(feature = "testing")]
            Transport::InProcess(service) => service.call(request),
        }
    }
}
