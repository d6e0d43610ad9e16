//! Belay behind the proxies that people put in front of it, as they come: what is refused arrives
//! as it was said, and is no failure of the server in the proxy's eyes.

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::task::{Context, Poll};

use belay_client::model::PaymentFact;
use belay_client::{Money, RequestId};
use belay_proto::v1 as pb;
use belay_tests::raw::{Raw, Refused};
use belay_tests::{SHOP, TestServer, run, until};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::{Code, Status};

/// A kind of proxy, and how it is set up with nothing but what it needs.
#[derive(Debug)]
pub(crate) struct Program {
    /// Where the tests find the program, and what it is called.
    variable: &'static str,
    name: &'static str,
    /// The file of the configuration, where `LISTEN_PORT`, `SERVER_ADDRESS`, `SERVER_PORT` and
    /// `FOLDER` stand for what they say, and the arguments that follow the program's name.
    configuration: &'static str,
    arguments: &'static [&'static str],
    /// An answer whose header is larger does not come through.
    header_bytes_max: usize,
}

const NGINX: Program = Program {
    variable: "NGINX",
    name: "nginx",
    configuration: "
daemon off;
master_process off;
pid FOLDER/pid;
error_log FOLDER/log;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/client;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    server {
        listen 127.0.0.1:LISTEN_PORT http2;
        location / {
            grpc_pass grpc://SERVER_ADDRESS;
        }
    }
}
",
    arguments: &["-e", "FOLDER/log", "-c", "FOLDER/configuration"],
    header_bytes_max: 4 * 1024,
};

pub(crate) const HAPROXY: Program = Program {
    variable: "HAPROXY",
    name: "haproxy",
    configuration: "
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend callers
    bind 127.0.0.1:LISTEN_PORT proto h2
    default_backend belay
backend belay
    server belay SERVER_ADDRESS proto h2
",
    arguments: &["-db", "-f", "FOLDER/configuration"],
    header_bytes_max: 16 * 1024,
};

const ENVOY: Program = Program {
    variable: "ENVOY",
    name: "envoy",
    configuration: r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: LISTEN_PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: callers
          codec_type: HTTP2
          route_config:
            virtual_hosts:
            - name: belay
              domains: ["*"]
              routes: [{match: {prefix: "/"}, route: {cluster: belay, timeout: 60s}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: belay
    type: STATIC
    load_assignment:
      cluster_name: belay
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: SERVER_PORT}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"#,
    arguments: &[
        "--config-path",
        "FOLDER/configuration.yaml",
        "--use-dynamic-base-id",
        "--log-path",
        "FOLDER/log",
    ],
    header_bytes_max: 60 * 1024,
};

/// A proxy in front of one server. It ends with the test.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: PathBuf,
    address: SocketAddr,
    _process: Child,
}

impl Proxy {
    async fn start(program: &Program, server: SocketAddr) -> Self {
        let configuration = program.configuration;
        let configuration = configuration.replace("SERVER_PORT", &server.port().to_string());
        let configuration = configuration.replace("SERVER_ADDRESS", &server.to_string());
        Self::configured(program, &configuration).await
    }

    /// In which `LISTEN_PORT` and `FOLDER` stand for what they say.
    pub(crate) async fn configured(program: &Program, configuration: &str) -> Self {
        let Program { variable, name, .. } = program;
        let path = std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "{variable} is not set. This test calls Belay through the real {name}: set {variable} to what \
                 `server/dev/tools.sh {name}` prints, or run `make test`, which does so"
            )
        });
        let folder = std::env::temp_dir().join(format!("belay-proxy-{}", RequestId::mint()));
        fs::create_dir(&folder).expect("a new folder");
        // Free until the proxy takes it.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let filled = |text: &str| {
            let text = text.replace("LISTEN_PORT", &address.port().to_string());
            text.replace("FOLDER", &folder.display().to_string())
        };
        for file in ["configuration", "configuration.yaml"] {
            fs::write(folder.join(file), filled(configuration)).expect("a file");
        }
        let mut command = Command::new(path);
        command
            .args(program.arguments.iter().map(|argument| filled(argument)))
            .stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("stderr")).expect("a file"));
        let mut process = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy can be started");
        let log = || fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        until(&format!("{name} listens"), async || {
            if let Some(status) = process.try_wait().expect("a process") {
                panic!("{name} ended with {status}: {}", log());
            }
            TcpStream::connect(address).await.ok()
        })
        .await;
        Self {
            folder,
            address,
            _process: process,
        }
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw::to(self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server that refuses every call with details of so many bytes, as Belay must not.
#[derive(Debug, Clone)]
struct Verbose {
    details_bytes: usize,
}

impl NamedService for Verbose {
    const NAME: &'static str = "belay.v1.OrderService";
}

impl Service<Request<Body>> for Verbose {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        // Four characters of base64 are three bytes.
        let details = vec![0xA5; self.details_bytes * 3 / 4];
        ready(Ok(Status::with_details(
            Code::InvalidArgument,
            "verbose",
            details.into(),
        )
        .into_http()))
    }
}

impl Verbose {
    /// Serves as long as the tasks are kept.
    async fn start(details_bytes: usize) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let router = tonic::transport::Server::builder().add_service(Self { details_bytes });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            router
                .serve_with_incoming(incoming)
                .await
                .expect("it serves")
        });
        (address, tasks)
    }
}

fn eur(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    })
}

/// An order of so many lines, each in a shipment of its own.
fn order(order_id: &str, lines: i32) -> pb::CreateOrderRequest {
    let line = pb::NewLine {
        sku: "MUG".to_owned(),
        quantity: 1,
        goods: eur(100),
        ..Default::default()
    };
    let content = |line_number| pb::NewShipmentContent {
        line_number,
        quantity: 1,
    };
    let shipment = |line_number| pb::NewShipment {
        contents: vec![content(line_number)],
        ..Default::default()
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
        lines: vec![line; usize::try_from(lines).expect("not many")],
        shipments: (1..=lines).map(shipment).collect(),
        ..Default::default()
    }
}

/// What would be told whole in more than any proxy takes: 60 lines with a bad SKU, and an order of
/// 50 shipments that have left.
async fn large_rejections(
    t: &TestServer,
    order_id: &str,
) -> (pb::CreateOrderRequest, pb::RequestCancellationRequest) {
    let mut bad = order("BAD", 50);
    bad.lines = vec![
        pb::NewLine {
            sku: "A B".to_owned(),
            ..bad.lines[0].clone()
        };
        60
    ];

    let _: pb::CreateOrderResponse = t
        .raw()
        .send("storefront", CREATE_ORDER, order(order_id, 50))
        .await
        .expect("an order");
    let captured = t
        .payments()
        .record_payment(order_id, "pay", "event", PaymentFact::Captured)
        .method("CREDIT_CARD");
    captured
        .amount(Money::new("EUR", 5_000))
        .await
        .expect("a payment");
    for number in 1..=50 {
        t.ship(&format!("{order_id}:s{number}")).await;
    }
    let cancellation = pb::RequestCancellationRequest {
        store_id: SHOP.to_owned(),
        order_id: order_id.to_owned(),
        reason: "NO_LONGER_WANTED".to_owned(),
        selection: Some(pb::request_cancellation_request::Selection::All(
            pb::AllUnits {},
        )),
        ..Default::default()
    };
    (bad, cancellation)
}

const CREATE_ORDER: &str = "OrderService/CreateOrder";
const GET_ORDER: &str = "OrderService/GetOrder";

/// Maps stand in no order on the wire, so the details may differ in theirs.
#[track_caller]
fn assert_same(proxied: &Refused, direct: &Refused) {
    assert_eq!(proxied.details.len(), direct.details.len());
    assert_eq!(
        Refused {
            details: Vec::new(),
            ..proxied.clone()
        },
        Refused {
            details: Vec::new(),
            ..direct.clone()
        }
    );
}

async fn everything_comes_through(t: &TestServer, program: &Program) {
    let order_id = "o".repeat(64);
    let (bad, cancellation) = large_rejections(t, &order_id).await;
    let proxy = Proxy::start(program, t.address()).await;
    let (direct, proxied) = (t.raw(), proxy.raw());

    let get = |order_id: &str| pb::GetOrderRequest {
        store_id: SHOP.to_owned(),
        order_id: order_id.to_owned(),
    };
    let read: pb::GetOrderResponse = proxied
        .send("support", GET_ORDER, get(&order_id))
        .await
        .expect("an order");
    assert_eq!(
        read,
        direct
            .send("support", GET_ORDER, get(&order_id))
            .await
            .expect("an order")
    );
    let small = proxied.refused("support", GET_ORDER, get("unknown")).await;
    assert_same(
        &small,
        &direct.refused("support", GET_ORDER, get("unknown")).await,
    );
    assert_eq!(small.what(), (Code::NotFound, "ORDER_NOT_FOUND"));

    let refused = proxied
        .refused("storefront", CREATE_ORDER, bad.clone())
        .await;
    assert_eq!(refused.what(), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_same(
        &refused,
        &direct.refused("storefront", CREATE_ORDER, bad).await,
    );
    let more = refused
        .violations
        .last()
        .map(|(_, description)| description.clone());
    assert_eq!(
        more,
        Some(format!("and {} more", 60 - (refused.fields.len() - 1)))
    );

    let method = "CancellationService/RequestCancellation";
    let refused = proxied
        .refused("storefront", method, cancellation.clone())
        .await;
    assert_eq!(refused.what(), (Code::FailedPrecondition, "SHIPPED"));
    assert_same(
        &refused,
        &direct.refused("storefront", method, cancellation).await,
    );
    assert_eq!(refused.metadata["shipment_id"], format!("{order_id}:s1"));
    let told = refused.preconditions.len() - 1;
    assert!(told > 1);
    assert_eq!(
        refused
            .preconditions
            .last()
            .map(|(_, subject)| subject.clone()),
        Some(format!("and {} more", 50 - told))
    );
}

/// The same proxy before a server that tells more: so the test above would notice.
async fn what_is_too_large_does_not_come_through(program: &Program) {
    let get = || pb::GetOrderRequest {
        store_id: SHOP.to_owned(),
        order_id: "A-1".to_owned(),
    };
    let told = async |details_bytes| {
        let (server, _serving) = Verbose::start(details_bytes).await;
        let proxy = Proxy::start(program, server).await;
        let refused: Result<pb::GetOrderResponse, Status> =
            proxy.raw().send("support", GET_ORDER, get()).await;
        refused.expect_err("every call is refused")
    };
    let small = told(1_000).await;
    assert_eq!(
        (small.code(), small.message(), small.details().len()),
        (Code::InvalidArgument, "verbose", 750)
    );
    // HTTP/2 packs text by up to a third.
    let large = told(2 * program.header_bytes_max).await;
    assert_ne!(large.code(), Code::InvalidArgument, "{large:?}");
    assert!(large.details().is_empty(), "{large:?}");
}

#[test]
fn nginx_lets_every_rejection_through() {
    run(async |t| {
        everything_comes_through(t, &NGINX).await;
        what_is_too_large_does_not_come_through(&NGINX).await;
    });
}

#[test]
fn haproxy_lets_every_rejection_through() {
    run(async |t| {
        everything_comes_through(t, &HAPROXY).await;
        what_is_too_large_does_not_come_through(&HAPROXY).await;
    });
}

#[test]
fn envoy_lets_every_rejection_through() {
    run(async |t| {
        everything_comes_through(t, &ENVOY).await;
        what_is_too_large_does_not_come_through(&ENVOY).await;
    });
}
