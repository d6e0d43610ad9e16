//! Servers are replaced one after the other while calls come through a proxy, set up as below: no
//! call fails, though no caller tries any of them twice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use belay_proto::v1 as pb;
use belay_tests::process::BelayProcess;
use belay_tests::raw::Raw;
use belay_tests::{SHOP, TestServer, run, until};
use tonic::Status;

use crate::proxies::{HAPROXY, Proxy};

const SERVERS: usize = 3;
/// Callers that call one after the other.
const CALLERS: usize = 4;
/// Calls that are through before the next server is told to stop, and after the last.
const BETWEEN: usize = 100;

/// haproxy asks the admin port whether a server is ready, and sends what it could not hand over to another one.
const HAPROXY_CONFIGURATION: &str = "
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
frontend callers
    bind 127.0.0.1:LISTEN_PORT proto h2
    default_backend belay
backend belay
    balance roundrobin
    option httpchk GET /readyz
    SERVERS
";

fn haproxy(servers: &[BelayProcess]) -> String {
    let lines = servers.iter().zip(1..).map(|(server, number)| {
        let admin = server.admin.port();
        format!(
            "server belay-{number} {} proto h2 check check-proto h1 port {admin} inter 500ms fall 1 rise 1",
            server.address
        )
    });
    HAPROXY_CONFIGURATION.replace("SERVERS", &lines.collect::<Vec<_>>().join("\n    "))
}

async fn no_call_fails(t: &TestServer) {
    t.place("A-1").await;
    let url = t.database.serve_url().await;
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(BelayProcess::start(&url, &["serve", "--trust-role-header"], &[]).await);
    }
    let proxy = Proxy::configured(&HAPROXY, &haproxy(&servers)).await;
    let call = async |raw: &Raw| {
        let get = pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
        };
        let told: Result<pb::GetOrderResponse, Status> =
            raw.send("support", "OrderService/GetOrder", get).await;
        told
    };
    until("the proxy has found its servers", async || {
        call(&proxy.raw()).await.ok()
    })
    .await;

    let (through, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let calling = async || {
        let (raw, mut failed) = (proxy.raw(), Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            match call(&raw).await {
                Ok(_) => through.fetch_add(1, Ordering::Relaxed),
                Err(status) => {
                    failed.push(status);
                    0
                }
            };
        }
        failed
    };
    let more = async || {
        let so_far = through.load(Ordering::Relaxed);
        until("calls go on", async || {
            (through.load(Ordering::Relaxed) >= so_far + BETWEEN).then_some(())
        })
        .await;
    };
    let replacing = async {
        more().await;
        for _ in 1..SERVERS {
            let server = servers.remove(0);
            server.running.tell_to_stop();
            let (status, said) = server.running.end().await;
            assert!(status.success(), "{said}");
            more().await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let callers = futures_util::future::join_all((0..CALLERS).map(|_| calling()));
    let (failed, ()) = tokio::join!(callers, replacing);
    let failed: Vec<Status> = failed.into_iter().flatten().collect();
    assert!(
        failed.is_empty(),
        "of {} calls: {failed:?}",
        through.into_inner()
    );
}

#[test]
fn no_call_fails_behind_haproxy() {
    run(async |t| no_call_fails(t).await);
}
