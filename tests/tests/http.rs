//! Calls over HTTP, without gRPC: the same services, callers, limits and refusals, in Connect's
//! words.

mod bounds;
mod clients;
mod openapi;
mod streams;

use std::collections::BTreeSet;

use belay_proto::v1 as pb;
use belay_server::auth::Authentication;
use belay_server::auth::key_file::KeyFile;
use belay_server::caller_limits::CallerSettings;
use belay_tests::credentials::{ACME, KeyFileOnDisk, WEB, callers};
use belay_tests::http::{HttpCaller, JSON, PROTO, STREAM_JSON};
use belay_tests::instance::Service;
use belay_tests::process::BelayProcess;
use belay_tests::raw::{Encoded, Raw};
use belay_tests::server::anywhere;
use belay_tests::{SHOP, TestServer, descriptors, run_over_http, until};
use belay_wire::auth::paths;
use prost::Message as _;
use serde_json::{Value, json};

pub(crate) fn caller(t: &TestServer, role: &str) -> HttpCaller {
    HttpCaller::to(t.http_address()).role(role)
}

/// An order as somebody writes it who has the manual and no library.
pub(crate) fn new_order(order_id: &str) -> Value {
    json!({
        "storeId": SHOP,
        "orderId": order_id,
        "buyer": {"id": "ann"},
        "sellerId": "acme",
        "destination": {"countryCode": "DE"},
        "lines": [{"sku": "MUG", "quantity": 2, "goods": {"currencyCode": "EUR", "minorUnits": "1000"}}],
    })
}

fn order(order_id: &str) -> Value {
    json!({"storeId": SHOP, "orderId": order_id})
}

#[test]
fn an_order_is_placed_paid_and_cancelled_in_json() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let placed = web
            .post("OrderService/CreateOrder", &new_order("A-1"))
            .await;
        assert_eq!(placed.header("content-type"), JSON);
        assert_eq!(
            placed.header("content-length"),
            placed.body.len().to_string()
        );
        assert_eq!(
            placed.good()["order"]["state"],
            "ORDER_STATE_AWAITING_PAYMENT"
        );
        let paid = json!({
            "store_id": SHOP, "order_id": "A-1", "provider_payment_id": "pay", "provider_event_id": "e-1",
            "fact": "PAYMENT_FACT_CAPTURED", "method": "CREDIT_CARD",
            "amount": {"currency_code": "EUR", "minor_units": 2_000},
        });
        let psp = caller(t, "payments");
        let paid = psp.post("OrderService/RecordPayment", &paid).await.good();
        assert_eq!(paid["order"]["state"], "ORDER_STATE_TO_SHIP");
        let all =
            json!({"storeId": SHOP, "orderId": "A-1", "all": {}, "reason": "NO_LONGER_WANTED"});
        let preview = "CancellationService/PreviewCancellation";
        let offered = web.post(preview, &all).await.good();
        assert_eq!(offered["allowed"], true);
        let asked = web
            .post("CancellationService/RequestCancellation", &all)
            .await;
        assert_eq!(
            asked.good()["cancellation"]["state"],
            "CANCELLATION_STATE_COMPLETED"
        );
        // What is false, zero or empty is written too.
        web.post("OrderService/CreateOrder", &new_order("A-2"))
            .await
            .good();
        let unreasoned = json!({"storeId": SHOP, "orderId": "A-2", "all": {}});
        let denied = web.post(preview, &unreasoned).await.good();
        assert_eq!(denied["allowed"], false);
        assert_eq!(denied["rejections"][0]["reason"], "REASON_REQUIRED");
        assert_eq!(denied["noteRequired"], false);
        let list = json!({"storeId": SHOP, "buyerId": "nobody"});
        let list = web.post("OrderService/ListOrders", &list).await.good();
        assert_eq!(list, json!({"orders": [], "nextPageToken": ""}));
    });
}

#[test]
fn several_calls_take_one_connection_and_protobuf_and_http2_do_as_well() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let mut connection = web.connect().await;
        for number in 0..3 {
            let body = new_order(&format!("A-{number}")).to_string();
            let path = "/belay.v1.OrderService/CreateOrder";
            let headers = [("content-type", "application/json; charset=utf-8")];
            let request = web.request("POST", path, &headers, body.as_bytes());
            connection.write(&request).await;
            connection.reply().await.good();
        }
        let get = pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
        };
        let path = "/belay.v1.OrderService/GetOrder";
        let headers = [("content-type", PROTO), ("connect-protocol-version", "1")];
        let got = web.send("POST", path, &headers, &get.encode_to_vec()).await;
        assert_eq!((got.status(), got.header("content-type")), (200, PROTO));
        let got = pb::GetOrderResponse::decode(got.body.as_slice()).unwrap();
        let raw = t
            .raw()
            .send("storefront", "OrderService/GetOrder", get)
            .await;
        assert_eq!(Ok(got), raw.map_err(|status| status.to_string()));

        let http2 = clients::http2(t.http_address(), path, order("A-1")).await;
        assert_eq!(http2["order"]["orderId"], "A-1");
    });
}

#[test]
fn each_method_is_reached_by_each_role_and_refuses_it_as_over_grpc() {
    run_over_http(async |t| {
        let raw = t.raw();
        let rpcs = descriptors::rpcs();
        let known: BTreeSet<String> = rpcs
            .iter()
            .map(|rpc| format!("/belay.v1.{}", rpc.path()))
            .collect();
        let of_table = paths().filter(|path| path.starts_with("/belay.v1."));
        let of_table: BTreeSet<String> = of_table.map(str::to_owned).collect();
        assert_eq!(known, of_table);
        let mut refused = 0;
        // Of no message, most that is required is missing. A role that may not is told so before.
        let roles = [
            "storefront",
            "seller",
            "support",
            "warehouse",
            "carrier",
            "payments",
            "auditor",
            "operator",
            "king",
            "",
        ];
        for rpc in &rpcs {
            let path = rpc.path();
            for role in roles {
                let http = match role {
                    "" => HttpCaller::to(t.http_address()),
                    role => caller(t, role),
                };
                let error = if rpc.streams {
                    let mut stream = http.open(&path, &json!({})).await;
                    assert_eq!(stream.head.status, 200);
                    assert_eq!(stream.head.headers["content-type"], STREAM_JSON);
                    let (_, first) = stream.next().await.expect("a message");
                    first.get("error").map(belay_tests::http::HttpError::of)
                } else {
                    let reply = http.post(&path, &json!({})).await;
                    (reply.status() != 200).then(|| reply.error())
                };
                let grpc = if rpc.streams {
                    raw.open(role, &path, Encoded::default()).await.err()
                } else {
                    let sent = raw.send::<_, ()>(role, &path, Encoded::default());
                    sent.await.err()
                };
                match (error, grpc) {
                    (None, None) => {}
                    (Some(http), Some(grpc)) => {
                        http.is_as(&belay_tests::raw::Refused::of(&grpc));
                        assert_ne!(http.reason, "METHOD_UNKNOWN", "{path}");
                        refused += 1;
                    }
                    (http, grpc) => panic!("{path} as {role}: {http:?} and {grpc:?}"),
                }
            }
        }
        assert!(
            refused > rpcs.len() * 5,
            "{refused} refusals of {} methods",
            rpcs.len()
        );
    });
}

#[test]
fn an_error_has_the_http_status_of_its_code_and_says_when_to_come_back() {
    run_over_http(async |t| {
        t.place_shipped("S-1").await;
        let web = caller(t, "storefront");
        let all =
            json!({"storeId": SHOP, "orderId": "S-1", "all": {}, "reason": "NO_LONGER_WANTED"});
        let cases = [
            (
                "OrderService/GetOrder",
                order("NONE"),
                404,
                ("not_found", "ORDER_NOT_FOUND"),
            ),
            (
                "OrderService/GetOrder",
                json!({}),
                400,
                ("invalid_argument", "INVALID_FIELD"),
            ),
            (
                "OrderService/CreateOrder",
                new_order("S-1"),
                409,
                ("already_exists", "ORDER_ALREADY_EXISTS"),
            ),
            (
                "StoreService/UpdateStore",
                json!({}),
                403,
                ("permission_denied", "ROLE_NOT_ALLOWED"),
            ),
            (
                "CancellationService/RequestCancellation",
                all,
                400,
                ("failed_precondition", "SHIPPED"),
            ),
        ];
        for (method, message, status, what) in cases {
            let reply = web.post(method, &message).await;
            let error = reply.error();
            assert_eq!((reply.status(), error.what()), (status, what), "{error:?}");
            assert_eq!(reply.header("content-type"), JSON);
            assert_eq!(reply.header("retry-after"), "");
            assert!(
                error.readable["google.rpc.ErrorInfo"]["domain"] == "belay",
                "{error:?}"
            );
        }
        let path = "/belay.v1.OrderService/GetOrder";
        let late = [("content-type", JSON), ("connect-timeout-ms", "0")];
        let late = web
            .send("POST", path, &late, order("S-1").to_string().as_bytes())
            .await;
        assert_eq!(
            (late.status(), late.error().code.as_str()),
            (504, "deadline_exceeded")
        );
    });
}

#[test]
fn what_cannot_be_read_is_refused_with_its_path_and_nothing_is_done() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let rows = t.database.snapshot().await;
        let create = "OrderService/CreateOrder";
        let with = |change: fn(&mut Value)| {
            let mut order = new_order("A-1");
            change(&mut order);
            order.to_string()
        };
        for (text, field) in [
            (with(|order| order["sellerID"] = json!("acme")), "sellerID"),
            (
                with(|order| order["lines"][0]["quantity"] = json!("two")),
                "lines[0].quantity",
            ),
            (
                with(|order| order["lines"][0]["goods"]["cents"] = json!(1)),
                "lines[0].goods.cents",
            ),
            (with(|order| order["buyer"] = json!([])), "buyer"),
            (
                new_order("A-1")
                    .to_string()
                    .replacen('{', "{\"order_id\":\"A-2\",", 1),
                "orderId",
            ),
            (String::new(), ""),
            ("{".to_owned(), ""),
            ("[]".to_owned(), ""),
            ("null".to_owned(), ""),
            (format!("{0} {0}", new_order("A-1")), ""),
            ("\u{0}".to_owned(), ""),
            ("[".repeat(100_000), ""),
            (format!("{{\"lines\":{}", "[".repeat(10_000)), "lines[0]"),
            // More values than there may be.
            (format!("{{\"lines\":{}", "[".repeat(100_000)), ""),
        ] {
            let reply = web.post_text(create, text.as_bytes()).await;
            let error = reply.error();
            let shown: String = text.chars().take(100).collect();
            assert_eq!(reply.status(), 400, "{shown}");
            assert_eq!(
                error.what(),
                ("invalid_argument", "INVALID_FIELD"),
                "{shown}"
            );
            assert_eq!(error.fields(), [field], "{shown}: {error:?}");
        }
        let fact = json!({"storeId": SHOP, "orderId": "A-1", "fact": "PAYMENT_FACT_STOLEN"});
        let wrong = caller(t, "payments")
            .post("OrderService/RecordPayment", &fact)
            .await;
        assert_eq!(wrong.error().fields(), ["fact"]);
        let no_text = web.post_text(create, b"{\"storeId\":\"\xff\"}").await;
        assert_eq!(no_text.status(), 400);
        let headers = [("content-type", PROTO)];
        let path = "/belay.v1.OrderService/CreateOrder";
        let no_protobuf = web.send("POST", path, &headers, b"\xff\xff").await;
        assert_eq!(
            no_protobuf.error().what(),
            ("invalid_argument", "INVALID_FIELD")
        );
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn what_is_no_call_is_told_what_would_be_one() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let get = "/belay.v1.OrderService/GetOrder";
        let json = ("content-type", JSON);
        let body = order("A-1").to_string();
        let send = async |verb: &str, path: &str, headers: &[(&str, &str)]| {
            web.send(verb, path, headers, body.as_bytes()).await
        };
        for path in [
            "/",
            "/belay.v1.OrderService",
            "/belay.v1.OrderService/Get",
            "/openapi",
        ] {
            let unknown = send("POST", path, &[json]).await;
            assert_eq!(unknown.status(), 404, "{path}");
            assert_eq!(unknown.error().what(), ("unimplemented", "METHOD_UNKNOWN"));
        }
        // Its requests are a stream, which HTTP/1.1 has none of.
        let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        assert_eq!(send("POST", reflection, &[json]).await.status(), 404);
        for verb in ["GET", "PUT", "OPTIONS"] {
            let refused = send(verb, get, &[json]).await;
            assert_eq!(
                (refused.status(), refused.header("allow")),
                (405, "POST"),
                "{verb}"
            );
        }
        for odd in [
            "",
            "text/plain",
            "application/grpc",
            "application/connect+json",
            "application/json+x",
            "application/json; charset=utf-16",
            "application/json;charset=\"iso-8859-1\"",
            "application/json; charset",
            "application/json; charset=utf-8; charset=utf-16",
        ] {
            let refused = send("POST", get, &[("content-type", odd)]).await;
            assert_eq!(refused.status(), 415, "{odd}");
            assert_eq!(
                refused.header("accept-post"),
                "application/json, application/proto"
            );
        }
        // Refused for its charset, and for nothing else.
        let utf_16 = [("content-type", "application/json; charset=utf-16")];
        let utf_16 = send("POST", get, &utf_16).await.error();
        let told = &utf_16.readable["google.rpc.BadRequest"]["fieldViolations"][0]["description"];
        assert_eq!(told, "the charset of a message is utf-8, or not named");
        t.place("A-1").await;
        for known in [
            "application/json;charset=UTF-8",
            "application/json; charset=\"utf-8\"; q=1",
            "Application/JSON ; a=b",
        ] {
            send("POST", get, &[("content-type", known)]).await.good();
        }
        let watch = send("POST", "/belay.v1.EventService/WatchEvents", &[json]).await;
        assert_eq!(watch.status(), 415);
        assert!(watch.header("accept-post").contains(STREAM_JSON));
    });
}

#[test]
fn a_header_that_cannot_be_read_is_refused_and_those_of_grpc_mean_nothing() {
    run_over_http(async |t| {
        let web = caller(t, "storefront");
        let json = ("content-type", JSON);
        let body = order("A-1").to_string();
        let send = async |headers: &[(&str, &str)]| {
            let get = "/belay.v1.OrderService/GetOrder";
            web.send("POST", get, headers, body.as_bytes()).await
        };
        for (name, odd) in [
            ("connect-protocol-version", "2"),
            ("connect-timeout-ms", "soon"),
            ("connect-timeout-ms", "12345678901"),
        ] {
            let refused = send(&[json, (name, odd)]).await;
            assert_eq!(
                refused.error().what(),
                ("invalid_argument", "INVALID_FIELD"),
                "{name}"
            );
        }
        let snappy = send(&[json, ("content-encoding", "snappy")]).await;
        assert_eq!(
            snappy.error().what(),
            ("unimplemented", "ENCODING_UNSUPPORTED")
        );
        assert_eq!(snappy.header("accept-encoding"), "identity, gzip");
        t.place("A-1").await;
        let grpc = [
            json,
            ("grpc-timeout", "0n"),
            ("grpc-encoding", "snappy"),
            ("te", "gzip"),
        ];
        send(&grpc).await.good();
    });
}

#[test]
fn callers_are_known_and_limited_as_over_grpc() {
    run_over_http(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let key_file = KeyFile::open(&file.0).unwrap();
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.authentication = Authentication::key_file(key_file.into());
            settings.callers = CallerSettings {
                calls_per_second: 1,
                ..CallerSettings::default()
            };
            settings.http = Some(anywhere());
        })
        .await;
        let address = service.http_address().unwrap();
        let holder = |token: &str| {
            HttpCaller::to(address).header("authorization", &format!("Bearer {token}"))
        };
        holder(WEB)
            .post("OrderService/CreateOrder", &new_order("A-1"))
            .await
            .good();
        // A header counts for nothing beside a credential.
        for nobody in [HttpCaller::to(address).role("operator"), holder("guess")] {
            let unknown = nobody.post("OrderService/GetOrder", &order("A-1")).await;
            assert_eq!(unknown.status(), 401);
            assert_eq!(
                unknown.error().what(),
                ("unauthenticated", "CALLER_UNKNOWN")
            );
        }
        holder(ACME)
            .post("OrderService/GetOrder", &order("A-1"))
            .await
            .good();
        // One at a time, however long it takes: some call of many comes too early.
        let limited = loop {
            let reply = holder(ACME)
                .post("OrderService/GetOrder", &order("A-1"))
                .await;
            if reply.status() != 200 {
                break reply;
            }
        };
        assert_eq!(limited.status(), 429);
        assert_eq!(
            limited.error().what(),
            ("resource_exhausted", "CALLER_LIMIT")
        );
        let seconds: u64 = limited.header("retry-after").parse().expect("seconds");
        assert!(seconds >= 1);
        service.stop().await;
    });
}

#[test]
fn administration_that_has_a_port_of_its_own_is_not_there() {
    run_over_http(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.administration_address = Some(([127, 0, 0, 1], 0).into());
            settings.http = Some(anywhere());
        })
        .await;
        let operator = HttpCaller::to(service.http_address().unwrap()).role("operator");
        let ask = async |method: &str| operator.post(method, &json!({})).await;
        let hidden = ask("StoreService/CreateStore").await;
        let unknown = ask("StoreService/DeleteStore").await;
        assert_eq!(
            (hidden.status(), hidden.text()),
            (unknown.status(), unknown.text())
        );
        ask("StoreService/ListStores").await.good();
        let raw = Raw::to(service.address());
        let refused = raw.refused("operator", "StoreService/CreateStore", Encoded::default());
        assert_eq!(refused.await.reason, hidden.error().reason);
        service.stop().await;
    });
}

#[test]
fn a_call_is_told_of_under_the_name_that_it_has_over_grpc() {
    run_over_http(async |t| {
        let arguments = [
            "serve",
            "--trust-role-header",
            "--stop-notice",
            "0s",
            "--http-address",
            "127.0.0.1:0",
        ];
        let mut belay = BelayProcess::start(&t.database.serve_url().await, &arguments, &[]).await;
        let address = clients::http_address(&mut belay.running).await;
        let web = HttpCaller::to(address)
            .role("storefront")
            .header("belay-actor", "web");
        web.post("OrderService/CreateOrder", &new_order("A-1"))
            .await
            .good();
        let raw = Raw::to(belay.address);
        let _ = raw
            .send::<_, ()>("storefront", "OrderService/CreateOrder", Encoded::default())
            .await;
        let method = "belay.v1.OrderService/CreateOrder";
        // What a program says comes when it comes.
        until("both calls are told of", async || {
            let calls = belay.calls();
            let of_method = calls.iter().filter(|call| call["method"] == method);
            (of_method.count() == 2).then_some(())
        })
        .await;
        let metrics = belay.get("/metrics").await.body;
        let counted = metrics.lines().any(|line| {
            line.starts_with("rpc_server_call_duration")
                && line.contains(method)
                && line.contains("OK")
        });
        assert!(counted, "{metrics}");
        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
    });
}
