//! Calls over HTTP for those who have no gRPC, in JSON or in protobuf: the Connect protocol, for
//! curl, browsers and shops whose language has no gRPC.
//!
//! It translates and does nothing else. A call becomes a gRPC call of the services that the gRPC
//! port serves, made in this process: authentication, roles, scopes, limits, deadlines, audit and
//! metrics are theirs. What it knows of a method it knows from the descriptors, so a method that
//! the protos gain can be called by itself. It has no state of a call, and refuses what is no call
//! before anything reads it.

mod answers;
pub mod command_line;
mod cors;
mod failure;
mod head;
mod intake;
mod methods;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use belay_wire::openapi;
use belay_wire::status::CallError;
use bytes::Bytes;
use http::header::{ALLOW, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, Service};

use self::answers::Way;
use self::failure::Refused;
use self::intake::HttpBody;
use self::methods::MethodTable;
use crate::rpc::{BoundSettings, Flow, PortBounds};

pub use self::command_line::ORIGINS_MAX;

/// Where the methods are told of, where they are.
const OPENAPI_PATH: &str = "/openapi.json";

/// The settings of HTTP beside gRPC.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub address: SocketAddr,
    /// The origins whose pages may call: browsers name theirs.
    pub origins: Vec<HeaderValue>,
}

/// A mark on requests of a connection beyond the limits, which is told of health alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InReserve;

/// A service over HTTP, and whatever is before it.
pub(crate) type HttpCalls = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The state that all calls over HTTP share.
#[derive(Debug)]
struct Shared {
    methods: MethodTable,
    origins: Vec<HeaderValue>,
    /// The document at [`OPENAPI_PATH`], if anybody may ask for it.
    document: Option<Bytes>,
}

/// The layer that makes a service over HTTP of the services of gRPC.
#[derive(Debug, Clone)]
pub struct Connect(Arc<Shared>);

impl Connect {
    /// Of those methods in the descriptor sets that are served. Anybody may ask which there are
    /// where reflection is on.
    ///
    /// # Errors
    /// Where the descriptors of this program cannot be read.
    pub fn new(
        descriptor_sets: &[&[u8]],
        origins: Vec<HeaderValue>,
        reflection: bool,
        is_served: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let methods = MethodTable::new(descriptor_sets, &is_served)?;
        let document = reflection.then(|| openapi::document(methods.pool(), is_served));
        Ok(Self(Arc::new(Shared {
            methods,
            origins,
            document: document.map(|document| document.to_string().into()),
        })))
    }

    /// Before these services.
    pub(crate) fn before<S>(&self, service: S) -> HttpCalls
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let connect = ConnectService {
            service,
            shared: self.0.clone(),
        };
        if self.0.origins.is_empty() {
            return BoxCloneSyncService::new(connect);
        }
        BoxCloneSyncService::new(cors::layer(&self.0.origins).layer(connect))
    }
}

#[derive(Debug, Clone)]
struct ConnectService<S> {
    service: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for ConnectService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that is ready is called.
        let next = self.service.clone();
        let service = std::mem::replace(&mut self.service, next);
        let shared = self.shared.clone();
        Box::pin(async move { Ok(answer(&shared, request, service).await) })
    }
}

/// The whole way of one call.
async fn answer<S>(shared: &Arc<Shared>, request: Request<Body>, mut service: S) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let (mut parts, body) = request.into_parts();
    if let Err(refused) = check_origin(shared, &parts) {
        return refused;
    }
    let pool = shared.methods.pool();
    let path = parts.uri.path();
    if let (OPENAPI_PATH, Some(document)) = (path, &shared.document) {
        return tell(document, &parts.method);
    }
    let called = shared.methods.called(path, &parts.method);
    let (method, codec) = match called.and_then(|method| {
        let codec = head::codec(&method, &parts.headers)?;
        Ok((method, codec))
    }) {
        Ok(known) => known,
        Err(refused) => return refused.into_unary(pool),
    };
    let bounds = parts.extensions.get_or_insert_with(|| {
        // One that came through no port, as unit tests send it, is its own.
        PortBounds::new(BoundSettings::default()).connection()
    });
    let bounds = bounds.clone();
    let flow = parts.extensions.remove::<Flow>().unwrap_or_default();
    let way = Way {
        shared: shared.clone(),
        method: method.clone(),
        codec,
        bounds: bounds.clone(),
        flow,
    };
    if parts.extensions.get::<InReserve>().is_some() {
        return way.refuse(Refused::from(CallError::Overloaded));
    }
    let compression = match head::to_grpc(&mut parts, method.streams) {
        Ok(compression) => compression,
        Err(refused) => return way.refuse(refused),
    };
    let intake = HttpBody::new(body, method, codec, compression, &bounds);
    let request = Request::from_parts(parts, Body::new(intake));
    let answered = match service.call(request).await {
        Ok(answered) => answered,
        Err(never) => match never {},
    };
    way.answer(answered).await
}

fn tell(document: &Bytes, by: &Method) -> Response<Body> {
    if by == Method::GET {
        return failure::whole("application/json", document.clone());
    }
    let mut refused = failure::text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    let allowed = HeaderValue::from_static("GET");
    refused.headers_mut().insert(ALLOW, allowed);
    refused
}

/// Browsers say which page a call comes from, also where they ask for no permission: one of a name
/// that leads to this address, or one with a form. There are no pages of ours here.
fn check_origin(shared: &Shared, parts: &Parts) -> Result<(), Response<Body>> {
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    if origins.all(|origin| shared.origins.contains(origin)) {
        return Ok(());
    }
    let told = "pages of this origin may not call here: --http-allow-origin names those that may\n";
    Err(failure::text(StatusCode::FORBIDDEN, told))
}
