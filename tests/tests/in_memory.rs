//! `belay dev --in-memory`: what can be tried without a database.

use std::net::SocketAddr;
use std::process::Command;

use belay_client::model::OrderState;
use belay_client::{Role, Units, reason};
use belay_server::demo;
use belay_tests::instance::literal;
use belay_tests::process::{Running, built};
use belay_tests::shop::{new_order, pay};

fn dev(arguments: &[&str]) -> Command {
    let mut belay = Command::new(built("belay"));
    belay.args([&["dev", "--in-memory"], arguments].concat());
    belay.env_clear();
    belay
}

#[tokio::test]
async fn an_order_is_placed_paid_and_cancelled_without_a_database() {
    let mut belay = Running::start(dev(&["--grpc-address", "127.0.0.1:0"]));
    let address: SocketAddr = belay
        .until_said("where it is", |line| {
            let address = line.strip_prefix("Belay serves the store `demo` on ")?;
            address.strip_suffix('.')?.parse().ok()
        })
        .await;
    belay
        .until_said("what it lacks", |line| {
            line.contains("is gone when this ends").then_some(())
        })
        .await;
    let client = literal(address);
    let shop = client.with_role(Role::Storefront, "web").expect("a role");
    let shop = shop.store(demo::STORE);
    let mut watch = shop.watch().from_oldest().open().await.expect("the feed");
    new_order(&shop, "A-1").await.expect("it is placed");
    pay(&shop, "A-1").await;
    let cancelled = shop.request_cancellation("A-1", Units::all());
    let cancelled = cancelled.reason(reason::NO_LONGER_WANTED).await;
    let cancelled = cancelled.expect("it is cancelled");
    assert_eq!(cancelled.order_state, OrderState::Cancelled);
    let told = watch.try_next().await.expect("the feed").expect("events");
    assert!(!told.events().is_empty());
    drop(watch);

    // What any server of gRPC answers, and the commands for people.
    let asked = |arguments: &[&str]| {
        let mut asked = Command::new(built("belay"));
        asked.args(arguments).env_clear();
        asked
            .env("BELAY_ENDPOINT", format!("http://{address}"))
            .env("BELAY_STORE", demo::STORE);
        asked.output().expect("it can be run")
    };
    let health = asked(&["health", "--grpc-address", &address.to_string()]);
    assert!(health.status.success(), "{health:?}");
    let history = asked(&["history", "A-1", "--role", "support"]);
    let told = String::from_utf8_lossy(&history.stdout);
    assert!(told.contains("CANCELLATION_COMPLETED"), "{history:?}");
    let grpcurl = std::env::var("GRPCURL").expect("GRPCURL: see tests/tests/grpcurl.rs");
    let mut listed = Command::new(grpcurl);
    let listed = listed.args(["-plaintext", &address.to_string(), "list"]);
    let listed = listed.output().expect("it can be run");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("belay.v1.OrderService"), "{listed}");

    belay.tell_to_stop();
    let (status, said) = belay.end().await;
    assert!(status.success(), "{said}");
}

#[test]
fn it_is_of_this_machine_and_its_clock_runs() {
    for (arguments, told) in [
        (&["--grpc-address", "0.0.0.0:0"][..], "loopback only"),
        (&["--manual-clock"], "cannot be used with"),
    ] {
        let refused = dev(arguments).output().expect("it can be run");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{said}");
        assert!(said.contains(told), "{told}: {said}");
    }
}
