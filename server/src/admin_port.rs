//! The port for those who run the server: metrics, whether it lives and serves, and, where they are
//! on, the console and profiles. It speaks HTTP/1.1 and answers one request a connection. Of itself
//! it takes no body, and says nothing about any order or caller; what the console says is the
//! console's business.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as _;
use tonic_health::server::{HealthReporter, HealthService};
use tower::ServiceExt as _;

use crate::auth::peer::Peer;
use crate::profiles::{self, ProfileError, Profiles, Profiling};
use crate::small_port::{self, Accepted};
use crate::telemetry::metrics::Metrics;

/// Connections at once that ask of the server, or have not said what they ask; more wait.
const CONNECTIONS_MAX: usize = 16;
/// Requests to the console at once, on connections of their own: whoever watches the server has its
/// places still. What comes beyond is told to come again.
pub const CONSOLE_REQUESTS_MAX: usize = 32;
/// The head of one request, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// One request, from the connection to the end of the answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// One request to the console, from its head to the end of the answer. A page makes several calls,
/// each of which has a deadline.
const CONSOLE_REQUEST_MAX: Duration = Duration::from_secs(30);
/// The path of the console, and the beginning of all of its paths.
pub const CONSOLE_PATH: &str = "/console";
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// The choice whether the port will be given a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithConsole {
    Yes,
    No,
}

/// An open port.
#[derive(Debug)]
pub struct AdminPort {
    address: SocketAddr,
    admin: Arc<Admin>,
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
        console: WithConsole,
        profiling: Profiling,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let admin = Arc::new(Admin {
            health: HealthService::from_health_reporter(health),
            metrics,
            with_console: console,
            console: OnceLock::new(),
            console_places: Arc::new(Semaphore::new(CONSOLE_REQUESTS_MAX)),
            profiles: (profiling == Profiling::On).then(Profiles::new),
        });
        let (served, until) = (admin.clone(), stop.clone());
        let serve = move |taken| serve(taken, served.clone(), until.clone());
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
            admin,
            stop,
            tasks,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the paths of the console from now on. The port is open before there is one.
    pub fn serve_console(&self, console: Router) {
        // A server makes one.
        let _ = self.admin.console.set(console);
    }

    /// Closes the port and its connections.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The time that a connection has. It is on every request to the console, so that an answer which
/// lasts can ask for more.
#[derive(Debug, Clone)]
pub(crate) struct Patience(watch::Sender<Instant>);

impl Patience {
    fn new(time: Duration) -> Self {
        Self(watch::Sender::new(Instant::now() + time))
    }

    /// The connection ends so long from now.
    pub(crate) fn end_after(&self, time: Duration) {
        self.0.send_replace(Instant::now() + time);
    }

    /// Returns when the time is over.
    async fn over(&self) {
        let mut until = self.0.subscribe();
        loop {
            let end = *until.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                // The sender is here.
                _ = until.changed() => {}
            }
        }
    }
}

/// A connection: the place that it has, and its time.
#[derive(Debug)]
struct Connection {
    permit: Mutex<OwnedSemaphorePermit>,
    patience: Patience,
    peer: SocketAddr,
}

impl Connection {
    /// Gives the place that it had to the next.
    fn move_to(&self, permit: OwnedSemaphorePermit) {
        let mut held = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        *held = permit;
    }
}

/// One request, until its time is over. What goes wrong with a connection is its client's to know.
async fn serve(taken: Accepted, admin: Arc<Admin>, stop: CancellationToken) {
    let connection = Connection {
        permit: Mutex::new(taken.permit),
        patience: Patience::new(REQUEST_MAX),
        peer: taken.peer,
    };
    let answer = service_fn(|request: Request<Incoming>| {
        let (admin, connection) = (&admin, &connection);
        async move { Ok::<_, Infallible>(admin.answer(request, connection).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(taken.stream), answer);
    tokio::select! {
        _ = served => {}
        () = connection.patience.over() => {}
        () = stop.cancelled() => {}
    }
}

#[derive(Debug)]
struct Admin {
    health: HealthService,
    metrics: Metrics,
    with_console: WithConsole,
    /// None until the server serves.
    console: OnceLock<Router>,
    console_places: Arc<Semaphore>,
    /// None where they are off.
    profiles: Option<Profiles>,
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>, connection: &Connection) -> Response<Body> {
        let path = request.uri().path();
        if self.with_console == WithConsole::Yes && is_of_console(path) {
            return self.answer_of_console(request, connection).await;
        }
        let profiles = self.profiles.as_ref().filter(|_| path == profiles::PATH);
        if !["/metrics", "/livez", "/readyz"].contains(&path) && profiles.is_none() {
            return answer(StatusCode::NOT_FOUND, TEXT, "not found\n");
        }
        if request.method() != Method::GET {
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
            let allowed = HeaderValue::from_static("GET");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        if let Some(profiles) = profiles {
            return profile(profiles, request.uri().query(), connection).await;
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

    async fn answer_of_console(
        &self,
        mut request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<Body> {
        let busy = |why: &'static str| answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why);
        let Some(console) = self.console.get() else {
            return busy("the server starts; come again\n");
        };
        let Ok(permit) = self.console_places.clone().try_acquire_owned() else {
            return busy("the console answers as many as it can; come again\n");
        };
        connection.move_to(permit);
        connection.patience.end_after(CONSOLE_REQUEST_MAX);
        let extensions = request.extensions_mut();
        extensions.insert(connection.patience.clone());
        extensions.insert(Peer::without_certificate(connection.peer));
        match console.clone().oneshot(request.map(Body::new)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// What the health service says of the server as a whole.
    async fn is_ready(&self) -> bool {
        let request = tonic::Request::new(HealthCheckRequest::default());
        let told = self.health.check(request).await;
        told.is_ok_and(|told| told.into_inner().status() == ServingStatus::Serving)
    }
}

/// A profile, once it is taken.
async fn profile(
    profiles: &Profiles,
    query: Option<&str>,
    connection: &Connection,
) -> Response<Body> {
    let taken = async {
        let seconds = profiles::seconds(query)?;
        let time = Duration::from_secs(seconds.into()) + profiles::NAMING_MAX;
        connection.patience.end_after(time);
        profiles.take(seconds).await
    };
    match taken.await {
        Ok(profile) => answer(StatusCode::OK, BYTES, profile),
        Err(ProfileError::Malformed) => {
            let told = format!("seconds is a number from 1 to {}\n", profiles::SECONDS_MAX);
            answer(StatusCode::BAD_REQUEST, TEXT, told)
        }
        Err(ProfileError::Busy) => {
            let told = "a profile is being taken; come again\n";
            answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, told)
        }
        Err(ProfileError::Failed(error)) => {
            tracing::error!(error, "no profile can be taken");
            answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "see the log\n")
        }
    }
}

fn is_of_console(path: &str) -> bool {
    let rest = path.strip_prefix(CONSOLE_PATH);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn answer(status: StatusCode, content: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content = HeaderValue::from_static(content);
    response.headers_mut().insert(CONTENT_TYPE, content);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_the_console_are_its_own() {
        for path in ["/console", "/console/", "/console/order"] {
            assert!(is_of_console(path), "{path}");
        }
        for path in ["/", "/consoles", "/metrics", "/readyz/console"] {
            assert!(!is_of_console(path), "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_its_time_and_what_it_was_given_since() {
        let patience = Patience::new(REQUEST_MAX);
        let begun = Instant::now();
        patience.over().await;
        assert_eq!(begun.elapsed(), REQUEST_MAX);

        let patience = Patience::new(REQUEST_MAX);
        let begun = Instant::now();
        let given = async {
            tokio::time::advance(REQUEST_MAX / 2).await;
            patience.end_after(CONSOLE_REQUEST_MAX);
        };
        tokio::join!(patience.over(), given);
        assert_eq!(begun.elapsed(), REQUEST_MAX / 2 + CONSOLE_REQUEST_MAX);
    }
}
