//! The way of a request to a server and back, in one place: over the network, with or without TLS,
//! or to a server in the same process.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tower::Service;
#[cfg(feature = "testing")]
use tower::util::BoxCloneSyncService;

use crate::network::{Carries, Network};
use crate::response::told_apart;

type Request = http::Request<Body>;
type Response = http::Response<Body>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to each address for calls, and one for streams; clones share them.
#[derive(Clone)]
pub(crate) enum Transport {
    Network(Network, Carries),
    #[cfg(feature = "testing")]
    InProcess(BoxCloneSyncService<Request, Response, BoxError>),
}

impl Transport {
    /// The same, for streams that stay open.
    pub(crate) fn for_streams(&self) -> Self {
        match self {
            Transport::Network(network, _) => Transport::Network(network.clone(), Carries::Streams),
            #[cfg(feature = "testing")]
            Transport::InProcess(service) => Transport::InProcess(service.clone()),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Network(..) => "Network",
            #[cfg(feature = "testing")]
            Transport::InProcess(_) => "InProcess",
        })
    }
}

impl Service<Request> for Transport {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Transport::Network(..) => Poll::Ready(Ok(())),
            #[cfg(feature = "testing")]
            Transport::InProcess(service) => service.poll_ready(_cx),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answering: Self::Future = match self {
            Transport::Network(network, carries) => {
                Box::pin(network.clone().call(*carries, request))
            }
            #[cfg(feature = "testing")]
            Transport::InProcess(service) => service.call(request),
        };
        Box::pin(async move { Ok(told_apart(answering.await?)) })
    }
}
