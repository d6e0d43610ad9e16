//! Belay from a shell: reflection, and the lines that `belay dev` prints, with the real grpcurl.

use std::net::SocketAddr;
use std::process::Output;

use belay_client::Role;
use belay_client::model::{OrderState, RefundState};
use belay_server::demo;
use belay_tests::{descriptors, run};
use serde_json::Value;
use tokio::process::Command;

/// Where the tests find grpcurl.
const VARIABLE: &str = "GRPCURL";

fn grpcurl() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{VARIABLE} is not set. This test calls Belay with the real grpcurl: set {VARIABLE} to what \
             `server/dev/tools.sh grpcurl` prints, or run `make test`, which does so"
        )
    })
}

async fn shell(line: &str) -> Output {
    Command::new("sh")
        .arg("-c")
        .arg(line)
        .output()
        .await
        .expect("there is a shell")
}

/// The lines that grpcurl prints to a question about the server.
async fn ask(address: SocketAddr, question: &str) -> String {
    let output = shell(&format!("{} -plaintext {address} {question}", grpcurl())).await;
    assert!(
        output.status.success(),
        "{question}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn grpcurl_lists_and_describes_everything_without_the_protos() {
    run(async |t| {
        let listed = ask(t.address(), "list").await;
        for service in [
            "grpc.health.v1.Health",
            "belay.v1.OrderService",
            "belay.v1.PolicyService",
        ] {
            assert!(
                listed.lines().any(|line| line == service),
                "{service} in {listed}"
            );
        }
        for rpc in descriptors::rpcs() {
            let described = ask(
                t.address(),
                &format!("describe belay.v1.{}.{}", rpc.service, rpc.name),
            )
            .await;
            assert!(
                described.contains(&format!("rpc {} (", rpc.name)),
                "{described}"
            );
        }
        // Comments are the manual, also here.
        let described = ask(t.address(), "describe belay.v1.OrderService.GetOrder").await;
        assert!(described.contains("Gets one order"), "{described}");
        let message = ask(t.address(), "describe belay.v1.RequestCancellationRequest").await;
        assert!(message.contains("on_ineligible_units"), "{message}");
        let health = ask(t.address(), "grpc.health.v1.Health/Check").await;
        assert!(
            health.contains("SERVING") && !health.contains("NOT_SERVING"),
            "{health}"
        );
    });
}

#[test]
fn the_printed_lines_place_an_order_pay_it_and_cancel_it() {
    run(async |t| {
        demo::prepare(t.address()).await.unwrap();
        demo::prepare(t.address())
            .await
            .expect("a second time changes nothing");
        let mut answers = Vec::new();
        for line in demo::lines(&grpcurl(), t.address(), "demo-1") {
            let output = shell(&line).await;
            assert!(
                output.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            answers.push(serde_json::from_slice::<Value>(&output.stdout).expect("JSON"));
        }
        let [placed, paid, cancelled] = answers.as_slice() else {
            panic!("three lines")
        };
        assert_eq!(placed["order"]["state"], "ORDER_STATE_AWAITING_PAYMENT");
        assert_eq!(placed["order"]["totals"]["due"]["minorUnits"], "2868");
        assert_eq!(paid["order"]["displayState"], "Paid, to be shipped");
        assert_eq!(paid["order"]["cancellableNow"], true);
        assert_eq!(cancelled["orderState"], "ORDER_STATE_CANCELLED");
        let cancellation = &cancelled["cancellation"];
        assert_eq!(cancellation["state"], "CANCELLATION_STATE_COMPLETED");
        assert_eq!(
            cancellation["expectedRefund"]["total"]["minorUnits"],
            "2868"
        );
        assert_eq!(cancellation["refundIds"], serde_json::json!(["demo-1:r1"]));

        let order = t
            .store_as(demo::STORE, Role::Storefront, "web")
            .get_order("demo-1")
            .await
            .unwrap();
        assert_eq!(
            (order.state, order.refunds[0].state),
            (OrderState::Cancelled, RefundState::Due)
        );
        // Pasted again they do no harm: each answers as before.
        for line in demo::lines(&grpcurl(), t.address(), "demo-1") {
            assert!(shell(&line).await.status.success(), "{line}");
        }
        assert_eq!(
            t.store_as(demo::STORE, Role::Storefront, "web")
                .get_order("demo-1")
                .await
                .unwrap(),
            order
        );
    });
}

#[test]
fn an_error_is_printed_with_its_details() {
    run(async |t| {
        t.place_shipped("A-1").await;
        let grpcurl = grpcurl();
        let call = |body: &str| {
            format!(
                "{grpcurl} -plaintext -H 'belay-role: storefront' -d '{body}' {} belay.v1.CancellationService/RequestCancellation",
                t.address()
            )
        };
        let output = shell(&call(
            r#"{"store_id":"shop","order_id":"A-1","all":{},"reason":"NO_LONGER_WANTED"}"#,
        ))
        .await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        for part in [
            "FailedPrecondition",
            "google.rpc.ErrorInfo",
            r#""reason":"SHIPPED""#,
            r#""domain":"belay""#,
            "google.rpc.PreconditionFailure",
            r#""next_actions":"RETURN_UNOPENED,CONTACT_SUPPORT""#,
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        let output = shell(&call(r#"{"store_id":"shop","order_id":"A 1"}"#)).await;
        let told = String::from_utf8_lossy(&output.stderr);
        for part in [
            "InvalidArgument",
            "google.rpc.BadRequest",
            r#""field":"order_id""#,
            r#""field":"all""#,
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    });
}
