//! Streams over HTTP: what the feed tells, and how each stream says that it is over.

use std::time::Duration;

use belay_server::auth::Authentication;
use belay_server::auth::key_file::KeyFile;
use belay_tests::credentials::{KeyFileOnDisk, NEXT, WEB, callers};
use belay_tests::http::{HttpCaller, HttpError, HttpStream, PROTO, STREAM_JSON, enveloped};
use belay_tests::instance::{HeldLanes, Service};
use belay_tests::server::anywhere;
use belay_tests::{HANG, SHOP, run_over_http, until};
use serde_json::json;
use tokio::join;
use tokio::time::timeout;

use super::{caller, new_order};

const WATCH: &str = "EventService/WatchEvents";
/// A stop that waited for its calls to the last would take so long.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Reads until an event of this order is told; its type.
async fn until_told(stream: &mut HttpStream, order_id: &str) -> String {
    loop {
        let message = stream.message().await;
        let events = message["events"].as_array().cloned().unwrap_or_default();
        if let Some(event) = events.iter().find(|event| event["orderId"] == order_id) {
            return event["eventType"].as_str().unwrap_or_default().to_owned();
        }
    }
}

#[test]
fn what_happens_is_told_to_who_watches_over_http() {
    run_over_http(async |t| {
        let support = caller(t, "support");
        let mut stream = support
            .open(WATCH, &json!({"filter": {"storeId": SHOP}}))
            .await;
        assert_eq!(stream.head.status, 200);
        assert_eq!(stream.head.headers["content-type"], STREAM_JSON);
        // Who has been told something once misses nothing from there on.
        stream.message().await;
        t.place("A-1").await;
        assert_eq!(
            until_told(&mut stream, "A-1").await,
            "EVENT_TYPE_ORDER_CREATED"
        );
        // Who begins again with the token is told the rest and nothing twice.
        let token = loop {
            let message = stream.message().await;
            if let Some(token) = message["resumeToken"]
                .as_str()
                .filter(|token| !token.is_empty())
            {
                break token.to_owned();
            }
        };
        drop(stream);
        t.place("A-2").await;
        let again = json!({"filter": {"storeId": SHOP}, "resumeToken": token});
        let mut stream = support.open(WATCH, &again).await;
        assert_eq!(
            until_told(&mut stream, "A-2").await,
            "EVENT_TYPE_ORDER_CREATED"
        );
    });
}

#[test]
fn a_stream_that_is_refused_says_so_in_its_last_message() {
    run_over_http(async |t| {
        let king = caller(t, "king").open(WATCH, &json!({})).await;
        assert_eq!(king.head.status, 200);
        let error = HttpError::of(&king.end().await["error"]);
        assert_eq!(error.what(), ("permission_denied", "ROLE_NOT_ALLOWED"));
        let path = "/belay.v1.EventService/WatchEvents";
        let support = caller(t, "support");
        let message = json!({"store": SHOP}).to_string();
        for (body, more, told) in [
            (
                enveloped(0, message.as_bytes()),
                "",
                "unrecognized field name",
            ),
            (enveloped(0, b""), "", "a message without fields is {}"),
            (enveloped(0, b"{"), "", "EOF"),
            (enveloped(1, b"{}"), "", "does not say with what"),
            (enveloped(1, b"{}"), "gzip", "not compressed with gzip"),
            (enveloped(2, b"{}"), "", "flags"),
            (
                enveloped(0, b"{}")[..6].to_vec(),
                "",
                "as long as its envelope says",
            ),
            (
                [enveloped(0, b"{}"), enveloped(0, b"{}")].concat(),
                "",
                "as long as its envelope says",
            ),
            (b"\0\0".to_vec(), "", "no message"),
            (Vec::new(), "", "no message"),
        ] {
            let headers = [
                ("content-type", STREAM_JSON),
                ("connect-content-encoding", more),
            ];
            let headers = if more.is_empty() {
                &headers[..1]
            } else {
                &headers[..]
            };
            let end = support.open_with(path, headers, &body).await.end().await;
            let error = HttpError::of(&end["error"]);
            assert_eq!(
                error.what(),
                ("invalid_argument", "INVALID_FIELD"),
                "{told}"
            );
            let violations = error.readable["google.rpc.BadRequest"].to_string();
            assert!(violations.contains(told), "{told}: {violations}");
        }
        for (name, odd) in [
            ("connect-content-encoding", "br"),
            ("connect-protocol-version", "7"),
        ] {
            let headers = [("content-type", STREAM_JSON), (name, odd)];
            let stream = support
                .open_with(path, &headers, &enveloped(0, b"{}"))
                .await;
            assert_eq!(stream.head.status, 200);
            assert!(stream.end().await["error"]["code"].is_string());
        }
        let unary = support
            .open_with(path, &[("content-type", PROTO)], b"")
            .await;
        assert_eq!(unary.head.status, 415);
    });
}

#[test]
fn a_stream_that_ends_by_itself_ends_without_an_error() {
    run_over_http(async |t| {
        let draft = json!({"storeId": SHOP, "version": 1, "startTime": "2026-11-01T00:00:00Z", "endTime": "2026-11-02T00:00:00Z"});
        let stream = caller(t, "operator")
            .open("PolicyService/SimulatePolicy", &draft)
            .await;
        assert_eq!(stream.end().await, json!({}));
    });
}

#[test]
fn a_stream_ends_with_the_credential_of_its_caller() {
    run_over_http(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let key_file = KeyFile::open(&file.0).unwrap();
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.authentication = Authentication::key_file(key_file.into());
            settings.http = Some(anywhere());
        })
        .await;
        let address = service.http_address().unwrap();
        let web = HttpCaller::to(address).header("authorization", &format!("Bearer {WEB}"));
        let mut stream = web.open(WATCH, &json!({"filter": {"storeId": SHOP}})).await;
        stream.message().await;
        file.write(&callers("[shop]", &[NEXT]));
        let error = HttpError::of(&stream.end().await["error"]);
        assert_eq!(error.what(), ("unauthenticated", "SESSION_ENDED"));
        service.stop().await;
    });
}

#[test]
fn a_stop_ends_streams_and_idle_connections_and_waits_for_calls() {
    run_over_http(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.lanes = 1;
            settings.drain_max = FOR_EVER;
            settings.database_wait_max = HANG;
            settings.http = Some(anywhere());
        })
        .await;
        let address = service.http_address().unwrap();
        let inside = service.inside();
        let web = HttpCaller::to(address).role("storefront");
        let silent = web.connect().await;
        let mut idle = web.connect().await;
        let get = json!({"storeId": SHOP}).to_string();
        let path = "/belay.v1.StoreService/GetStore";
        let request = web.request(
            "POST",
            path,
            &[("content-type", "application/json")],
            get.as_bytes(),
        );
        idle.write(&request).await;
        idle.reply().await.good();
        let health = "/grpc.health.v1.Health/Watch";
        let headers = [("content-type", STREAM_JSON)];
        let mut health = web.open_with(health, &headers, &enveloped(0, b"{}")).await;
        assert_eq!(health.message().await["status"], "SERVING");
        let watch = HttpCaller::to(address)
            .role("support")
            .open(WATCH, &json!({}))
            .await;

        let held = HeldLanes::hold(&t.database.url()).await;
        let placing = async {
            web.post("OrderService/CreateOrder", &new_order("A-1"))
                .await
        };
        let stopping = async {
            HeldLanes::until_held(&t.database, 1).await;
            timeout(HANG, service.stop()).await.expect("it stops");
        };
        let releasing = async {
            assert_eq!(health.message().await["status"], "NOT_SERVING");
            // The doors are closed once this has ended.
            assert_eq!(health.end().await, json!({}));
            until("the call is open", async || {
                (inside.callers() == 1).then_some(())
            })
            .await;
            held.release().await;
        };
        let (placed, (), (), watched) = join!(placing, stopping, releasing, watch.end());
        placed.good();
        // It may go on elsewhere, with its token.
        let told = watched.get("error").map(HttpError::of);
        assert!(
            told.is_none_or(|error| error.code == "unavailable"),
            "{watched}"
        );
        let mut silent = silent;
        silent.ended().await;
        idle.ended().await;
    });
}

#[test]
fn health_is_asked_over_http_as_well() {
    run_over_http(async |t| {
        let nobody = HttpCaller::to(t.http_address());
        let ask = async |service: &str| {
            let body = json!({"service": service}).to_string();
            let headers = [("content-type", "application/json")];
            nobody
                .send(
                    "POST",
                    "/grpc.health.v1.Health/Check",
                    &headers,
                    body.as_bytes(),
                )
                .await
        };
        for known in ["", "belay.v1.OrderService"] {
            assert_eq!(ask(known).await.good()["status"], "SERVING");
        }
        let unknown = ask("nobody").await;
        assert_eq!(
            (unknown.status(), unknown.error().reason.as_str()),
            (404, "NAME_UNKNOWN")
        );
    });
}
