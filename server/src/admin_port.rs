//! The port for those who run the server: metrics, and whether it lives and serves. It speaks
//! HTTP/1.1, takes no body, and says nothing about any order or caller.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as _;
use tonic_health::server::{HealthReporter, HealthService};

use crate::telemetry::metrics::Metrics;

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 16;
/// The head of one request, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// One request, from the connection to the end of the answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// After a connection that could not be accepted: the process has as many as it may.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// An open port.
#[derive(Debug)]
pub struct AdminPort {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl AdminPort {
    /// Answers on `listener`. It is ready as long as `health` says that the server as a whole
    /// serves.
    pub fn start(
        listener: TcpListener,
        health: HealthReporter,
        metrics: Metrics,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let admin = Arc::new(Admin {
            health: HealthService::from_health_reporter(health),
            metrics,
        });
        tasks.spawn(accept(listener, admin, stop.clone(), tasks.clone()));
        Ok(Self {
            address,
            stop,
            tasks,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and its connections.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Takes connections until it is told to stop.
async fn accept(
    listener: TcpListener,
    admin: Arc<Admin>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let next = async || {
        // The places are never closed.
        let place = places.clone().acquire_owned().await;
        (place, listener.accept().await)
    };
    loop {
        let (place, accepted) = tokio::select! {
            next = next() => next,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (admin, stop) = (admin.clone(), stop.clone());
                tasks.spawn(async move {
                    let _place = place;
                    tokio::select! {
                        _ = tokio::time::timeout(REQUEST_MAX, serve(stream, admin)) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin port could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request. What goes wrong with a connection is its client's to know.
async fn serve(stream: TcpStream, admin: Arc<Admin>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let admin = admin.clone();
        async move { Ok::<_, Infallible>(admin.answer(&request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

#[derive(Debug)]
struct Admin {
    health: HealthService,
    metrics: Metrics,
}

impl Admin {
    async fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        let path = request.uri().path();
        if !["/metrics", "/livez", "/readyz"].contains(&path) {
            return answer(StatusCode::NOT_FOUND, TEXT, "not found\n");
        }
        if request.method() != Method::GET {
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
            let allowed = HeaderValue::from_static("GET");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match path {
            "/livez" => answer(StatusCode::OK, TEXT, "live\n"),
            "/readyz" if self.is_ready().await => answer(StatusCode::OK, TEXT, "ready\n"),
            "/readyz" => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
            _ => match self.metrics.text() {
                Ok(text) => answer(StatusCode::OK, PROMETHEUS_TEXT, text),
                Err(error) => {
                    tracing::error!(%error, "the metrics cannot be put into text");
                    answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "see the log\n")
                }
            },
        }
    }

    /// What the health service says of the server as a whole.
    async fn is_ready(&self) -> bool {
        let request = tonic::Request::new(HealthCheckRequest::default());
        let told = self.health.check(request).await;
        told.is_ok_and(|told| told.into_inner().status() == ServingStatus::Serving)
    }
}

fn answer(status: StatusCode, content: &'static str, body: impl Into<String>) -> Response<String> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content = HeaderValue::from_static(content);
    response.headers_mut().insert(CONTENT_TYPE, content);
    response
}
