//! Belay behind the proxies that people put in front of it, as they come: what is refused arrives
//! as it was said, and is no failure of the server in the proxy's eyes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use belay_client::Money;
use belay_client::model::PaymentFact;
use belay_proto::v1 as pb;
use belay_tests::proxies::{ENVOY, HAPROXY, NGINX, Program, Proxy};
use belay_tests::raw::Refused;
use belay_tests::{SHOP, TestServer, run};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::{Code, Status};

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
