//! The port over HTTP, as somebody meets it who means harm or makes mistakes: the bounds are those
//! of gRPC.

use std::io::Write as _;
use std::time::Duration;

use belay_tests::certificates::argument;
use belay_tests::credentials::{WEB, callers};
use belay_tests::front::{EDGE, Front};
use belay_tests::http::{HttpCaller, HttpConnection, JSON, STREAM_JSON};
use belay_tests::instance::{Health, Service};
use belay_tests::process::built;
use belay_tests::server::anywhere;
use belay_tests::{HANG, SHOP, TestServer, run_over_http, until};
use belay_wire::freshness::{MAX_STALENESS, READ_AFTER, READ_FROM, STALENESS, WRITE_POSITION};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::version::TLS13;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::{caller, new_order};

const MIB: usize = 1024 * 1024;
const CREATE: &str = "/belay.v1.OrderService/CreateOrder";
const GET_STORE: &str = "/belay.v1.StoreService/GetStore";
/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An order of so many bytes.
fn padded(order_id: &str, bytes: usize) -> Vec<u8> {
    let mut text = new_order(order_id).to_string().into_bytes();
    text.resize(bytes, b' ');
    text
}

fn get_store() -> String {
    json!({"storeId": SHOP}).to_string()
}

#[test]
fn a_body_has_at_most_as_many_bytes_as_a_message_of_grpc_compressed_or_not() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let json = ("content-type", JSON);
        let compressed = [json, ("content-encoding", "gzip")];
        web.send("POST", CREATE, &[json], &padded("A-1", MIB))
            .await
            .good();
        web.send("POST", CREATE, &compressed, &gzip(&padded("A-2", MIB)))
            .await
            .good();
        let chunk = padded("A-3", MIB + 1);
        let chunked = [
            format!("{:x}\r\n", chunk.len()).as_bytes(),
            &chunk,
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        let in_chunks = [json, ("transfer-encoding", "chunked")];
        // Announced, and nothing of it sent.
        let announced = (MIB + 1).to_string();
        let announced = [json, ("content-length", announced.as_str())];
        let stream = [&[0][..], &0x0010_0001_u32.to_be_bytes(), b"{}"].concat();
        for (headers, body) in [
            (&announced[..], Vec::new()),
            (&in_chunks[..], chunked),
            (&compressed[..], gzip(&vec![b' '; MIB + 1])),
            (&compressed[..], gzip(&vec![0; 64 * MIB])),
        ] {
            let refused = web.send("POST", CREATE, headers, &body).await;
            let error = refused.error();
            assert_eq!(error.what(), ("resource_exhausted", "MESSAGE_TOO_LARGE"));
            assert_eq!((refused.status(), refused.header("retry-after")), (429, ""));
        }
        let watch = "/belay.v1.EventService/WatchEvents";
        let refused = web
            .open_with(watch, &[("content-type", STREAM_JSON)], &stream)
            .await;
        assert_eq!(refused.end().await["error"]["code"], "resource_exhausted");
        let broken = web.send("POST", CREATE, &compressed, b"{}").await;
        assert_eq!(broken.error().what(), ("invalid_argument", "INVALID_FIELD"));
        // Who may not call has none of it read.
        let nobody = caller(t, "king")
            .send("POST", CREATE, &announced, b"")
            .await;
        assert_eq!(nobody.error().reason, "ROLE_NOT_ALLOWED");
    });
}

#[test]
fn metadata_has_the_limit_of_grpc() {
    run_over_http(async |t| {
        let long = "x".repeat(16 * 1024);
        let refused = caller(t, "operator").header("long", &long);
        let refused = refused
            .send("POST", GET_STORE, &[("content-type", JSON)], b"{}")
            .await;
        assert_eq!(
            refused.error().what(),
            ("resource_exhausted", "METADATA_TOO_LARGE")
        );
        let longer = "x".repeat(64 * 1024);
        let refused = caller(t, "operator").header("long", &longer);
        let refused = refused
            .send("POST", GET_STORE, &[("content-type", JSON)], b"{}")
            .await;
        assert_eq!(refused.status(), 431);
    });
}

async fn small(
    t: &TestServer,
    change: impl FnOnce(&mut belay_server::port::PortSettings),
) -> Service {
    Service::start(t.database.serve_url().await, |settings| {
        settings.http = Some(anywhere());
        settings.port.preface_max = FOR_EVER;
        change(&mut settings.port);
    })
    .await
}

#[test]
fn a_body_that_does_not_come_in_time_or_finds_no_room_is_refused() {
    run_over_http(async |t| {
        let hasty = small(t, |port| port.bounds.body_max = Duration::ZERO).await;
        let web = HttpCaller::to(hasty.http_address().unwrap()).role("storefront");
        let announced = [("content-type", JSON), ("content-length", "100")];
        let late = web.send("POST", CREATE, &announced, b"{").await;
        assert_eq!(
            (late.status(), late.error().reason.as_str()),
            (504, "DEADLINE_EXCEEDED")
        );
        hasty.stop().await;

        // A connection holds a quarter, of which a call takes 8 KiB beside its bytes.
        let narrow = small(t, |port| port.bounds.request_bytes = 4 * 24 * 1024).await;
        let web = HttpCaller::to(narrow.http_address().unwrap()).role("storefront");
        let json = [("content-type", JSON)];
        web.send("POST", CREATE, &json, &padded("A-1", 8 * 1024))
            .await
            .good();
        let full = web
            .send("POST", CREATE, &json, &padded("A-2", 20 * 1024))
            .await;
        assert_eq!(full.error().what(), ("resource_exhausted", "OVERLOADED"));
        assert_eq!((full.status(), full.header("retry-after")), (429, "1"));
        narrow.stop().await;
    });
}

#[test]
fn both_doors_share_their_places_and_health_answers_when_they_are_taken() {
    run_over_http(async |t| {
        let service = small(t, |port| port.connections = 3).await;
        let (grpc, http) = (service.address(), service.http_address().unwrap());
        let mut silent = Vec::new();
        for address in [grpc, http, grpc] {
            silent.push(TcpStream::connect(address).await.expect("it is taken"));
        }
        let nobody = HttpCaller::to(http).role("operator");
        let json = [("content-type", JSON)];
        for _ in 0..2 * belay_server::port::RESERVE {
            assert!(Health::of(grpc).is_serving("").await);
            let check = "/grpc.health.v1.Health/Check";
            let health = nobody.send("POST", check, &json, b"{}").await;
            assert_eq!(health.good()["status"], "SERVING");
            let refused = nobody
                .send("POST", GET_STORE, &json, get_store().as_bytes())
                .await;
            assert_eq!(refused.error().what(), ("resource_exhausted", "OVERLOADED"));
            assert_eq!(refused.header("retry-after"), "1");
        }
        silent.pop();
        until("there is a place", async || {
            let reply = nobody
                .send("POST", GET_STORE, &json, get_store().as_bytes())
                .await;
            (reply.status() == 200).then_some(())
        })
        .await;
        service.stop().await;
    });
}

#[test]
fn who_does_not_say_in_time_what_it_speaks_is_shut_out() {
    run_over_http(async |t| {
        let service = small(t, |port| port.preface_max = Duration::from_millis(1)).await;
        let nobody = HttpCaller::to(service.http_address().unwrap());
        for begun in [&b""[..], b"POST", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut connection = nobody.connect().await;
            connection.write(begun).await;
            let ended = timeout(HANG, connection.ended()).await;
            ended.expect("it is shut out");
        }
        service.stop().await;
    });
}

#[test]
fn tls_is_the_one_of_grpc_and_speaks_both_versions_of_http() {
    run_over_http(async |t| {
        let front = Front::new();
        let settings = front.with_clients(false);
        let service = Service::start(t.database.serve_url().await, |all| {
            (all.tls, all.http) = (Some(settings), Some(anywhere()));
        })
        .await;
        let address = service.http_address().unwrap();
        let operator = HttpCaller::to(address).role("operator");
        let request = operator.request(
            "POST",
            GET_STORE,
            &[("content-type", JSON)],
            get_store().as_bytes(),
        );
        let edge = front.clients.client(&[EDGE]);
        for alpn in [&["http/1.1"][..], &["h2", "http/1.1"][1..], &[]] {
            for identity in [None, Some(&edge)] {
                let stream = front.connect(address, &TLS13, alpn, identity).await;
                let mut connection = HttpConnection::over(stream.expect("it is connected"));
                connection.write(&request).await;
                assert_eq!(connection.reply().await.good()["store"]["storeId"], SHOP);
            }
        }
        let both = front
            .connect(address, &TLS13, &["h2", "http/1.1"], None)
            .await;
        let both = both.expect("it is connected");
        assert_eq!(
            both.get_ref().1.alpn_protocol(),
            Some(&b"h2"[..]),
            "the newer one, where both are spoken"
        );
        // The other door goes on with HTTP/2 alone.
        let refused = front
            .shake_hands(service.address(), &TLS13, &["http/1.1"], None)
            .await;
        assert!(refused.is_err());
        let mut plain = operator.connect().await;
        plain.write(&request).await;
        assert!(plain.head().await.is_none(), "in clear nothing is answered");
        // Whoever is of another authority does not get in.
        let stranger = Front::new().clients.client(&[EDGE]);
        let stranger = front
            .shake_hands(address, &TLS13, &["h2"], Some(&stranger))
            .await;
        assert!(stranger.is_err());
        service.stop().await;
    });
}

#[test]
fn a_start_that_would_take_secrets_in_clear_is_refused() {
    run_over_http(async |_| {
        let front = Front::new();
        let keys = front.files.write("keys.yaml", &callers("[shop]", &[WEB]));
        let secrets = ["--key-file", argument(&keys)];
        let beyond = ["--http-address", "0.0.0.0:0"];
        let origin = ["--http-allow-origin", "https://shop.example.com"];
        for (arguments, expected) in [
            (
                [secrets, beyond].concat(),
                "on 0.0.0.0:0 secrets would come in clear",
            ),
            (
                [&["--trust-role-header"][..], &beyond].concat(),
                "everybody who reaches the port",
            ),
            (
                [secrets, origin].concat(),
                "is of no use without --http-address",
            ),
            (
                [&secrets[..], &["--http-allow-origin", "*"]].concat(),
                "must be an origin such as",
            ),
            // What may be said goes on to the database, which is not there.
            (
                [&secrets[..], &beyond, &["--behind-proxy"]].concat(),
                "cannot connect to the database",
            ),
            (
                [secrets, ["--http-address", "127.0.0.1:0"], origin].concat(),
                "cannot connect to the database",
            ),
        ] {
            let mut command = Command::new(built("belay"));
            command
                .arg("serve")
                .args(&arguments)
                .args(["--grpc-address", "127.0.0.1:0"]);
            command
                .env_clear()
                .env("BELAY_DATABASE_URL", "mysql://u@127.0.0.1:1/d");
            let output = command.output().await.expect("it can be run");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && told.contains(expected),
                "{arguments:?}: {told}"
            );
        }
    });
}

/// Nothing of it is a defect of the server, which a test like this would have in its log otherwise.
#[test]
fn a_body_that_breaks_off_or_is_none_is_its_callers_mistake() {
    run_over_http(async |t| {
        let head = "POST /belay.v1.OrderService/CreateOrder HTTP/1.1\r\nhost: belay\r\nbelay-role: storefront\r\n\
            content-type: application/json\r\n";
        for body in [
            "content-length: 20\r\n\r\n{",
            "transfer-encoding: chunked\r\n\r\n2\r\n{}",
            "transfer-encoding: chunked\r\n\r\nmany\r\n{}",
        ] {
            let mut stream = TcpStream::connect(t.http_address()).await.expect("a port");
            let sent = [head, body].concat();
            stream
                .write_all(sent.as_bytes())
                .await
                .expect("it is taken");
            stream.shutdown().await.expect("the other half stays");
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            timeout(HANG, read).await.expect("an end").expect("text");
            assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
            assert!(answer.contains("\"reason\":\"INVALID_FIELD\""), "{answer}");
        }
    });
}

/// A server that pages of two origins may call.
async fn for_pages(t: &TestServer) -> Service {
    Service::start(t.database.serve_url().await, |settings| {
        let mut http = anywhere();
        http.origins = vec![
            "https://shop.example.com".parse().unwrap(),
            "http://localhost:5173".parse().unwrap(),
        ];
        settings.http = Some(http);
    })
    .await
}

#[test]
fn browsers_are_told_which_pages_may_call() {
    run_over_http(async |t| {
        let service = for_pages(t).await;
        let nobody = HttpCaller::to(service.http_address().unwrap());
        let preflight = async |origin: &str| {
            let asked = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "connect-protocol-version,content-type,authorization",
                ),
            ];
            nobody.send("OPTIONS", GET_STORE, &asked, b"").await
        };
        for origin in ["https://shop.example.com", "http://localhost:5173"] {
            let told = preflight(origin).await;
            assert_eq!(told.header("access-control-allow-origin"), origin);
            assert_eq!(told.header("access-control-allow-methods"), "POST");
            assert_eq!(told.header("access-control-max-age"), "7200");
            assert_eq!(told.header("access-control-allow-credentials"), "");
            let allowed = told.header("access-control-allow-headers").to_lowercase();
            for name in [
                "content-type",
                "connect-protocol-version",
                "connect-timeout-ms",
                "authorization",
                "belay-role",
                "traceparent",
                MAX_STALENESS,
                READ_AFTER,
            ] {
                assert!(
                    allowed.split(',').any(|of| of.trim() == name),
                    "{name} in {allowed}"
                );
            }
            assert!(!allowed.contains("belay-proxy-secret"));
        }
        for odd in [
            "https://evil.example",
            "https://shop.example.com.evil.example",
            "http://shop.example.com",
            "null",
        ] {
            assert_eq!(
                preflight(odd).await.header("access-control-allow-origin"),
                "",
                "{odd}"
            );
            let headers = [
                ("content-type", JSON),
                ("origin", odd),
                ("belay-role", "operator"),
            ];
            let refused = nobody
                .send("POST", GET_STORE, &headers, get_store().as_bytes())
                .await;
            assert_eq!(refused.status(), 403, "{odd}");
            assert!(refused.text().contains("--http-allow-origin"));
        }
        service.stop().await;
    });
}

#[test]
fn a_page_of_an_allowed_origin_calls_and_where_none_is_named_none_may() {
    run_over_http(async |t| {
        let service = for_pages(t).await;
        let nobody = HttpCaller::to(service.http_address().unwrap());
        let headers = [
            ("content-type", JSON),
            ("origin", "https://shop.example.com"),
            ("belay-role", "operator"),
        ];
        let told = nobody
            .send("POST", GET_STORE, &headers, get_store().as_bytes())
            .await;
        told.good();
        assert_eq!(
            told.header("access-control-allow-origin"),
            "https://shop.example.com"
        );
        let exposed = told.header("access-control-expose-headers");
        for name in ["retry-after", WRITE_POSITION, READ_FROM, STALENESS] {
            assert!(
                exposed.split(',').any(|of| of.trim() == name),
                "{name} in {exposed}"
            );
        }
        assert!(told.header("vary").contains("origin"));
        service.stop().await;
        let headers = [
            ("content-type", JSON),
            ("origin", "https://shop.example.com"),
        ];
        let refused = caller(t, "operator")
            .send("POST", GET_STORE, &headers, get_store().as_bytes())
            .await;
        assert_eq!(refused.status(), 403);
    });
}
