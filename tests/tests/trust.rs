//! Whom a server believes: nobody by headers or in clear, beyond this machine, unless it is proved
//! and said.

use std::sync::Arc;

use belay_client::Kind;
use belay_proto::v1::GetOrderRequest;
use belay_proto::v1::order_service_client::OrderServiceClient;
use belay_server::auth::Authentication;
use belay_server::auth::key_file::hash_secret;
use belay_server::auth::peer::PeerName;
use belay_server::auth::proxy::Proxy;
use belay_tests::certificates::{Certified, Files, argument};
use belay_tests::front::{EDGE, Front, HOST};
use belay_tests::instance::Service;
use belay_tests::process::{BelayProcess, built};
use belay_tests::shop::new_order;
use belay_tests::{SHOP, refused, run};
use tokio::process::Command;
use tonic::transport::Endpoint;

const SECRET: &str = "9f1c7a40d2e85b36c04be7d19a6f3582";

#[test]
fn a_proxy_proves_itself_by_its_certificate() {
    run(async |t| {
        let front = Front::new();
        let edge = Proxy::Certificate(PeerName::Spiffe(EDGE.to_owned()));
        let service = Service::start(t.database.url(), |settings| {
            settings.tls = Some(front.with_clients(false));
            settings.authentication = Authentication::Proxy(Arc::new(edge));
        })
        .await;
        let order = async |id: &str, identity: Option<&Certified>| {
            new_order(&front.client(&service, identity), id).await
        };
        let by = |names: &[&str]| front.clients.client(names);
        order("A-1", Some(&by(&[EDGE])))
            .await
            .expect("it is the proxy");
        order("A-2", Some(&by(&["edge.example", EDGE])))
            .await
            .expect("it is the proxy");
        for other in [
            &["spiffe://example.org/edges"][..],
            &["edge.example"],
            &[],
            // SPIFFE: with two of them it is nobody.
            &[EDGE, "spiffe://example.org/web"],
        ] {
            let outcome = order("A-3", Some(&by(other))).await.map(drop);
            refused(outcome, Kind::Unauthenticated, "CALLER_UNKNOWN");
        }
        let outcome = order("A-3", None).await.map(drop);
        refused(outcome, Kind::Unauthenticated, "CALLER_UNKNOWN");
        service.stop().await;
    });
}

#[test]
fn a_proxy_proves_itself_by_its_secret() {
    run(async |t| {
        t.place("A-1").await;
        let files = Files::new();
        let line = hash_secret(SECRET).expect("long enough");
        let file = files.write("proxy", &line);
        let arguments = [
            "serve",
            "--trust-role-header",
            "--proxy-secret-file",
            argument(&file),
        ];
        let belay = BelayProcess::start(&t.database.url(), &arguments, &[]).await;
        let endpoint = Endpoint::from_shared(format!("http://{}", belay.address));
        let channel = endpoint.expect("an address makes a URI").connect_lazy();
        let mut orders = OrderServiceClient::new(channel);
        let mut get = async |sent: &[&str]| {
            let (store_id, order_id) = (SHOP.to_owned(), "A-1".to_owned());
            let mut request = tonic::Request::new(GetOrderRequest { store_id, order_id });
            let headers = request.metadata_mut();
            headers.insert("belay-role", "OPERATOR".parse().expect("ASCII"));
            for secret in sent {
                headers.append("belay-proxy-secret", secret.parse().expect("ASCII"));
            }
            orders.get_order(request).await.map(drop)
        };
        get(&[SECRET]).await.expect("it came through the proxy");
        for sent in [&[][..], &["x"], &[SECRET, SECRET], &[line.as_str()]] {
            let status = get(sent).await.expect_err("it came past the proxy");
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{sent:?}");
        }
        assert!(!belay.running.said().contains(SECRET));
    });
}

/// What is told by a start that has passed its flags, of a database that is not there.
const UNREACHABLE: &str = "cannot connect to the database";

/// A start that must fail, and what it tells in one line.
async fn refusal(arguments: &[&str], expected: &str) {
    let mut command = Command::new(built("belay"));
    command.arg("serve").args(arguments).env_clear();
    // Nobody listens there: it is not asked before the flags are.
    command.env("BELAY_DATABASE_URL", "mysql://u@127.0.0.1:1/d");
    let output = command.output().await.expect("it can be run");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_one_line = expected == UNREACHABLE || told.trim_end().lines().count() == 1;
    assert!(
        !output.status.success() && told.contains(expected) && is_one_line,
        "{arguments:?}: {told}"
    );
}

#[test]
fn a_start_that_would_trust_anybody_is_refused_in_one_line() {
    run(async |_| {
        let front = Front::new();
        let line = hash_secret(SECRET).expect("long enough");
        let proxy = front.files.write("proxy", &line);
        let keys = front.files.write("keys.yaml", "callers: []\n");
        let (certificate, key) = (
            front.files.path("server.pem"),
            front.files.path("server.key"),
        );
        let tls = [
            "--tls-cert",
            argument(&certificate),
            "--tls-key",
            argument(&key),
        ];
        let everywhere = ["--grpc-address", "0.0.0.0:0"];
        let headers = [everywhere.as_slice(), &["--trust-role-header"]].concat();
        let secrets = [everywhere.as_slice(), &["--key-file", argument(&keys)]].concat();
        let proven = ["--proxy-secret-file", argument(&proxy)];
        let named = ["--proxy-name", EDGE];
        let behind = ["--behind-proxy"];
        refusal(&headers, "everybody who reaches the port could name a role").await;
        refusal(&[&headers[..], &proven].concat(), "everybody who reaches").await;
        refusal(&[&headers[..], &behind].concat(), "needs a proof").await;
        refusal(&[&headers[..], &tls].concat(), "everybody who reaches").await;
        refusal(
            &[&headers[..], &behind, &named].concat(),
            "needs --tls-client-ca",
        )
        .await;
        refusal(&secrets, "secrets would come in clear").await;
        refusal(
            &[&secrets[..], &behind, &proven].concat(),
            "go with --trust-role-header",
        )
        .await;
        // What may be said goes on to the database, which is not there.
        refusal(&[&headers[..], &behind, &proven].concat(), UNREACHABLE).await;
        let clients = front.files.path("clients.pem");
        let mutual = [tls.as_slice(), &["--tls-client-ca", argument(&clients)]].concat();
        refusal(&[&headers[..], &named, &mutual].concat(), UNREACHABLE).await;

        // Files and flags of TLS.
        let local = ["--trust-role-header", "--grpc-address", "127.0.0.1:0"];
        let with = |more: &[&'static str]| [local.as_slice(), &tls, more].concat();
        refusal(
            &with(&["--tls-client-auth", "required"]),
            "needs --tls-client-ca",
        )
        .await;
        let unused = [&with(&["--tls-client-auth", "none"])[..], &mutual[4..]].concat();
        refusal(&unused, "is of no use").await;
        let swapped = [
            "--tls-cert",
            argument(&key),
            "--tls-key",
            argument(&certificate),
        ];
        refusal(
            &[local.as_slice(), &swapped].concat(),
            "holds no certificate",
        )
        .await;
        let absent = front.files.path("absent");
        let absent = ["--tls-cert", argument(&absent), "--tls-key", argument(&key)];
        refusal(
            &[local.as_slice(), &absent].concat(),
            "absent: it cannot be opened: No such file",
        )
        .await;
        let other = front
            .files
            .certified("other", &front.authority.server(&[HOST]));
        let other = [
            "--tls-cert",
            argument(&other.0),
            "--tls-key",
            argument(&key),
        ];
        refusal(
            &[local.as_slice(), &other].concat(),
            "is of another certificate",
        )
        .await;
        let crl = [&mutual[..], &["--tls-client-crl", argument(&certificate)]].concat();
        refusal(
            &[local.as_slice(), &crl].concat(),
            "holds no revocation list",
        )
        .await;
    });
}
