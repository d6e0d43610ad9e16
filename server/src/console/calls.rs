//! The way from the console to the services: the calls that anybody makes, made in this process. It
//! lets reads through and nothing else, and counts for a stop as the calls of others do.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use belay_wire::status::CallError;
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service};

use crate::auth::peer::Peer;
use crate::drain::Drain;
use crate::rpc::edge::{self, Methods};
use crate::rpc::{BoundSettings, PortBounds, is_read};

/// The services, as one caller reaches them. Cloning it shares them.
#[derive(Clone)]
pub(super) struct Reads {
    services: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
    bounds: PortBounds,
    /// What says who calls, and where from.
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl fmt::Debug for Reads {
    /// Shows no credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

impl Reads {
    /// Of nobody yet.
    pub(super) fn of(routes: Routes, drain: &Drain) -> Self {
        let edge = edge::layer(Methods::All).layer(routes.prepare());
        Self {
            services: BoxCloneSyncService::new(drain.layer().layer(edge)),
            bounds: PortBounds::new(BoundSettings::default()),
            headers: HeaderMap::new(),
            peer: None,
        }
    }

    /// Of whoever brings these headers from there.
    pub(super) fn by(&self, headers: HeaderMap, peer: Option<Peer>) -> Self {
        Self {
            headers,
            peer,
            ..self.clone()
        }
    }
}

impl Reads {
    /// With these headers in place of those of their names; none where no header can hold one.
    pub(super) fn with(&self, headers: &[(&'static str, String)]) -> Option<Self> {
        let mut reads = self.clone();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).ok()?;
            reads.headers.insert(*name, value);
        }
        Some(reads)
    }
}

impl Service<Request<Body>> for Reads {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if !is_read(path) {
            let cause = format!("the console asked for {path}, which is no read");
            return Box::pin(ready(Ok(edge::refuse(CallError::Internal(cause)))));
        }
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        let extensions = request.extensions_mut();
        extensions.insert(self.bounds.connection());
        if let Some(peer) = &self.peer {
            extensions.insert(peer.clone());
        }
        self.services.call(request)
    }
}

#[cfg(test)]
mod tests {
    use belay_proto::v1 as pb;
    use belay_proto::v1::order_service_client::OrderServiceClient;
    use belay_wire::auth::paths;
    use tower::ServiceExt as _;

    use super::*;

    /// Services that answer everything, so that what is refused was refused before them.
    fn reads() -> Reads {
        let all = axum::Router::new().fallback(async || "reached");
        Reads::of(Routes::from(all), &Drain::new())
    }

    #[tokio::test]
    async fn no_method_is_reached_that_writes() {
        let mut reached = 0;
        for path in paths() {
            let request = Request::post(path).header("content-type", "application/grpc");
            let request = request.body(Body::empty()).unwrap();
            let answer = reads().oneshot(request).await.unwrap();
            let is_reached = !answer.headers().contains_key("grpc-status");
            assert_eq!(is_reached, is_read(path), "{path}");
            reached += usize::from(is_reached);
        }
        assert!(reached > 20, "{reached} methods are reads");
        let mut orders = OrderServiceClient::new(reads());
        let refused = orders.create_order(pb::CreateOrderRequest::default()).await;
        assert!(refused.is_err());
    }
}
