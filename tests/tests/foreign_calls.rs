//! Calls that are none of ours, or none at all: answered in gRPC's own way, with a reason, and
//! without anything done.

use std::time::Duration;

use belay_client::Role;
use belay_proto::v1 as pb;
use belay_tests::raw::Refused;
use belay_tests::{SHOP, TestServer, descriptors, run};
use prost::Message;
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Method, Request, Response, StatusCode};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const CREATE_ORDER: &str = "/belay.v1.OrderService/CreateOrder";

/// The longest that a call may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

fn order(order_id: &str) -> pb::CreateOrderRequest {
    let eur = |minor_units| {
        Some(pb::Money {
            currency_code: "EUR".to_owned(),
            minor_units,
        })
    };
    pb::CreateOrderRequest {
        store_id: SHOP.to_owned(),
        order_id: order_id.to_owned(),
        buyer: Some(pb::Buyer {
            id: "ann".to_owned(),
            ..Default::default()
        }),
        seller_id: "acme".to_owned(),
        destination: Some(pb::Destination {
            country_code: "DE".to_owned(),
            ..Default::default()
        }),
        lines: vec![pb::NewLine {
            sku: "MUG".to_owned(),
            quantity: 3,
            goods: eur(1_000),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A message as it is sent.
fn framed(message: &impl Message, flag: u8) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], length.as_slice(), &message].concat()
}

fn channel(t: &TestServer) -> Channel {
    Endpoint::from_shared(format!("http://{}", t.address()))
        .unwrap()
        .connect_lazy()
}

/// Sends just this, and reads the answer to its end.
async fn send(
    t: &TestServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", t.address()));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let body = if body.is_empty() {
        Body::empty()
    } else {
        Body::new(Whole(Some(body.into())))
    };
    let mut channel = channel(t);
    std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .expect("a connection");
    let response = channel
        .call(request.body(body).unwrap())
        .await
        .expect("an answer");
    Answer::of(response).await
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

struct Answer {
    http: StatusCode,
    headers: HeaderMap,
    status: Option<Status>,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut status = Status::from_header_map(&head.headers);
        while let Some(frame) = std::future::poll_fn(|cx| {
            http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)
        })
        .await
        {
            if let Some(trailers) = frame.expect("the answer does not break off").trailers_ref() {
                status = status.or_else(|| Status::from_header_map(trailers));
            }
        }
        Self {
            http: head.status,
            headers: head.headers,
            status,
        }
    }

    #[track_caller]
    fn refused(&self) -> Refused {
        let status = self.status.as_ref().expect("a status");
        let refused = Refused::of(status);
        assert_ne!(refused.reason, "", "every error has a reason: {status:?}");
        refused
    }

    #[track_caller]
    fn is(&self, code: Code, reason: &str) -> Refused {
        let refused = self.refused();
        assert_eq!(refused.what(), (code, reason), "{refused:?}");
        refused
    }
}

#[test]
fn what_is_not_grpc_is_told_so_before_anything_is_done() {
    run(async |t| {
        let before = t.database.snapshot().await;
        let body = framed(&order("A-1"), 0);
        for odd in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text+proto",
            "application/grpc+json",
            "application/json",
            "application/x-protobuf",
            "",
        ] {
            let answer = send(
                t,
                Method::POST,
                CREATE_ORDER,
                &[("content-type", odd)],
                body.clone(),
            )
            .await;
            assert_eq!(answer.http, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{odd:?}");
        }
        let answer = send(t, Method::POST, CREATE_ORDER, &[], body.clone()).await;
        assert_eq!(answer.http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let answer = send(t, Method::GET, CREATE_ORDER, &[GRPC], Vec::new()).await;
        assert_eq!(answer.http, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(t.database.snapshot().await, before, "something was written");

        let said = send(
            t,
            Method::POST,
            CREATE_ORDER,
            &[("content-type", "application/grpc+proto")],
            body,
        )
        .await;
        assert_eq!(
            (said.http, said.status.unwrap().code()),
            (StatusCode::OK, Code::Ok)
        );
    });
}

#[test]
fn an_unknown_method_is_unimplemented_whoever_calls() {
    run(async |t| {
        for path in [
            "/belay.v1.OrderService/DropAll",
            "/belay.v1.orderservice/GetOrder",
            "/belay.v2.OrderService/GetOrder",
            "/belay.v1.NoService/Call",
            "/belay.testing.v1.ClockService/GetTime",
            "/grpc.health.v1.Health/Nothing",
            "/grpc.channelz.v1.Channelz/GetServers",
            "/",
            "/favicon.ico",
        ] {
            for role in [
                &[GRPC][..],
                &[GRPC, ("belay-role", "AUDITOR")],
                &[GRPC, ("belay-role", "KING")],
            ] {
                send(t, Method::POST, path, role, framed(&(), 0))
                    .await
                    .is(Code::Unimplemented, "METHOD_UNKNOWN");
            }
        }
    });
}

#[test]
fn a_missing_or_broken_message_says_so() {
    run(async |t| {
        for rpc in descriptors::rpcs() {
            let path = format!("/belay.v1.{}", rpc.path());
            let refused = send(t, Method::POST, &path, &[GRPC], Vec::new())
                .await
                .is(Code::InvalidArgument, "INVALID_FIELD");
            assert!(
                refused.message.contains("no message"),
                "{path}: {}",
                refused.message
            );
        }
        let whole = framed(&order("A-1"), 0);
        for (broken, said) in [
            (whole[..3].to_vec(), "middle"),
            (whole[..whole.len() - 1].to_vec(), "middle"),
            (framed(&order("A-1"), 2), "cannot be decoded"),
            (framed(&order("A-1"), 1), "cannot be decoded"),
            (b"\0\0\0\0\x02\xff\xff".to_vec(), "cannot be decoded"),
        ] {
            let refused = send(t, Method::POST, CREATE_ORDER, &[GRPC], broken)
                .await
                .is(Code::InvalidArgument, "INVALID_FIELD");
            assert!(refused.message.contains(said), "{}", refused.message);
        }
        // A message without fields is a message.
        let empty = send(
            t,
            Method::POST,
            "/belay.v1.StoreService/ListStores",
            &[GRPC],
            framed(&(), 0),
        )
        .await;
        assert_eq!(empty.status.unwrap().code(), Code::Ok);
    });
}

#[test]
fn the_errors_of_the_standard_services_have_a_reason_too() {
    run(async |t| {
        let asked = tonic_health::pb::HealthCheckRequest {
            service: "nobody".to_owned(),
        };
        let answer = send(
            t,
            Method::POST,
            "/grpc.health.v1.Health/Check",
            &[GRPC],
            framed(&asked, 0),
        )
        .await;
        answer.is(Code::NotFound, "NAME_UNKNOWN");
        // ServerReflectionRequest.file_containing_symbol, field 4: the answer comes in the trailers
        // of a stream.
        let symbol = b"\x22\x06nobody";
        let body = [&b"\0\0\0\0\x08"[..], symbol].concat();
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        send(t, Method::POST, path, &[GRPC], body)
            .await
            .is(Code::NotFound, "NAME_UNKNOWN");
    });
}

#[test]
fn gzip_is_taken_within_the_bound_and_given_to_those_who_send_it() {
    run(async |t| {
        // Reads alone, so as not to need another client.
        let client = || pb::order_service_client::OrderServiceClient::new(channel(t));
        let gzip = CompressionEncoding::Gzip;
        let created = client()
            .send_compressed(gzip)
            .accept_compressed(gzip)
            .create_order(order("A-1"))
            .await
            .unwrap();
        assert_eq!(
            created
                .metadata()
                .get("grpc-encoding")
                .map(|value| value.as_bytes()),
            Some(&b"gzip"[..])
        );
        assert_eq!(
            t.store_as(SHOP, Role::Support, "sam")
                .get_order("A-1")
                .await
                .unwrap()
                .order_id,
            "A-1"
        );

        let get = || pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
        };
        let whole = client().get_order(get()).await.unwrap().into_inner();
        for (sends, accepts, is_compressed) in [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (true, true, true),
        ] {
            let mut asking = client();
            asking = if sends {
                asking.send_compressed(gzip)
            } else {
                asking
            };
            asking = if accepts {
                asking.accept_compressed(gzip)
            } else {
                asking
            };
            let answer = asking.get_order(get()).await.unwrap();
            let told = answer.metadata().get("grpc-encoding").is_some();
            assert_eq!(told, is_compressed, "sends {sends}, accepts {accepts}");
            assert_eq!(answer.into_inner(), whole);
        }

        // What packs and unpacks this much may be slow: it has all the time that a call can have.
        let patient = |order_id: String| {
            let mut request = tonic::Request::new(pb::GetOrderRequest { order_id, ..get() });
            request.set_timeout(TIMEOUT_MAX);
            request
        };
        let bomb = patient("0".repeat(8 * 1024 * 1024));
        let status = client()
            .send_compressed(gzip)
            .get_order(bomb)
            .await
            .unwrap_err();
        let refused = Refused::of(&status);
        assert_eq!(
            refused.what(),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
        );
        assert_eq!(refused.metadata["limit_bytes"], (1024 * 1024).to_string());
        let within = patient("0".repeat(1024 * 1024 - 100));
        let status = client()
            .send_compressed(gzip)
            .get_order(within)
            .await
            .unwrap_err();
        assert_eq!(
            Refused::of(&status).what(),
            (Code::InvalidArgument, "INVALID_FIELD")
        );

        for unknown in ["deflate", "zstd", "snappy", "br"] {
            let headers = [GRPC, ("grpc-encoding", unknown)];
            let answer = send(
                t,
                Method::POST,
                CREATE_ORDER,
                &headers,
                framed(&order("A-2"), 1),
            )
            .await;
            answer.is(Code::Unimplemented, "ENCODING_UNSUPPORTED");
            assert_eq!(answer.headers["grpc-accept-encoding"], "identity,gzip");
        }
        // What says that it is compressed and is not.
        let headers = [GRPC, ("grpc-encoding", "gzip")];
        let answer = send(
            t,
            Method::POST,
            CREATE_ORDER,
            &headers,
            framed(&order("A-2"), 1),
        )
        .await;
        answer.is(Code::InvalidArgument, "INVALID_FIELD");
    });
}
