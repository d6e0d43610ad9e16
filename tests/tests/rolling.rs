//! Servers are replaced one after the other while calls come through the proxies of `deploy/`, each
//! as it is set up there: no call fails, though no caller tries any of them twice.

use belay_proto::v1 as pb;
use belay_tests::instance::literal;
use belay_tests::load::{Load, audit};
use belay_tests::process::BelayProcess;
use belay_tests::proxies::{self, Backend, ENVOY, HAPROXY, NGINX, Program, Proxy};
use belay_tests::{SHOP, TestServer, run, until};
use tonic::{Code, Status};

const SERVERS: usize = 3;
/// Calls that are through before the next server is told to stop, and after the last.
const BETWEEN: usize = 300;

async fn no_call_fails(t: &TestServer, program: &Program, configuration: fn(&[Backend]) -> String) {
    let url = t.database.serve_url().await;
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(BelayProcess::start(&url, &["serve", "--trust-role-header"], &[]).await);
    }
    let backends: Vec<Backend> = servers.iter().map(BelayProcess::backend).collect();
    let proxy = Proxy::configured(program, &configuration(&backends)).await;
    until("the proxy has found its servers", async || {
        let get = pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: "none".to_owned(),
        };
        let raw = proxy.raw();
        let told: Result<pb::GetOrderResponse, Status> =
            raw.send("support", "OrderService/GetOrder", get).await;
        (told.err()?.code() == Code::NotFound).then_some(())
    })
    .await;

    let load = Load::default();
    let belay = literal(proxy.address());
    let replacing = async {
        load.progress(BETWEEN).await;
        for _ in 1..SERVERS {
            let server = servers.remove(0);
            server.running.tell_to_stop();
            let (status, said) = server.running.end().await;
            assert!(status.success(), "{said}");
            load.progress(BETWEEN).await;
        }
        load.stop();
    };
    let (journeys, ()) = tokio::join!(load.run(&belay), replacing);
    assert_eq!(load.failed(), 0, "{}: {:?}", load.counts(), load.failures());
    audit(&journeys, &belay, &t.database).await;
}

#[test]
fn no_call_fails_behind_haproxy() {
    run(async |t| no_call_fails(t, &HAPROXY, proxies::haproxy).await);
}

#[test]
fn no_call_fails_behind_nginx() {
    run(async |t| no_call_fails(t, &NGINX, proxies::nginx).await);
}

#[test]
fn no_call_fails_behind_envoy() {
    run(async |t| no_call_fails(t, &ENVOY, proxies::envoy).await);
}
