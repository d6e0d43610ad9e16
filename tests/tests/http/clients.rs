//! Clients that others have written: curl, Connect's own for Node, a browser, and one of HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Command as Process;
use std::task::{Context, Poll};

use belay_tests::http::JSON;
use belay_tests::instance::Service;
use belay_tests::process::Running;
use belay_tests::server::anywhere;
use belay_tests::{SHOP, run_over_http};
use prost::bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::codegen::http::{Request, Response};
use tonic::transport::Endpoint;

use super::new_order;
use crate::languages::{Workshop, tool};

/// A body in one piece.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// Calls once in HTTP/2, without TLS.
pub(super) async fn http2(address: SocketAddr, path: &str, message: Value) -> Value {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let mut channel = endpoint.expect("an address makes a URI").connect_lazy();
    std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .expect("a connection");
    let body = Whole(Some(message.to_string().into_bytes().into()));
    let request = Request::post(format!("http://{address}{path}"))
        .header("content-type", JSON)
        .header("belay-role", "storefront")
        .body(Body::new(body))
        .expect("a request");
    let answer: Response<Body> = channel.call(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut bytes, mut body) = (Vec::new(), answer.into_body());
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await
    {
        let data = frame.expect("it does not break off").into_data();
        bytes.extend(data.unwrap_or_default());
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Where a server says that it takes calls over HTTP.
pub(super) async fn http_address(running: &mut Running) -> SocketAddr {
    running
        .until_said("calls over HTTP are taken", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let is_it = line["fields"]["message"] == "calls over HTTP are taken";
            is_it.then(|| line["fields"]["address"].as_str()?.parse().ok())?
        })
        .await
}

#[test]
fn curl_calls_as_the_manual_says() {
    run_over_http(async |t| {
        let curl = async |method: &str, message: Value| {
            let output = Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--write-out",
                    "\n%{http_code} %{content_type}",
                ])
                .args([
                    "-H",
                    "content-type: application/json",
                    "-H",
                    "belay-role: storefront",
                ])
                .args(["-d", &message.to_string()])
                .arg(format!("http://{}/belay.v1.{method}", t.http_address()))
                .output()
                .await;
            let output = output.expect("this test runs curl, which is to be on PATH");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let (body, rest) = said.rsplit_once('\n').expect("two lines");
            let body: Value = serde_json::from_str(body).expect("JSON");
            (rest.to_owned(), body)
        };
        let (told, placed) = curl("OrderService/CreateOrder", new_order("A-1")).await;
        assert_eq!(told, "200 application/json");
        assert_eq!(placed["order"]["orderId"], "A-1");
        let get = json!({"storeId": SHOP, "orderId": "NONE"});
        let (told, error) = curl("OrderService/GetOrder", get).await;
        assert_eq!(told, "404 application/json");
        assert_eq!(error["code"], "not_found");
        // It asks first whether so much may come, and is told before it sends any of it.
        let mut large = new_order("A-2");
        large["note"] = json!("x".repeat(1_100_000));
        let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("large-{}", t.http_address().port()));
        std::fs::write(&file, large.to_string()).expect("a file");
        let output = Command::new("curl")
            .args([
                "--silent",
                "-H",
                "content-type: application/json",
                "-H",
                "belay-role: storefront",
            ])
            .arg("--data-binary")
            .arg(format!("@{}", file.display()))
            .arg(format!(
                "http://{}/belay.v1.OrderService/CreateOrder",
                t.http_address()
            ))
            .output()
            .await
            .expect("curl");
        std::fs::remove_file(&file).expect("it was there");
        let error: Value = serde_json::from_slice(&output.stdout).expect("an error in JSON");
        assert_eq!(error["code"], "resource_exhausted", "{error}");
    });
}

#[test]
fn a_client_generated_for_typescript_calls_by_connect() {
    run_over_http(async |t| {
        let workshop = Workshop::of_typescript().await;
        let mut client = Process::new(tool("NODE", "node"));
        client
            .arg(workshop.0.join("connect.ts"))
            .args([format!("http://{}", t.http_address()).as_str(), SHOP])
            .env("NODE_NO_WARNINGS", "1");
        let (status, said) = Running::start(client).end().await;
        assert!(status.success(), "{said}");
        assert_eq!(said.lines().count(), 8, "{said}");
        assert!(said.contains("node-8: HTTP/2, protobuf, gzip"), "{said}");
    });
}

/// Pages of one origin, each of them empty.
async fn pages(servers: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    servers.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let page = "<!doctype html><title>shop</title>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
                page.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    origin
}

#[test]
fn a_page_in_a_browser_calls_from_an_origin_that_may_and_from_no_other() {
    run_over_http(async |t| {
        t.place("A-1").await;
        let mut servers = JoinSet::new();
        let (shop, evil) = (pages(&mut servers).await, pages(&mut servers).await);
        let service = Service::start(t.database.serve_url().await, |settings| {
            let mut http = anywhere();
            http.origins = vec![shop.parse().expect("an origin")];
            settings.http = Some(http);
        })
        .await;
        let address = service.http_address().unwrap();
        let workshop = Workshop::new();
        for file in ["call.mjs", "package.json"] {
            workshop.copy(&format!("tests/console/{file}"), file);
        }
        let packages = tool("CONSOLE_PACKAGES", "console-packages");
        std::os::unix::fs::symlink(packages, workshop.0.join("node_modules")).unwrap();
        let mut call = Process::new(tool("NODE", "node"));
        call.arg(workshop.0.join("call.mjs"))
            .arg(tool("CHROMIUM", "chromium"))
            .arg(format!("http://{address}"))
            .args([&shop, &evil]);
        let (status, said) = Running::start(call).end().await;
        assert!(status.success(), "{said}");
        let told: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let expected = json!([
            {"origin": shop, "orderId": "A-1", "status": 200, "order": "A-1"},
            {"origin": shop, "orderId": "NONE", "status": 404, "code": "not_found"},
            {"origin": shop, "plain": "opaque"},
            {"origin": evil, "orderId": "A-1", "refused": "TypeError"},
            {"origin": evil, "orderId": "NONE", "refused": "TypeError"},
            {"origin": evil, "plain": "opaque"},
        ]);
        assert_eq!(Value::Array(told), expected, "{said}");
        service.stop().await;
    });
}
