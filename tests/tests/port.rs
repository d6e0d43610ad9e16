//! The port, as somebody meets it who has no token and no manners: what it holds for a stranger is
//! bounded, and everybody else is served meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use belay_proto::v1 as pb;
use belay_tests::instance::{Health, Service};
use belay_tests::process::BelayProcess;
use belay_tests::raw::Raw;
use belay_tests::{HANG, SHOP, TestServer, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

/// What opens HTTP/2, and an empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const SERVE: &[&str] = &["serve", "--trust-role-header", "--stop-notice", "0s"];
/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// A server of so many connections whose clients have for ever to say that they speak HTTP/2.
async fn small(t: &TestServer, connections: usize, address_connections: usize) -> Service {
    Service::start(t.database.url(), |settings| {
        settings.port.connections = connections;
        settings.port.address_connections = address_connections;
        settings.port.preface_max = FOR_EVER;
    })
    .await
}

/// Connections that say nothing.
async fn silent(address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..connections {
        silent.push(TcpStream::connect(address).await.expect("it is taken"));
    }
    silent
}

fn get_store() -> pb::GetStoreRequest {
    pb::GetStoreRequest {
        store_id: SHOP.to_owned(),
    }
}

/// Calls until a connection of the caller has a place again.
async fn until_served(address: SocketAddr) {
    until("there is a place", async || {
        let store = Raw::to(address).send::<_, pb::GetStoreResponse>(
            "operator",
            "StoreService/GetStore",
            get_store(),
        );
        store.await.ok()
    })
    .await;
}

#[test]
fn health_answers_when_there_are_as_many_connections_as_there_may_be() {
    run(async |t| {
        for (connections, address_connections) in [(3, 100), (100, 3)] {
            let service = small(t, connections, address_connections).await;
            let mut silent = silent(service.address(), 3).await;
            for _ in 0..2 * belay_server::port::RESERVE {
                assert!(Health::of(service.address()).is_serving("").await);
                let raw = Raw::to(service.address());
                let refused = raw.refused("operator", "StoreService/GetStore", get_store());
                let refused = refused.await;
                assert_eq!(refused.what(), (Code::ResourceExhausted, "OVERLOADED"));
                assert!(refused.has_retry_info, "{refused:?}");
            }
            silent.pop();
            until_served(service.address()).await;
            service.stop().await;
        }
    });
}

#[test]
fn who_fills_the_reserve_keeps_nobody_from_asking_for_health() {
    run(async |t| {
        let service = small(t, 1, 1).await;
        let _silent = silent(service.address(), 1 + 4 * belay_server::port::RESERVE).await;
        assert!(Health::of(service.address()).is_serving("").await);
        service.stop().await;
    });
}

#[test]
fn who_does_not_say_in_time_that_it_speaks_http2_is_shut_out() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.preface_max = Duration::from_millis(1);
        })
        .await;
        for begun in [&b""[..], &PREFACE[..5], &PREFACE[..24]] {
            let mut connection = TcpStream::connect(service.address()).await.unwrap();
            // It may be shut out already.
            let _ = connection.write_all(begun).await;
            let ended = timeout(HANG, connection.read_to_end(&mut Vec::new())).await;
            // In order or not.
            let _ = ended.expect("it is shut out");
        }
        service.stop().await;
    });
}

#[test]
fn a_process_with_few_descriptors_takes_fewer_connections_and_answers_for_health() {
    run(async |t| {
        let belay = BelayProcess::start_with_descriptors(100, &t.database.url(), SERVE).await;
        let fewer = |message: &str| message.contains("there may be fewer connections");
        assert_eq!(belay.messages(fewer), 1, "{}", belay.running.said());
        // More than there are descriptors.
        let silent = silent(belay.address, 120).await;
        assert!(Health::of(belay.address).is_serving("").await);
        assert_eq!(belay.get("/readyz").await.status, 200);
        let short = |message: &str| message.contains("no connection can be accepted");
        assert_eq!(belay.messages(short), 0, "{}", belay.running.said());
        drop(silent);
        until_served(belay.address).await;
        belay.running.kill();
    });
}

#[test]
fn a_process_without_descriptors_says_so_once_and_answers_for_health() {
    run(async |t| {
        let mut belay = BelayProcess::start(&t.database.url(), SERVE, &[]).await;
        belay.running.allow_descriptors(2);
        let silent = silent(belay.address, 60).await;
        belay
            .running
            .until_said("it says so", |line| {
                line.contains("no connection can be accepted").then_some(())
            })
            .await;
        for _ in 0..20 {
            assert!(Health::of(belay.address).is_serving("").await);
        }
        let short = |message: &str| message.contains("no connection can be accepted");
        assert_eq!(belay.messages(short), 1, "{}", belay.running.said());
        drop(silent);
        until_served(belay.address).await;
        belay.running.kill();
    });
}
