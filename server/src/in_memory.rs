//! `belay dev --in-memory`: the rules of Belay over gRPC, without MySQL. It is the server that
//! tests of programs have (`belay-testing`), behind a port of this machine: everything is in
//! memory, and ends with the process.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use belay_testing::Server;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{ServiceExt as _, service_fn};

use crate::server::{reflection, serving_everywhere};
use crate::small_port::{self, Accepted};

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// How long open calls may take once it is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// A port that is open.
#[derive(Debug)]
pub struct InMemory {
    address: SocketAddr,
    server: Server,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl InMemory {
    /// Serves at an address of this machine, where everybody is believed.
    ///
    /// # Errors
    /// Where the address is of another machine, or nobody can listen there.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let server = Server::start().await;
        let routes = routes(&server).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let until = stop.clone();
        let serve = move |taken| serve(taken, routes.clone(), until.clone());
        let accept = small_port::accept(
            listener,
            CONNECTIONS_MAX,
            stop.clone(),
            tasks.clone(),
            serve,
        );
        tasks.spawn(accept);
        Ok(Self {
            address,
            server,
            stop,
            tasks,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and waits a little for those that are open.
    pub async fn stop(self) {
        self.stop.cancel();
        self.server.close_streams();
        self.tasks.close();
        // What is open still ends with the process.
        let _ = tokio::time::timeout(DRAIN_MAX, self.tasks.wait()).await;
    }
}

/// The methods, and beside them what any server of gRPC has.
async fn routes(server: &Server) -> anyhow::Result<Routes> {
    let (health, health_service) = tonic_health::server::health_reporter();
    serving_everywhere(&health).await;
    let methods = server.service();
    let methods = service_fn(move |request: Request<axum::body::Body>| {
        let methods = methods.clone();
        async move {
            let answer = methods.oneshot(request.map(Body::new)).await;
            // It has no faults but those of tests.
            let answer = answer.unwrap_or_else(|error| {
                let status = Status::internal(error.to_string());
                status.into_http()
            });
            Ok::<_, Infallible>(answer)
        }
    });
    let beside = Routes::new(health_service)
        .add_service(reflection(false).build_v1()?)
        // Older tools ask this one.
        .add_service(reflection(false).build_v1alpha()?);
    let router = beside.into_axum_router().fallback_service(methods);
    Ok(Routes::from(router).prepare())
}

/// One connection. What goes wrong with it is its client's to know.
fn serve(
    taken: Accepted,
    routes: Routes,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let service = service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move {
            let answer: Result<Response<Body>, Infallible> =
                routes.oneshot(request.map(Body::new)).await;
            answer
        }
    });
    async move {
        let Accepted {
            stream,
            permit: _permit,
            ..
        } = taken;
        // Small answers wait for nothing.
        let _ = stream.set_nodelay(true);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
