//! Attacks on the port: bodies that do not end, connections that say nothing, lists without an end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use belay_proto::v1 as pb;
use belay_tests::SHOP;
use belay_tests::http2::{Http2, head};
use belay_tests::raw::{Encoded, Raw, Refused};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use h2::SendStream;
use h2::client::ResponseFuture;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;

use crate::victim::{Victim, middle_and_longest};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const GET_STORE: &str = "/belay.v1.StoreService/GetStore";
/// As much as a message may have.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// Streams of one connection.
const STREAMS: usize = 300;
/// For as long an attack goes on.
const HELD: Duration = Duration::from_secs(20);
/// What does not come within this does not come.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn checks(victim: &Victim) -> String {
    unfinished(victim, CHECK, 1).await
}

pub(crate) async fn requests(victim: &Victim) -> String {
    unfinished(victim, GET_STORE, 32).await
}

/// Calls that stay at their headers.
pub(crate) async fn headers(victim: &Victim) -> String {
    unsent(victim, GET_STORE, 32, &Bytes::new()).await
}

/// Each stream announces the largest message and sends all of it but the last bytes.
async fn unfinished(victim: &Victim, path: &str, connections: usize) -> String {
    let message = Bytes::from([head(MESSAGE_BYTES), vec![0; MESSAGE_BYTES - 10]].concat());
    unsent(victim, path, connections, &message).await
}

async fn unsent(victim: &Victim, path: &str, connections: usize, sent: &Bytes) -> String {
    let mut open: Vec<(ResponseFuture, SendStream<Bytes>)> = Vec::new();
    let mut held = Vec::new();
    for _ in 0..connections {
        let connection = Http2::to(victim.belay.address).await;
        for _ in 0..STREAMS {
            let metadata = [("belay-role", "auditor"), ("belay-actor", "eve")];
            let begun = timeout(PATIENCE, connection.try_begin(path, &metadata)).await;
            let Ok(Ok((answer, mut body))) = begun else {
                break;
            };
            // It may be refused already.
            let _ = body.send_data(sent.clone(), false);
            open.push((answer, body));
        }
        held.push(connection);
    }
    let begun = open.len();
    sleep(HELD).await;
    let health = health(victim.belay.address, 5).await;
    let mut came: BTreeMap<String, usize> = BTreeMap::new();
    for (answer, _body) in open {
        *came.entry(outcome(answer)).or_default() += 1;
    }
    let came = came.iter().map(|(what, count)| format!("{count} {what}"));
    let came: Vec<String> = came.collect();
    format!("of {begun} calls {}; {health}", came.join(", "))
}

/// What a call was answered by now.
fn outcome(answer: ResponseFuture) -> String {
    match answer.now_or_never() {
        None => "open".to_owned(),
        Some(Err(_)) => "reset".to_owned(),
        Some(Ok(answer)) => match Status::from_header_map(answer.headers()) {
            Some(status) => Refused::of(&status).reason,
            None => "answered".to_owned(),
        },
    }
}

/// Asks for health so many times.
pub(crate) async fn health(address: SocketAddr, times: usize) -> String {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let asked = async {
            let connection = Http2::to(address).await;
            let answer = connection.call(CHECK, &HealthCheckRequest::default()).await;
            answer
                .await
                .is_ok_and(|answer| answer.status().is_success())
        };
        if timeout(PATIENCE, asked).await == Ok(true) {
            took.push(begun.elapsed());
        }
    }
    let answered = took.len();
    let (_, longest) = middle_and_longest(took);
    format!("health {answered} of {times}, at most {longest:.0} ms")
}

async fn connect(address: SocketAddr, connections: usize, says: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..connections {
        if let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await {
            // It may be shut out already.
            let _ = stream.write_all(says).await;
            open.push(stream);
        }
    }
    open
}

pub(crate) async fn descriptors(victim: &Victim) -> String {
    let silent = connect(victim.belay.address, 120, b"").await;
    let before = victim.cpu_seconds();
    sleep(Duration::from_secs(3)).await;
    let cpu = victim.cpu_seconds() - before;
    let health = health(victim.belay.address, 20).await;
    let lines = victim.belay.messages(|message| {
        message.contains("no connection can be accepted")
            || message.contains("there may be fewer connections")
    });
    drop(silent);
    format!("{health}; {cpu:.2} s of CPU in 3 s, lines of the log: {lines}")
}

pub(crate) async fn silent(victim: &Victim) -> String {
    let mut open = connect(victim.belay.address, 1_000, b"").await;
    open.extend(connect(victim.belay.address, 200, &b"PRI * HTTP/2.0\r\n"[..10]).await);
    let health = health(victim.belay.address, 5).await;
    sleep(Duration::from_secs(10)).await;
    let mut left = 0;
    for stream in &mut open {
        let ended = timeout(
            Duration::from_millis(1),
            stream.read_to_end(&mut Vec::new()),
        )
        .await;
        left += usize::from(ended.is_err());
    }
    format!("{health}; {left} of {} open after 10 s", open.len())
}

pub(crate) async fn paths(victim: &Victim) -> String {
    let request = pb::PreviewCancellationRequest {
        store_id: SHOP.to_owned(),
        order_id: "LARGE-0".to_owned(),
        reason: "NO_LONGER_WANTED".to_owned(),
        paths: vec![1; 1_000_000],
        ..Default::default()
    };
    let method = "CancellationService/PreviewCancellation";
    repeated(victim, method, request.encode_to_vec()).await
}

pub(crate) async fn lines(victim: &Victim) -> String {
    let line = pb::CreateOrderRequest {
        lines: vec![pb::NewLine::default()],
        ..Default::default()
    };
    let request = line.encode_to_vec().repeat(500_000);
    repeated(victim, "OrderService/CreateOrder", request).await
}

/// Sends the request on eight connections at once, five times each.
async fn repeated(victim: &Victim, method: &str, request: Vec<u8>) -> String {
    let before = victim.cpu_seconds();
    let ask = async || {
        let raw = Raw::to(victim.belay.address);
        let mut came = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            let sent = raw.send::<_, ()>("storefront", method, Encoded(request.clone()));
            let reason = sent.await.map_err(|status| Refused::of(&status).reason);
            came.push((begun.elapsed(), reason.err().unwrap_or_default()));
        }
        came
    };
    let (came, health) = tokio::join!(
        join_all((0..8).map(|_| ask())),
        health(victim.belay.address, 20)
    );
    let came = came.concat();
    let cpu = (victim.cpu_seconds() - before) * 1_000.0 / 40.0;
    let (middle, longest) = middle_and_longest(came.iter().map(|(took, _)| *took).collect());
    let mut reasons: Vec<&str> = came.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let reasons = reasons.join(", ");
    format!(
        "{reasons}; {cpu:.0} ms of CPU each, p50 {middle:.0} ms, at most {longest:.0} ms; {health}"
    )
}
