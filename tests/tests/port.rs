//! The port, as somebody meets it who has no token and no manners: what it holds for a stranger is
//! bounded, and everybody else is served meanwhile.

use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use belay_proto::v1 as pb;
use belay_server::rpc::CALL_BYTES;
use belay_tests::http2::{AS_OPERATOR, Http2, head, status};
use belay_tests::instance::{Health, Service};
use belay_tests::process::BelayProcess;
use belay_tests::raw::{Raw, Refused};
use belay_tests::{HANG, SHOP, TestServer, run, until};
use h2::client::ResponseFuture;
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;

/// What opens HTTP/2, and an empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const SERVE: &[&str] = &["serve", "--trust-role-header", "--stop-notice", "0s"];
/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// A server of so many connections whose clients have for ever to say that they speak HTTP/2.
async fn small(t: &TestServer, connections: usize, address_connections: usize) -> Service {
    Service::start(t.database.serve_url().await, |settings| {
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
        let raw = Raw::to(address);
        let method = "StoreService/GetStore";
        let store = raw.send::<_, pb::GetStoreResponse>("operator", method, get_store());
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
        let service = Service::start(t.database.serve_url().await, |settings| {
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
        let belay =
            BelayProcess::start_with_descriptors(100, &t.database.serve_url().await, SERVE).await;
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
        let mut belay = BelayProcess::start(&t.database.serve_url().await, SERVE, &[]).await;
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

async fn refused(answer: ResponseFuture) -> Refused {
    Refused::of(&status(answer).await)
}

/// What the port holds, of requests or of answers.
fn held(service: &Service, of: &str) -> usize {
    let text = service.inside().metrics();
    let sample = format!("belay_port_held_bytes{{belay_held=\"{of}\",belay_port=\"callers\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&sample));
    value.expect("it is counted").parse().expect("a number")
}

async fn until_nothing_is_held(service: &Service) {
    until("nothing is held", async || {
        (held(service, "requests") + held(service, "answers") == 0).then_some(())
    })
    .await;
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const GET_STORE: &str = "/belay.v1.StoreService/GetStore";
/// As much as a message may have.
const MESSAGE_BYTES: usize = 1024 * 1024;

#[test]
fn a_stranger_who_sends_a_lot_is_refused_at_once_and_held_to_little() {
    run(async |t| {
        let belay = BelayProcess::start(&t.database.url(), SERVE, &[]).await;
        let connection = Http2::to(belay.address).await;
        let idle = belay.running.resident_bytes();
        let mut answers = Vec::new();
        for _ in 0..300 {
            let (answer, mut body) = connection.begin(CHECK, &[]).await;
            let begun = [head(MESSAGE_BYTES), vec![0; 60_000]].concat();
            // It may be refused already.
            let _ = body.send_data(Bytes::from(begun), false);
            answers.push((answer, body));
        }
        for (answer, _open) in answers {
            let refused = refused(answer).await;
            match refused.what() {
                (Code::ResourceExhausted, "MESSAGE_TOO_LARGE") => {
                    assert_eq!(refused.metadata["limit_bytes"], "4096");
                }
                // So many at once.
                what => assert_eq!(what, (Code::ResourceExhausted, "OVERLOADED")),
            }
        }
        let grown = belay.running.resident_bytes().saturating_sub(idle);
        assert!(grown < 128 * 1024 * 1024, "{grown} bytes more");
        belay.running.kill();
    });
}

#[test]
fn calls_that_stay_at_their_headers_are_bounded_on_a_connection() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.bounds.body_max = FOR_EVER;
            // Of which a connection has a quarter; its calls have some metadata besides.
            settings.port.bounds.request_bytes = 4 * 4 * CALL_BYTES;
        })
        .await;
        let connection = Http2::to(service.address()).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let before = held(&service, "requests");
            open.push(connection.begin(GET_STORE, &[]).await);
            until("it is counted", async || {
                (held(&service, "requests") >= before + CALL_BYTES).then_some(())
            })
            .await;
        }
        let refused = refused(connection.begin(GET_STORE, &[]).await.0).await;
        assert_eq!(refused.what(), (Code::ResourceExhausted, "OVERLOADED"));
        let other = Http2::to(service.address()).await;
        let answer = other.call(GET_STORE, &get_store()).await;
        assert_eq!(status(answer).await.code(), Code::Ok, "others have theirs");
        drop((open, connection));
        until_nothing_is_held(&service).await;
        service.stop().await;
    });
}

#[test]
fn requests_on_their_way_are_bounded_on_a_connection_and_in_all() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.bounds.body_max = FOR_EVER;
            settings.port.bounds.request_bytes = 4 * 128 * 1024;
        })
        .await;
        let connection = Http2::to(service.address()).await;
        let mut open = Vec::new();
        let refused = loop {
            let before = held(&service, "requests");
            // All the time that a call can have.
            let patient = [("grpc-timeout", "60S")];
            let (answer, mut body) = connection.begin(GET_STORE, &patient).await;
            let begun = [head(MESSAGE_BYTES), vec![0; 20_000]].concat();
            body.send_data(Bytes::from(begun), false)
                .expect("it is open");
            let mut answer = Box::pin(answer);
            let ended = until("it is counted or refused", async || {
                let ended = futures_util::poll!(&mut answer);
                if let Poll::Ready(ended) = ended {
                    return Some(Some(ended.expect("an answer")));
                }
                (held(&service, "requests") >= before + 20_000).then_some(None)
            });
            match ended.await {
                Some(ended) => break Status::from_header_map(ended.headers()).expect("a status"),
                None => open.push((answer, body)),
            }
            assert!(open.len() <= 7, "128 KiB are 6 of them");
        };
        let refused = Refused::of(&refused);
        assert_eq!(refused.what(), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(refused.has_retry_info);
        assert!(held(&service, "requests") <= 128 * 1024);
        let other = Http2::to(service.address()).await;
        let answer = other.call(GET_STORE, &get_store()).await;
        assert_eq!(
            status(answer).await.code(),
            Code::Ok,
            "nobody else is held up"
        );
        drop((open, connection));
        until_nothing_is_held(&service).await;
        service.stop().await;
    });
}

#[test]
fn a_message_that_does_not_come_is_not_waited_for() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.bounds.body_max = Duration::from_millis(1);
        })
        .await;
        let connection = Http2::to(service.address()).await;
        let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        for path in [CHECK, GET_STORE, reflection] {
            let (answer, mut body) = connection.begin(path, &[]).await;
            body.send_data(Bytes::from(head(100)), false)
                .expect("it is open");
            let ended = status(answer).await;
            // The library's own service ends its stream without a word.
            if path != reflection {
                let late = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
                assert_eq!(Refused::of(&ended).what(), late, "{path}");
            }
        }
        until_nothing_is_held(&service).await;
        service.stop().await;
    });
}

#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.stall_max = Duration::from_millis(1);
        })
        .await;
        let connection = Http2::with_window(service.address(), 0).await;
        let answer = connection.call(GET_STORE, &get_store()).await;
        let answer = timeout(HANG, answer)
            .await
            .expect("an answer")
            .expect("its head");
        let mut body = answer.into_body();
        let given_up = timeout(HANG, body.data()).await.expect("an end");
        let given_up = given_up
            .expect("no end in order")
            .expect_err("nothing of it");
        assert_eq!(given_up.reason(), Some(h2::Reason::CANCEL));
        until_nothing_is_held(&service).await;
        let text = service.inside().metrics();
        let reset = "belay_port_streams_reset_total{belay_port=\"callers\"} 1";
        assert!(text.contains(reset), "{text}");
        service.stop().await;
    });
}

#[test]
fn answers_that_nobody_takes_stop_the_calls_of_their_connection_alone() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.port.stall_max = FOR_EVER;
            settings.port.bounds.answer_bytes = 4 * 4 * 1024;
        })
        .await;
        let connection = Http2::with_window(service.address(), 0).await;
        let mut open = Vec::new();
        let refused = loop {
            let before = held(&service, "answers");
            let answer = connection.call(GET_STORE, &get_store()).await;
            let answer = timeout(HANG, answer)
                .await
                .expect("an answer")
                .expect("its head");
            if let Some(status) = Status::from_header_map(answer.headers()) {
                break Refused::of(&status);
            }
            // Its bytes wait to be taken, or found no room.
            let mut body = answer.into_body();
            let ended = until("it is counted or refused", async || {
                if let Poll::Ready(trailers) = futures_util::poll!(std::pin::pin!(body.trailers()))
                {
                    return Some(Some(trailers.expect("an end").expect("trailers")));
                }
                (held(&service, "answers") > before).then_some(None)
            });
            match ended.await {
                Some(trailers) => {
                    break Refused::of(&Status::from_header_map(&trailers).expect("a status"));
                }
                None => open.push(body),
            }
            assert!(open.len() < 1_000, "4 KiB are fewer");
        };
        assert_eq!(refused.what(), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(refused.has_retry_info);
        assert!(held(&service, "answers") <= 4 * 1024);
        let other = Http2::to(service.address()).await;
        let answer = other.call(GET_STORE, &get_store()).await;
        assert_eq!(
            status(answer).await.code(),
            Code::Ok,
            "nobody else is held up"
        );
        drop((open, connection));
        until_nothing_is_held(&service).await;
        service.stop().await;
    });
}

/// An operator with something to say.
fn noted(note: &str) -> Vec<(&str, &str)> {
    [AS_OPERATOR, &[("belay-note", note)]].concat()
}

#[test]
fn metadata_that_is_too_large_is_refused_with_its_reason() {
    run(async |t| {
        let connection = Http2::to(t.address()).await;
        for (bytes, expected) in [(15_000, None), (20_000, Some("METADATA_TOO_LARGE"))] {
            let long = "x".repeat(bytes);
            let (answer, mut body) = connection.begin(GET_STORE, &noted(&long)).await;
            let message = get_store().encode_to_vec();
            let message = Bytes::from([head(message.len()), message].concat());
            // It may be refused already.
            let _ = body.send_data(message, true);
            let status = status(answer).await;
            match expected {
                None => assert_eq!(status.code(), Code::Ok),
                Some(reason) => {
                    let refused = Refused::of(&status);
                    assert_eq!(refused.what(), (Code::ResourceExhausted, reason));
                    assert_eq!(refused.metadata["limit_bytes"], "16384");
                }
            }
        }
        let long = "x".repeat(40_000);
        let (answer, _body) = connection.begin(GET_STORE, &noted(&long)).await;
        let answer = timeout(HANG, answer)
            .await
            .expect("an answer")
            .expect("an answer");
        assert_eq!(answer.status(), 431);
    });
}

#[test]
fn streams_that_everybody_may_open_are_bounded_on_a_connection() {
    run(async |t| {
        let connection = Http2::to(t.address()).await;
        let watch = "/grpc.health.v1.Health/Watch";
        let asked = HealthCheckRequest::default();
        let mut open = Vec::new();
        for _ in 0..belay_server::rpc::CONNECTION_STANDARD_CALLS_MAX {
            let answer = timeout(HANG, connection.call(watch, &asked).await).await;
            let mut body = answer.expect("an answer").expect("its head").into_body();
            assert!(timeout(HANG, body.data()).await.expect("a word").is_some());
            open.push(body);
        }
        for path in [watch, CHECK] {
            let refused = refused(connection.call(path, &asked).await).await;
            assert_eq!(refused.what(), (Code::ResourceExhausted, "OVERLOADED"));
        }
        let answer = connection.call(GET_STORE, &get_store()).await;
        assert_eq!(
            status(answer).await.code(),
            Code::Ok,
            "orders are no such streams"
        );
        assert!(
            Health::of(t.address()).is_serving("").await,
            "on another connection"
        );
        open.pop();
        until("one of them has ended", async || {
            let status = status(connection.call(CHECK, &asked).await).await;
            (status.code() == Code::Ok).then_some(())
        })
        .await;
    });
}

#[test]
fn an_old_connection_takes_no_more_calls_and_loses_none() {
    run(async |t| {
        let start = async |age, age_grace| {
            Service::start(t.database.serve_url().await, |settings| {
                settings.port.age_max = Some(age);
                settings.port.age_grace = age_grace;
            })
            .await
        };
        let seconds = Duration::from_secs(3);
        let service = start(seconds, HANG).await;
        let connection = Http2::to(service.address()).await;
        let asked = HealthCheckRequest::default();
        let watch = connection
            .call("/grpc.health.v1.Health/Watch", &asked)
            .await;
        let answer = timeout(HANG, watch).await.expect("an answer");
        let mut body = answer.expect("its head").into_body();
        assert!(timeout(HANG, body.data()).await.expect("a word").is_some());
        until("it takes no more calls", async || {
            connection.calls.clone().ready().await.err()
        })
        .await;
        // What is open goes on: it ends with the server's word and not before.
        let last = async move {
            let word = timeout(HANG, body.data()).await.expect("a word or an end");
            assert!(word.is_none_or(|word| word.is_ok()));
            drop((body, connection));
        };
        tokio::join!(service.stop(), last);

        // Beyond the grace nothing is open any more.
        let service = start(seconds, Duration::ZERO).await;
        let connection = Http2::to(service.address()).await;
        let watch = connection
            .call("/grpc.health.v1.Health/Watch", &asked)
            .await;
        let ended = async {
            let Ok(answer) = watch.await else { return };
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.data().await {}
        };
        timeout(HANG, ended).await.expect("it is cut");
        service.stop().await;

        // A client makes another connection and does not notice.
        let service = start(Duration::from_millis(20), HANG).await;
        let shop = service.storefront();
        for _ in 0..100 {
            shop.get_store().await.expect("no call is lost");
        }
        service.stop().await;
    });
}

#[test]
fn who_is_told_nothing_of_the_methods_gets_no_reflection() {
    run(async |t| {
        let service =
            Service::start(t.database.url(), |settings| settings.reflection = false).await;
        let connection = Http2::to(service.address()).await;
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            let refused = refused(connection.call(&path, &()).await).await;
            assert_eq!(refused.what(), (Code::Unimplemented, "METHOD_UNKNOWN"));
        }
        service.stop().await;
        let serve = BelayProcess::start(&t.database.url(), SERVE, &[]).await;
        let connection = Http2::to(serve.address).await;
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let refused = refused(connection.call(path, &()).await).await;
        assert_eq!(refused.what(), (Code::Unimplemented, "METHOD_UNKNOWN"));
        serve.running.kill();
    });
}

#[test]
fn administration_can_have_a_port_of_its_own() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| {
            settings.administration_address = Some(([127, 0, 0, 1], 0).into());
        })
        .await;
        let put = || pb::PutWarehouseRequest {
            store_id: SHOP.to_owned(),
            warehouse: Some(pb::Warehouse {
                warehouse_id: "west".to_owned(),
                display_name: "West".to_owned(),
                ..Default::default()
            }),
        };
        let method = "StoreService/PutWarehouse";
        let callers = Raw::to(service.address());
        for role in ["operator", "storefront"] {
            let refused = callers.refused(role, method, put()).await;
            assert_eq!(
                refused.what(),
                (Code::Unimplemented, "METHOD_UNKNOWN"),
                "{role}"
            );
        }
        let read = callers.send::<_, pb::GetStoreResponse>(
            "operator",
            "StoreService/GetStore",
            get_store(),
        );
        read.await.expect("reads are everywhere");
        let address = service.administration_address().expect("it has one");
        let administration = Raw::to(address);
        let refused = administration.refused("storefront", method, put()).await;
        assert_eq!(refused.what(), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
        let done = administration.send::<_, pb::PutWarehouseResponse>("operator", method, put());
        done.await.expect("it is put");
        let read = administration.send::<_, pb::GetStoreResponse>(
            "operator",
            "StoreService/GetStore",
            get_store(),
        );
        read.await.expect("here too");
        assert!(Health::of(address).is_serving("").await);
        service.stop().await;
    });
}
