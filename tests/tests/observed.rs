//! What can be seen of a server from outside: a real collector receives its traces, a scraper its
//! metrics, and whoever reads its log finds the calls.

use std::collections::BTreeSet;

use belay_client::model::CancellationPath;
use belay_client::{RequestId, Units, reason};
use belay_proto::v1 as pb;
use belay_proto::v1::event_service_client::EventServiceClient;
use belay_proto::v1::order_service_client::OrderServiceClient;
use belay_server::db::{clock, figures, pool};
use belay_server::telemetry::instruments::{Instrument, OF_PORT, OF_SERVER};
use belay_tests::database::Database;
use belay_tests::instance::{Health, HeldLanes, Service};
use belay_tests::process::{BelayProcess, Collector, HttpAnswer, calls};
use belay_tests::raw::Refused;
use belay_tests::shop;
use belay_tests::{HANG, SHOP, TestServer, run, run_at, until};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const SERVE: &[&str] = &["serve", "--trust-role-header", "--stop-notice", "0s"];
/// Spans are sent often, so that no test waits for them long.
const OFTEN: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");
/// Of the callers' traces.
const CALLER_SPAN: &str = "00f067aa0ba902b7";
const EMAIL: &str = "ann@example.com";

fn trace(number: u8) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{number:02x}")
}

/// A call in a trace of its caller's.
fn traced<T>(number: u8, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{}-{CALLER_SPAN}-01", trace(number));
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", parent.parse().unwrap());
    metadata.insert("tracestate", "shop=1".parse().unwrap());
    metadata.insert("belay-role", "storefront".parse().unwrap());
    metadata.insert("belay-actor", "web".parse().unwrap());
    request
}

fn orders(belay: &BelayProcess) -> OrderServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", belay.address)).unwrap();
    OrderServiceClient::new(endpoint.connect_lazy())
}

const REQUEST_ID: &str = "0194f5e0-0000-7000-8000-000000000001";

fn new_order(store_id: &str, order_id: &str) -> pb::CreateOrderRequest {
    let eur = |minor_units| {
        Some(pb::Money {
            currency_code: "EUR".to_owned(),
            minor_units,
        })
    };
    pb::CreateOrderRequest {
        store_id: store_id.to_owned(),
        order_id: order_id.to_owned(),
        request_id: REQUEST_ID.to_owned(),
        buyer: Some(pb::Buyer {
            id: "ann".to_owned(),
            email: EMAIL.to_owned(),
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

fn get_order(order_id: &str) -> pb::GetOrderRequest {
    pb::GetOrderRequest {
        store_id: SHOP.to_owned(),
        order_id: order_id.to_owned(),
    }
}

fn is_call(number: u8) -> impl Fn(&Value) -> bool {
    let trace = trace(number);
    move |span| span["trace_id"] == json!(trace) && span["kind"] == "SPAN_KIND_SERVER"
}

fn id_of(span: &Value) -> Value {
    json!({"trace_id": span["trace_id"], "span_id": span["span_id"]})
}

/// The trace id in the details of an error.
fn told_trace(status: &Status) -> String {
    Refused::of(status).metadata["trace_id"].clone()
}

#[test]
fn a_collector_receives_a_span_for_each_call_and_for_the_work_behind_it() {
    run(async |t| {
        let collector = Collector::start().await;
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str());
        let belay =
            BelayProcess::start(&t.database.serve_url().await, SERVE, &[endpoint, OFTEN]).await;
        let mut orders = orders(&belay);
        let created = orders.create_order(traced(1, new_order(SHOP, "A-1")));
        created.await.expect("an order");
        let read = orders.get_order(traced(2, get_order("A-1")));
        read.await.expect("it is there");
        let absent = orders.get_order(traced(3, get_order("NONE"))).await;
        assert_eq!(absent.unwrap_err().code(), Code::NotFound);

        let call = collector.until_span("the write", is_call(1)).await;
        assert_eq!(call["name"], "belay.v1.OrderService/CreateOrder");
        assert_eq!(call["parent_span_id"], CALLER_SPAN);
        assert_eq!(call["trace_state"], "shop=1");
        assert_eq!(call["scope"], "belay");
        assert_eq!(call["resource"]["service.name"], "belay");
        assert_eq!(call["status"], json!({"code": 0, "message": ""}));
        assert_eq!(call["dropped"], 0);
        assert_eq!(
            call["attributes"],
            json!({
                "rpc.system.name": "grpc",
                "rpc.method": "belay.v1.OrderService/CreateOrder",
                "rpc.response.status_code": "OK",
                "belay.store_id": SHOP,
                "belay.order_id": "A-1",
                "belay.request_id": REQUEST_ID,
                "belay.role": "STOREFRONT",
                "belay.actor": "web",
            })
        );

        // The batch has a trace of its own; each is linked to the other.
        let links = call["links"].as_array().unwrap();
        assert_eq!(links.len(), 1, "{call}");
        let batch = collector
            .until_span("its batch", |span| id_of(span) == links[0])
            .await;
        assert_eq!(batch["name"], "engine.batch");
        assert_eq!(batch["links"], json!([id_of(&call)]));
        assert_ne!(batch["trace_id"], call["trace_id"]);
        assert_eq!(batch["parent_span_id"], "");
        assert_eq!(
            batch["attributes"],
            json!({"belay.batch.kind": "lane", "belay.batch.size": 1})
        );
        let queue = collector
            .until_span("its wait", |span| span["name"] == "engine.queue")
            .await;
        assert_eq!(queue["parent_span_id"], call["span_id"]);
        assert_eq!(queue["trace_id"], call["trace_id"]);

        let transaction = collector
            .until_span("its transaction", |span| {
                span["parent_span_id"] == batch["span_id"]
            })
            .await;
        assert_eq!(transaction["name"], "engine.transaction");
        assert_eq!(
            transaction["attributes"],
            json!({"belay.batch.size": 1, "belay.transaction.outcome": "committed"})
        );
        let statements: Vec<Value> = collector
            .spans()
            .into_iter()
            .filter(|span| span["parent_span_id"] == transaction["span_id"])
            .collect();
        let names: BTreeSet<&str> = statements
            .iter()
            .map(|span| span["name"].as_str().unwrap())
            .collect();
        // What a batch writes goes in one message.
        let writes = "INSERT orders; INSERT order_lines; INSERT shipments";
        for name in [
            "BEGIN",
            "SELECT orders",
            writes,
            "SELECT partition_heads",
            "UPDATE partition_heads; INSERT events",
            "COMMIT",
        ] {
            assert!(names.contains(name), "{name} is not in {names:?}");
        }
        let named = |name: &str| {
            let statement = statements.iter().find(|span| span["name"] == name);
            statement.expect("just seen").clone()
        };
        let select = named("SELECT orders");
        assert_eq!(select["kind"], "SPAN_KIND_CLIENT");
        assert_eq!(
            select["attributes"],
            json!({
                "db.system.name": "mysql",
                "db.operation.name": "SELECT",
                "db.collection.name": "orders",
                "db.query.summary": "SELECT orders",
            })
        );
        assert_eq!(
            named(writes)["attributes"],
            json!({
                "db.system.name": "mysql",
                "db.operation.name": "BATCH",
                "db.query.summary": writes,
            })
        );

        let read = collector.until_span("the read", is_call(2)).await;
        assert_eq!(read["attributes"]["belay.order_id"], "A-1");
        let shared = collector
            .until_span("its snapshot", |span| id_of(span) == read["links"][0])
            .await;
        assert_eq!(shared["name"], "reads.batch");
        collector
            .until_span("its statements", |span| {
                span["parent_span_id"] == shared["span_id"] && span["name"] == "SELECT orders"
            })
            .await;

        // A rejection is the caller's business.
        let refused = collector.until_span("the rejection", is_call(3)).await;
        assert_eq!(refused["attributes"]["belay.reason"], "ORDER_NOT_FOUND");
        assert_eq!(
            refused["attributes"]["rpc.response.status_code"],
            "NOT_FOUND"
        );
        assert_eq!(refused["status"]["code"], 0);
        assert_eq!(refused["attributes"].get("error.type"), None);

        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
        let told = format!("{said}{:?}", collector.spans());
        assert!(!told.contains(EMAIL) && !told.contains("MUG"), "{told}");
    });
}

#[test]
fn a_batch_is_linked_with_all_its_calls() {
    run(async |t| {
        let collector = Collector::start().await;
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str());
        let one_lane = [SERVE, &["--lanes", "1"]].concat();
        let belay =
            BelayProcess::start(&t.database.serve_url().await, &one_lane, &[endpoint, OFTEN]).await;
        let place = async |number: u8| {
            let order = new_order(SHOP, &format!("A-{number}"));
            let placed = orders(&belay).create_order(traced(number, order)).await;
            placed.expect("an order");
        };
        // The first is in flight and waits; behind it the others gather.
        let held = HeldLanes::hold(&t.database.url()).await;
        let gathering = async {
            HeldLanes::until_held(&t.database, 1).await;
            let releasing = async {
                until("both wait", async || {
                    let metrics = belay.get("/metrics").await.body;
                    let depth = "belay_queue_depth{belay_queue=\"interactive\"} 2";
                    metrics.contains(depth).then_some(())
                })
                .await;
                held.release().await;
            };
            tokio::join!(place(2), place(3), releasing)
        };
        tokio::join!(place(1), gathering);

        let batch = collector
            .until_span("the batch of both", |span| {
                span["name"] == "engine.batch" && span["attributes"]["belay.batch.size"] == 2
            })
            .await;
        let mut links = Vec::new();
        for number in [2, 3] {
            let call = collector.until_span("a call of it", is_call(number)).await;
            assert_eq!(call["links"], json!([id_of(&batch)]));
            links.push(id_of(&call));
        }
        let linked = batch["links"].as_array().unwrap();
        assert_eq!(linked.len(), 2, "{batch}");
        assert!(links.iter().all(|link| linked.contains(link)), "{batch}");
    });
}

#[test]
fn health_and_reflection_are_silent() {
    run(async |t| {
        let collector = Collector::start().await;
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str());
        let serve = [SERVE, &["--reflection", "on"]].concat();
        let belay =
            BelayProcess::start(&t.database.serve_url().await, &serve, &[endpoint, OFTEN]).await;
        let mut health = Health::of(belay.address);
        assert!(health.is_serving("").await);
        drop(health.reflection().await);
        let mut orders = orders(&belay);
        let read = orders.get_order(traced(1, get_order("NONE")));
        assert_eq!(read.await.unwrap_err().code(), Code::NotFound);

        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
        let told = calls(&said);
        assert_eq!(told.len(), 1, "{told:?}");
        let call = collector.until_span("the call", is_call(1)).await;
        // All were sent before the end.
        let spans = collector.spans().into_iter();
        let served: Vec<Value> = spans
            .filter(|span| span["kind"] == "SPAN_KIND_SERVER")
            .collect();
        assert_eq!(served, [call]);
    });
}

#[test]
fn the_trace_of_an_internal_error_is_the_calls_own() {
    run(async |t| {
        t.place("A-1").await;
        let corrupt = "UPDATE orders SET line_count = line_count + 1 WHERE order_id = 'A-1'";
        t.database.execute(corrupt, ()).await;

        let collector = Collector::start().await;
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str());
        let belay =
            BelayProcess::start(&t.database.serve_url().await, SERVE, &[endpoint, OFTEN]).await;
        let failed = orders(&belay).get_order(traced(1, get_order("A-1"))).await;
        assert_eq!(told_trace(&failed.unwrap_err()), trace(1));
        let span = collector.until_span("the failure", is_call(1)).await;
        assert_eq!(span["status"], json!({"code": 2, "message": "INTERNAL"}));
        assert_eq!(span["attributes"]["error.type"], "INTERNAL");

        // Also where nothing is exported; and where the caller has no trace there is one.
        let belay = BelayProcess::start(&t.database.serve_url().await, SERVE, &[]).await;
        let failed = orders(&belay).get_order(traced(2, get_order("A-1"))).await;
        assert_eq!(told_trace(&failed.unwrap_err()), trace(2));
        let mut alone = traced(3, get_order("A-1"));
        alone.metadata_mut().remove("traceparent");
        let failed = orders(&belay).get_order(alone).await;
        let alone = told_trace(&failed.unwrap_err());
        assert_eq!(alone.len(), 32);
        assert!(u128::from_str_radix(&alone, 16).is_ok_and(|id| id > 0));

        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
        let traces: Vec<Value> = calls(&said)
            .into_iter()
            .map(|call| call["trace.id"].clone())
            .collect();
        assert_eq!(traces, [json!(trace(2)), json!(alone)]);
        let causes = said
            .lines()
            .filter(|line| line.contains("by a defect of Belay"));
        assert_eq!(causes.filter(|line| line.contains(&alone)).count(), 1);

        let fix = "UPDATE orders SET line_count = line_count - 1 WHERE order_id = 'A-1'";
        t.database.execute(fix, ()).await;
    });
}

#[test]
fn the_log_has_a_line_for_each_call() {
    run(async |t| {
        let belay = BelayProcess::start(&t.database.serve_url().await, SERVE, &[]).await;
        let mut orders = orders(&belay);
        let created = orders.create_order(traced(1, new_order(SHOP, "A-1")));
        created.await.expect("an order");
        let read = orders.get_order(traced(2, get_order("A-1")));
        read.await.expect("it is there");
        let mut unknown = traced(3, new_order(SHOP, "A-2"));
        unknown
            .metadata_mut()
            .insert("belay-role", "auditor".parse().unwrap());
        let refused = orders.create_order(unknown).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        belay.running.tell_to_stop();
        let (_, said) = belay.running.end().await;
        let lines: Vec<Value> = calls(&said)
            .into_iter()
            .map(|mut line| {
                assert!(line["ms"].is_u64(), "{line}");
                line.as_object_mut().unwrap().remove("ms");
                line
            })
            .collect();
        let line = |number: u8, method: &str| {
            json!({
                "message": "call",
                "method": format!("belay.v1.OrderService/{method}"),
                "code": "OK",
                "role": "STOREFRONT",
                "actor": "web",
                "store.id": SHOP,
                "order.id": "A-1",
                "trace.id": trace(number),
            })
        };
        let mut write = line(1, "CreateOrder");
        write["request.id"] = json!(REQUEST_ID);
        let refused = json!({
            "message": "call",
            "method": "belay.v1.OrderService/CreateOrder",
            "code": "PERMISSION_DENIED",
            "reason": "ROLE_NOT_ALLOWED",
            "role": "AUDITOR",
            "actor": "web",
            "trace.id": trace(3),
        });
        assert_eq!(lines, [write, line(2, "GetOrder"), refused]);
        assert!(!said.contains(EMAIL), "{said}");
    });
}

#[test]
fn a_stream_has_its_line_at_its_end() {
    run(async |t| {
        let belay = BelayProcess::start(&t.database.serve_url().await, SERVE, &[]).await;
        let endpoint = Endpoint::from_shared(format!("http://{}", belay.address)).unwrap();
        let mut events = EventServiceClient::new(endpoint.connect_lazy());
        let watch = traced(1, pb::WatchEventsRequest::default());
        let mut left = events.watch_events(watch).await.unwrap().into_inner();
        left.message().await.unwrap().expect("a bookmark");
        let metrics = belay.get("/metrics").await;
        assert!(
            metrics.body.contains("belay_feed_streams 1"),
            "{}",
            metrics.body
        );
        assert!(belay.calls().is_empty(), "it goes on");
        drop(left);
        let line = until("it has ended", async || belay.calls().pop()).await;
        assert_eq!(line["method"], "belay.v1.EventService/WatchEvents");
        assert_eq!(
            (&line["code"], &line["trace.id"]),
            (&json!("CANCELLED"), &json!(trace(1)))
        );

        let watch = traced(2, pb::WatchEventsRequest::default());
        let mut told = events.watch_events(watch).await.unwrap().into_inner();
        belay.running.tell_to_stop();
        while told.message().await.expect("it ends in order").is_some() {}
        let (_, said) = belay.running.end().await;
        let line = calls(&said).pop().expect("a line");
        assert_eq!(
            (&line["code"], &line["trace.id"]),
            (&json!("OK"), &json!(trace(2)))
        );
    });
}

/// A collector that takes connections and never answers, and one that is not there.
#[test]
fn a_collector_that_takes_nothing_holds_nobody_up() {
    run(async |t| {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent_address = format!("http://{}", silent.local_addr().unwrap());
        for endpoint in [silent_address.as_str(), "http://127.0.0.1:1"] {
            let environment = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
                OFTEN,
            ];
            let mut belay =
                BelayProcess::start(&t.database.serve_url().await, SERVE, &environment).await;
            let mut orders = orders(&belay);
            let read = orders.get_order(traced(1, get_order("NONE")));
            assert_eq!(read.await.unwrap_err().code(), Code::NotFound, "{endpoint}");
            let complains =
                |line: &str| line.contains("the collector takes no traces").then_some(());
            belay.running.until_said("it complains", complains).await;
            for number in 0..20 {
                let read = orders.get_order(traced(number, get_order("NONE")));
                assert_eq!(read.await.unwrap_err().code(), Code::NotFound, "{endpoint}");
            }
            belay.running.tell_to_stop();
            let (status, said) = belay.running.end().await;
            assert!(status.success(), "{said}");
            assert_eq!(
                said.matches("the collector takes no traces").count(),
                1,
                "{said}"
            );
        }
        drop(silent);
    });
}

#[test]
fn a_collector_that_is_named_wrongly_is_no_reason_not_to_serve() {
    run(async |t| {
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "not a URL")];
        let belay = BelayProcess::start(&t.database.serve_url().await, SERVE, &environment).await;
        let mut orders = orders(&belay);
        let read = orders.get_order(traced(1, get_order("NONE")));
        assert_eq!(read.await.unwrap_err().code(), Code::NotFound);
        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
        assert_eq!(said.matches("no traces are exported").count(), 1, "{said}");
    });
}

/// The labels of a family's samples, but for `le` of histograms.
fn labels_of(text: &str, family: &str) -> BTreeSet<String> {
    let samples = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|name| *name == family)
            .unwrap_or(name);
        (name == family).then(|| rest.rsplit_once('}').map_or("", |(labels, _)| labels))
    });
    let labels = samples.flat_map(|labels| labels.split("\","));
    let names = labels.filter_map(|label| label.split('=').next());
    names
        .filter(|name| !name.is_empty() && *name != "le")
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_those_of_the_table() {
    // A database of its own, in which time can be moved.
    let database = Database::empty().await;
    let belay = BelayProcess::start(&database.url(), &["dev", "--manual-clock"], &[]).await;
    let mut orders = orders(&belay);
    // `dev` makes its store once it serves.
    until("there is a store", async || {
        orders
            .create_order(traced(1, new_order("demo", "A-1")))
            .await
            .ok()
    })
    .await;
    let mut get = traced(2, get_order("A-1"));
    get.get_mut().store_id = "demo".to_owned();
    orders.get_order(get).await.expect("it is there");
    let mut absent = traced(3, get_order("NONE"));
    absent.get_mut().store_id = "demo".to_owned();
    let absent = orders.get_order(absent).await;
    assert_eq!(absent.unwrap_err().code(), Code::NotFound);
    // The order is due once it is not paid in time.
    let mut connection = pool::connect(&database.url()).await.unwrap();
    clock::advance_manual(&mut connection, SignedDuration::from_hours(24 * 365))
        .await
        .unwrap();
    let text = until(
        "the order is settled, and its part is counted",
        async || {
            let text = belay.get("/metrics").await.body;
            let is_there = |of: &str| text.contains(of);
            (is_there("belay_settle_lag_seconds_count 1")
                && is_there("# TYPE belay_cancellation_parts_ended_total"))
            .then_some(text)
        },
    )
    .await;

    let types: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let rows: Vec<&Instrument> = OF_SERVER.iter().chain(OF_PORT).collect();
    let expected: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row.family(), row.kind.name()))
        .collect();
    assert_eq!(types, expected.iter().map(String::as_str).collect());
    for row in rows {
        let help = format!("# HELP {} {}", row.family(), row.help);
        assert!(text.contains(&help), "{help}");
        let listed: BTreeSet<String> = row.labels.iter().map(|of| of.replace('.', "_")).collect();
        let found = labels_of(&text, &row.family());
        assert!(found.is_subset(&listed), "{found:?} of {row:?}");
    }
    for sample in [
        "rpc_server_call_duration_seconds_count{rpc_method=\"belay.v1.OrderService/GetOrder\",rpc_response_status_code=\"OK\",rpc_system_name=\"grpc\"} 1",
        "rpc_server_call_duration_seconds_count{belay_reason=\"ORDER_NOT_FOUND\",rpc_method=\"belay.v1.OrderService/GetOrder\",rpc_response_status_code=\"NOT_FOUND\",rpc_system_name=\"grpc\"} 1",
        "belay_settle_orders_total{belay_outcome=\"settled\"} 1",
        "belay_serving 1",
        "belay_cancellation_parts_ended_total{belay_cancellation_reason=\"PAYMENT_EXPIRED\",belay_outcome=\"CANCELLED\",belay_path=\"CANCEL\"} 1",
        "belay_retention_keep_seconds{belay_rows=\"events\"} 2592000",
        "belay_files_reloads_total{belay_file=\"key_file\",belay_outcome=\"refused\"} 0",
        "belay_queue_shed_total{belay_queue=\"interactive\"} 0",
        "belay_engine_retries_total{belay_retry_kind=\"deadlock\"} 0",
        "db_client_connection_max{db_client_connection_pool_name=\"writes\"} 5",
        "db_client_connection_max{db_client_connection_pool_name=\"reads\"} 6",
    ] {
        assert!(text.contains(sample), "{sample} is not in\n{text}");
    }
    for no_label in ["A-1", "demo", "ann", "web", "acme"] {
        assert!(!text.contains(&format!("\"{no_label}\"")), "{no_label}");
    }
    belay.running.tell_to_stop();
    let (status, said) = belay.running.end().await;
    assert!(status.success(), "{said}");
    database.remove().await;
}

/// The samples of the server of a test, once its figures were read.
async fn figures_of(t: &TestServer) -> String {
    let inside = t.inside();
    inside.read_figures().await;
    inside.metrics()
}

#[test]
fn figures_of_the_whole_database_are_told() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        let expect = async |expected: &[&str]| {
            let text = figures_of(t).await;
            for sample in expected {
                let is_there = text.lines().any(|line| line == *sample);
                assert!(is_there, "{sample} is not in\n{text}");
            }
        };
        // One parcel that a carrier is to bring back, one refund, and one who reads nothing.
        t.place_interceptable("A-1").await;
        t.pay("A-1").await;
        t.ship("A-1:s1").await;
        let asked = t.storefront().request_cancellation("A-1", Units::all());
        let asked = asked.reason(reason::NO_LONGER_WANTED);
        let paths = [CancellationPath::Cancel, CancellationPath::Intercept];
        asked.paths(paths).await.expect("it waits");
        t.place_paid("A-2").await;
        t.cancel("A-2").await;
        let idle = "INSERT INTO consumers VALUES ('', 'idle', 'OPERATOR', 'ops', REPEAT('x', 16), '[]', NOW(6))";
        t.database.execute(idle, ()).await;
        let (events,): (u64,) = t
            .database
            .row(
                "SELECT CAST(SUM(head) AS UNSIGNED) FROM partition_heads",
                (),
            )
            .await;
        let behind = format!("belay_consumer_lag {events}");
        expect(&[
            "belay_gates_open{belay_age=\"under_1h\",belay_party=\"CARRIER\"} 1",
            "belay_gates_open{belay_age=\"under_1d\",belay_party=\"CARRIER\"} 0",
            "belay_gates_open{belay_age=\"under_1h\",belay_party=\"WAREHOUSE\"} 0",
            "belay_refunds_open{belay_refund_state=\"DUE\"} 1",
            "belay_refunds_overdue 0",
            "belay_due_orders 0",
            "belay_consumers 1",
            &behind,
        ])
        .await;
        t.advance(SignedDuration::from_hours(1)).await;
        expect(&["belay_gates_open{belay_age=\"under_1h\",belay_party=\"CARRIER\"} 1"]).await;
        t.advance(SignedDuration::from_secs(1)).await;
        expect(&[
            "belay_gates_open{belay_age=\"under_1h\",belay_party=\"CARRIER\"} 0",
            "belay_gates_open{belay_age=\"under_1d\",belay_party=\"CARRIER\"} 1",
        ])
        .await;

        // What would be due in a year, for nothing is due for long.
        let mut connection = pool::connect(&t.database.url()).await.unwrap();
        let later = t.now().await + SignedDuration::from_hours(24 * 365);
        let due = figures::due(&mut connection, t.inside().partitions(), later).await;
        let (orders, first) = due.expect("it can be read");
        assert!(orders > 0 && first.is_some_and(|first| first < later));

        t.advance(SignedDuration::from_hours(24 * 60)).await;
        until("the worker has seen that it is overdue", async || {
            let text = figures_of(t).await;
            text.contains("belay_refunds_overdue 1\n").then_some(())
        })
        .await;
        expect(&["belay_refunds_open{belay_refund_state=\"DUE\"} 1"]).await;
    });
}

#[test]
fn a_file_that_is_refused_is_counted() {
    let folder = std::env::temp_dir().join(format!("belay-files-{}", RequestId::mint()));
    std::fs::create_dir(&folder).expect("a folder");
    let file = folder.join("callers.yaml");
    let callers = "callers: [{id: a, role: AUDITOR, stores: ALL, sellers: ALL, warehouses: ALL, carriers: ALL, \
        certificates: [dns:a.example.org]}]\n";
    std::fs::write(&file, callers).expect("a file");
    run(async |t| {
        let path = file.to_str().expect("text");
        let serve = ["serve", "--key-file", path, "--stop-notice", "0s"];
        let belay = BelayProcess::start(&t.database.serve_url().await, &serve, &[]).await;
        let counted = async |outcome: &str, times: u32| {
            let sample = format!(
                "belay_files_reloads_total{{belay_file=\"key_file\",belay_outcome=\"{outcome}\"}} {times}"
            );
            until("it is counted", async || {
                let text = belay.get("/metrics").await.body;
                text.contains(&sample).then_some(())
            })
            .await;
        };
        counted("refused", 0).await;
        std::fs::write(&file, "callers: nobody\n").expect("a file");
        counted("refused", 1).await;
        counted("taken", 0).await;
        std::fs::write(&file, format!("{callers}# again\n")).expect("a file");
        counted("taken", 1).await;
        counted("refused", 1).await;
    });
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

async fn ask(service: &Service, request: &str) -> Option<HttpAnswer> {
    let admin = service.admin_address().expect("it is open");
    HttpAnswer::to(admin, request).await
}

async fn get(service: &Service, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    ask(service, &request).await.expect("an answer").status
}

#[test]
fn the_admin_port_answers_what_it_knows_and_refuses_the_rest() {
    run(async |t| {
        let service = with_admin_port(t).await;
        assert_eq!(get(&service, "/livez").await, 200);
        assert_eq!(get(&service, "/readyz").await, 200);
        assert_eq!(get(&service, "/readyz?verbose").await, 200);
        for unknown in ["/", "/metrics/", "/debug"] {
            assert_eq!(get(&service, unknown).await, 404, "{unknown}");
        }
        let post = ask(
            &service,
            "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        );
        let post = post.await.expect("an answer");
        assert_eq!(post.status, 405);
        assert!(post.head.contains("allow: get"), "{post:?}");
        let metrics = ask(&service, "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
        let metrics = metrics.await.expect("an answer");
        assert!(
            metrics
                .head
                .contains("content-type: text/plain; version=0.0.4"),
            "{metrics:?}"
        );
        // Too large, and what is no HTTP.
        let large = format!(
            "GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n",
            "a".repeat(64 * 1024)
        );
        for odd in [large.as_str(), "\0\0\0\0\r\n\r\n"] {
            let answer = ask(&service, odd).await;
            assert!(answer.is_none_or(|answer| answer.status >= 400));
        }
        assert_eq!(get(&service, "/livez").await, 200);
        service.stop().await;
    });
}

async fn with_admin_port(t: &TestServer) -> Service {
    Service::start(t.database.serve_url().await, |settings| {
        settings.admin_address = Some(([127, 0, 0, 1], 0).into());
    })
    .await
}

#[test]
fn a_server_that_is_about_to_stop_is_live_and_not_ready() {
    run(async |t| {
        // A notice that ends only with the test.
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.admin_address = Some(([127, 0, 0, 1], 0).into());
            settings.stop_notice = std::time::Duration::from_secs(24 * 3600);
        });
        let service = service.await;
        let admin = service.admin_address().expect("it is open");
        let status = async |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
            HttpAnswer::to(admin, &request)
                .await
                .expect("an answer")
                .status
        };
        assert_eq!(status("/readyz").await, 200);
        let noticing = async {
            until("it is not ready", async || {
                (status("/readyz").await == 503).then_some(())
            })
            .await;
            assert_eq!(status("/livez").await, 200);
            assert_eq!(status("/metrics").await, 200);
        };
        tokio::select! {
            () = service.stop() => panic!("the notice is not over"),
            () = noticing => {}
        }
    });
}

#[test]
fn the_admin_port_closes_last() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.admin_address = Some(([127, 0, 0, 1], 0).into());
            settings.lanes = 1;
            settings.drain_max = std::time::Duration::from_secs(24 * 3600);
            settings.database_wait_max = HANG;
        });
        let service = service.await;
        let (address, admin) = (service.address(), service.admin_address());
        let admin = admin.expect("it is open");
        let storefront = service.storefront();
        let held = HeldLanes::hold(&t.database.url()).await;
        let placing = shop::new_order(&storefront, "A-1").send();
        let stopping = async {
            HeldLanes::until_held(&t.database, 1).await;
            service.stop().await;
        };
        let watching = async {
            until("its doors are closed", async || {
                TcpStream::connect(address).await.is_err().then_some(())
            })
            .await;
            for (path, status) in [("/livez", 200), ("/readyz", 503), ("/metrics", 200)] {
                let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
                let answer = HttpAnswer::to(admin, &request).await;
                assert_eq!(answer.expect("it is open").status, status, "{path}");
            }
            held.release().await;
        };
        let (placed, (), ()) = tokio::join!(placing, stopping, watching);
        placed.expect("it was taken and is done");
        assert!(TcpStream::connect(admin).await.is_err(), "it is closed");
    });
}
