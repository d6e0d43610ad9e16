//! One connection: from its first byte to its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use belay_wire::status::{CallError, METADATA_BYTES_MAX};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::places::Slot;
use super::streams::Streams;
use crate::auth::peer::Peer;
use crate::connect::{HttpCalls, InReserve};
use crate::drain::Drain;
use crate::rpc::edge;
use crate::rpc::{ConnectionBounds, PortBounds};
use crate::telemetry::port::{ConnectionRefusal, PortMetrics};
use crate::tls::config::HttpVersions;
use crate::tls::front::Front;

/// Streams that one connection may have open at once; hyper's own default is 200.
const STREAMS_MAX: u32 = 1024;
/// Bytes of one body that wait to be read, and of all bodies of a connection: what is not read
/// holds up its caller, not memory.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Of one answer, that wait to be sent.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;
/// Metadata of one request as HTTP/2 takes it: more than the edge does, which can say why it
/// refuses.
const HEADERS_BYTES_MAX: u16 = 32 * 1024;
#[expect(
    clippy::as_conversions,
    reason = "`From` cannot be called in a constant"
)]
const _: () = assert!(HEADERS_BYTES_MAX as usize > METADATA_BYTES_MAX);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// In HTTP/1.1, between the end of an answer and the head of the next request: longer than
/// balancers keep a connection that nobody uses, so that they close it and do not find it closed.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// Resets that a client may have pending before its connection is cut.
const PENDING_RESETS_MAX: usize = 256;
/// What a client must send first: `PRI * HTTP/2.0…`, and at least the head of its SETTINGS. A
/// request in HTTP/1.1 that is shorter counts for as much.
const PREFACE_BYTES: usize = 24 + 9;
/// A connection in the reserve, from its first byte to its end.
const RESERVE_MAX: Duration = Duration::from_secs(10);
/// All that a connection in the reserve may ask for.
const HEALTH_PATHS: &str = "/grpc.health.v1.Health/";

/// The state that all connections of a port are served with.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) calls: HttpCalls,
    pub(super) versions: HttpVersions,
    /// None is in clear.
    pub(super) tls: Option<Arc<Front>>,
    pub(super) drain: Drain,
    pub(super) metrics: PortMetrics,
    pub(super) bounds: PortBounds,
    pub(super) tasks: TaskTracker,
    pub(super) preface_max: Duration,
    pub(super) stall_max: Duration,
    pub(super) age_max: Option<Duration>,
    pub(super) age_grace: Duration,
}

impl Served {
    /// From what was accepted to the end. It runs in a task of its own: whatever a connection
    /// begins with, it holds up no other.
    pub(super) async fn connection(self, stream: TcpStream, address: SocketAddr, slot: Slot) {
        // Nagle's algorithm would hold back small replies. A connection that is gone already says
        // so below.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            let peer = Peer::without_certificate(address);
            return self.http(stream, peer, slot).await;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(stream, self.versions) => accepted,
            // Who is not connected yet need not begin.
            () = self.drain.closing() => None,
            () = slot.ended() => None,
        };
        if let Some((stream, names)) = accepted {
            self.http(stream, Peer { address, names }, slot).await;
        }
    }

    fn hear<S>(&self, stream: S, bytes: Arc<AtomicUsize>) -> Heard<S> {
        Heard {
            stream,
            bytes,
            stall_max: (self.versions == HttpVersions::OneAndTwo).then_some(self.stall_max),
            stalled: None,
            metrics: self.metrics.clone(),
        }
    }

    /// Serves what is connected, plain or not, until one side ends it.
    async fn http<S>(self, stream: S, peer: Peer, slot: Slot)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let heard = Arc::<AtomicUsize>::default();
        let stream = self.hear(stream, heard.clone());
        let (closing, cutting) = (self.drain.closing(), self.drain.cutting());
        let preface_max = self.preface_max;
        let (age_max, age_grace) = (age(self.age_max, peer.address), self.age_grace);
        let streams = Streams::new(self.tasks, self.metrics.clone(), self.stall_max);
        let bounds = self.bounds.connection();
        let calls = ConnectionCalls {
            calls: self.calls,
            peer,
            bounds: bounds.clone(),
            streams: streams.clone(),
            is_reserve: slot.is_reserve(),
            versions: self.versions,
            heard: heard.clone(),
        };
        let http = http(streams, self.versions);
        let connection = http.serve_connection(TokioIo::new(stream), calls);
        let mut connection = std::pin::pin!(connection);
        let mut cutting = std::pin::pin!(cutting);
        let mut closing = std::pin::pin!(closing);
        let mut preface = std::pin::pin!(tokio::time::sleep(preface_max));
        let mut reserve = std::pin::pin!(reserve_is_over(&slot));
        let mut old = std::pin::pin!(after(age_max));
        let mut too_old = std::pin::pin!(after(age_max.map(|age| age.saturating_add(age_grace))));
        let (mut is_closing, mut has_preface, mut is_over) = (false, false, false);
        let mut is_old = false;
        loop {
            tokio::select! {
                // How it ended is its client's to know.
                _ = &mut connection => return,
                () = bounds.cut() => return,
                () = &mut cutting => return,
                () = &mut preface, if !has_preface => {
                    if heard.load(Ordering::Relaxed) < PREFACE_BYTES {
                        self.metrics.refused(ConnectionRefusal::Preface);
                        return;
                    }
                    has_preface = true;
                }
                () = slot.ended() => return,
                () = &mut too_old => return,
                () = &mut old, if !is_old => {
                    is_old = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut reserve, if !is_over => {
                    is_over = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut closing, if !is_closing => {
                    // Who has not spoken yet need not begin.
                    if heard.load(Ordering::Relaxed) == 0 {
                        return;
                    }
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// How long this connection takes calls: a tenth more or less, by the port of its caller, so that
/// those that were made together do not end together.
fn age(age_max: Option<Duration>, address: SocketAddr) -> Option<Duration> {
    const SPREAD: u32 = 201;
    let permille = 900 + u32::from(address.port()) % SPREAD;
    age_max.map(|age| (age / 1_000).saturating_mul(permille))
}

/// Never, where there is no such time.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

async fn reserve_is_over(slot: &Slot) {
    if slot.is_reserve() {
        tokio::time::sleep(RESERVE_MAX).await;
    } else {
        std::future::pending().await
    }
}

fn http(streams: Streams, versions: HttpVersions) -> auto::Builder<Streams> {
    let mut http = match versions {
        HttpVersions::Two => auto::Builder::new(streams).http2_only(),
        HttpVersions::OneAndTwo => auto::Builder::new(streams),
    };
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(HEADERS_BYTES_MAX.into());
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX.into())
        .keep_alive_interval(Some(KEEPALIVE_INTERVAL))
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .max_local_error_reset_streams(Some(PENDING_RESETS_MAX));
    http
}

/// The calls of one connection, each of which knows its peer.
struct ConnectionCalls {
    calls: HttpCalls,
    peer: Peer,
    bounds: ConnectionBounds,
    streams: Streams,
    is_reserve: bool,
    versions: HttpVersions,
    heard: Arc<AtomicUsize>,
}

type Answer = http::Response<Body>;

impl hyper::service::Service<http::Request<Incoming>> for ConnectionCalls {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let flow = self.streams.begin();
        self.heard.fetch_max(PREFACE_BYTES, Ordering::Relaxed);
        let is_refused = self.is_reserve && !request.uri().path().starts_with(HEALTH_PATHS);
        let mut request = request.map(Body::new);
        if is_refused && self.versions == HttpVersions::Two {
            let refused = edge::refuse(CallError::Overloaded);
            return Box::pin(std::future::ready(Ok(refused)));
        }
        if is_refused {
            request.extensions_mut().insert(InReserve);
        }
        let extensions = request.extensions_mut();
        extensions.insert(self.peer.clone());
        extensions.insert(self.bounds.clone());
        extensions.insert(flow);
        Box::pin(self.calls.clone().oneshot(request))
    }
}

/// A stream that counts the bytes that were read of it, and fails once it takes none for too long:
/// in HTTP/1.1 an answer is no task that could be given up.
struct Heard<S> {
    stream: S,
    bytes: Arc<AtomicUsize>,
    /// None where streams are given up one by one.
    stall_max: Option<Duration>,
    /// Begun when bytes had to wait.
    stalled: Option<Pin<Box<Sleep>>>,
    metrics: PortMetrics,
}

impl<S> Heard<S> {
    /// What came of a write, or that it has waited for too long.
    fn taken<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stall_max) = self.stall_max else {
            return written;
        };
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.metrics.stream_reset();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let heard = buf.filled().len() - before;
        self.bytes.fetch_add(heard, Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.taken(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.taken(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_for_too_long_is_given_up() {
        let stall_max = Duration::from_secs(40);
        let (near, mut far) = tokio::io::duplex(4);
        let mut heard = Heard {
            stream: near,
            bytes: Arc::default(),
            stall_max: Some(stall_max),
            stalled: None,
            metrics: PortMetrics::new(&Metrics::new(), "callers"),
        };
        // Who takes a little now and then is waited for, however long all of it takes.
        let taking = async {
            for _ in 0..4 {
                tokio::time::sleep(stall_max / 2).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(heard.write_all(&[0; 16]), taking);
        written.expect("it was taken");
        let begun = Instant::now();
        let given_up = heard.write_all(&[0; 5]).await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), stall_max);
    }

    #[test]
    fn the_ages_of_connections_are_spread_over_a_fifth() {
        let hour = Duration::from_secs(3_600);
        let of = |port| age(Some(hour), SocketAddr::from(([127, 0, 0, 1], port)));
        let ages: Vec<_> = (50_000..50_402).filter_map(of).collect();
        assert_eq!(ages.iter().min(), Some(&Duration::from_secs(3_240)));
        assert_eq!(ages.iter().max(), Some(&Duration::from_secs(3_960)));
        assert_ne!(of(50_000), of(50_001));
        assert_eq!(age(None, SocketAddr::from(([127, 0, 0, 1], 1))), None);
    }
}
