//! Extras of `belay dev`: a store to try things on, and lines to paste.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use belay_proto::v1;
use belay_proto::v1::store_service_client::StoreServiceClient;
use belay_wire::status::may_be_repeated;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::admin_port::CONSOLE_PATH;

/// The store that `belay dev` makes.
pub const STORE: &str = "demo";

/// Tries of one call before the start is given up.
pub const ATTEMPTS_MAX: u32 = 20;
/// Between two tries, doubled each time up to the second, with full jitter.
const RETRY_DELAY: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// Makes the store, as anybody would. A second time changes nothing, nor does another start at the
/// same time.
pub async fn prepare(address: SocketAddr) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let request = v1::CreateStoreRequest {
        store_id: STORE.to_owned(),
        display_name: "Demo".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        policy: Some(v1::create_store_request::Policy::Preset(
            "independent-site".to_owned(),
        )),
        ..v1::CreateStoreRequest::default()
    };
    let stores = StoreServiceClient::new(channel);
    let created = insist(async || stores.clone().create_store(request.clone()).await).await;
    created.context("the demo store cannot be made")?;
    // Beside the default one, which cannot.
    let express = v1::Carrier {
        carrier_id: "express".to_owned(),
        display_name: "Brings parcels back".to_owned(),
        in_transit_cancel: true,
        ..v1::Carrier::default()
    };
    let request = v1::PutCarrierRequest {
        store_id: STORE.to_owned(),
        carrier: Some(express),
    };
    let put = insist(async || stores.clone().put_carrier(request.clone()).await).await;
    put.context("the demo store's carrier cannot be made")?;
    Ok(())
}

/// Repeats a call while that is safe and may help: another start on this database is under way,
/// say.
async fn insist<T>(call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    let mut delay = RETRY_DELAY;
    for _ in 1..ATTEMPTS_MAX {
        match call().await {
            Err(status) if may_be_repeated(&status) => {
                tracing::debug!(%status, "a call of the start is repeated");
                tokio::time::sleep(delay.mul_f64(fastrand::f64())).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
            outcome => return outcome,
        }
    }
    call().await
}

/// How to place an order, pay it and cancel it: three lines for a shell.
pub fn lines(grpcurl: &str, address: SocketAddr, order: &str) -> [String; 3] {
    let call = |role: &str, method: &str, body: &str| {
        format!(
            "{grpcurl} -plaintext -H 'belay-role: {role}' -d '{body}' {address} belay.v1.{method}"
        )
    };
    let euro =
        |minor_units: u32| format!(r#"{{"currency_code":"EUR","minor_units":{minor_units}}}"#);
    let mug = format!(
        r#"{{"sku":"mug","title":"Mug","quantity":2,"goods":{},"tax":{}}}"#,
        euro(1998),
        euro(380)
    );
    let place = format!(
        r#"{{"store_id":"{STORE}","order_id":"{order}","buyer":{{"id":"ann","email":"ann@example.com"}},"seller_id":"acme","destination":{{"country_code":"DE","city":"Berlin"}},"lines":[{mug}],"shipping":{{"amount":{}}}}}"#,
        euro(490)
    );
    let pay = format!(
        r#"{{"store_id":"{STORE}","order_id":"{order}","provider_payment_id":"pay-{order}","provider_event_id":"event-1","fact":"PAYMENT_FACT_CAPTURED","method":"CREDIT_CARD","amount":{}}}"#,
        euro(2868)
    );
    let cancel = format!(
        r#"{{"store_id":"{STORE}","order_id":"{order}","all":{{}},"reason":"NO_LONGER_WANTED"}}"#
    );
    [
        call("storefront", "OrderService/CreateOrder", &place),
        call("payments", "OrderService/RecordPayment", &pay),
        call(
            "storefront",
            "CancellationService/RequestCancellation",
            &cancel,
        ),
    ]
}

/// What a person may do next: read what happened to the order, and why, and look around.
fn next_steps(grpcurl: &str, address: SocketAddr, order: &str) -> [String; 4] {
    let belay = |what: &str| {
        format!(
            "BELAY_ENDPOINT=http://{address} BELAY_STORE={STORE} BELAY_ROLE=SUPPORT belay {what}"
        )
    };
    [
        belay(&format!("history {order}")),
        belay(&format!("explain {order}")),
        format!("{grpcurl} -plaintext {address} list"),
        format!("{grpcurl} -plaintext {address} describe belay.v1.CancellationService"),
    ]
}

/// The order once more, for who has no gRPC.
fn http_line(address: SocketAddr, order: &str) -> String {
    format!(
        r#"curl -H 'content-type: application/json' -H 'belay-role: support' -d '{{"storeId":"{STORE}","orderId":"{order}"}}' http://{address}/belay.v1.OrderService/GetOrder"#
    )
}

/// The addresses on which `belay dev` listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: Option<SocketAddr>,
    pub admin: SocketAddr,
}

/// Prints the lines, about an order of a new name, which it gives back.
fn greet_with_lines(grpcurl: &str, address: SocketAddr) -> String {
    let order = format!("demo-{}", fastrand::u32(100_000..1_000_000));
    #[expect(
        clippy::print_stdout,
        reason = "these lines are for the person at the terminal"
    )]
    {
        println!("\nBelay serves the store `{STORE}` on {address}.");
        println!("Place an order, pay it, cancel it and see the refund:\n");
        for line in lines(grpcurl, address, &order) {
            println!("{line}\n");
        }
        println!(
            "Then read what happened and why, and which calls there are, with their manual:\n"
        );
        for line in next_steps(grpcurl, address, &order) {
            println!("{line}");
        }
    }
    order
}

/// The same of a server in memory, and what it lacks.
pub fn greet_in_memory(grpcurl: &str, address: SocketAddr) {
    greet_with_lines(grpcurl, address);
    #[expect(
        clippy::print_stdout,
        reason = "these lines are for the person at the terminal"
    )]
    {
        println!("\nEverything is in memory, without a bound, and is gone when this ends.");
        println!(
            "There is no console, there are no metrics, and calls are over gRPC alone: `belay dev` with a MySQL has all."
        );
        println!("`belay help` has all commands. Ctrl-C stops the server.\n");
    }
}

/// Prints the lines, and what else there is: the way without gRPC, the console, if it is on, where
/// the data is, and where a scraper asks.
pub fn greet(grpcurl: &str, addresses: Addresses, database: &str, has_console: bool) {
    let Addresses { grpc, http, admin } = addresses;
    let order = greet_with_lines(grpcurl, grpc);
    #[expect(
        clippy::print_stdout,
        reason = "these lines are for the person at the terminal"
    )]
    {
        if let Some(http) = http {
            println!("\nWithout gRPC, each call is a POST of JSON:\n");
            println!("{}", http_line(http, &order));
        }
        if has_console {
            println!("\nLook at it in a browser, in a role such as SUPPORT:\n");
            println!("http://{admin}{CONSOLE_PATH}/");
        }
        println!("\nThe data stays in {database}.");
        println!("Metrics are at http://{admin}/metrics.");
        println!("`belay help` has all commands. Ctrl-C stops the server.\n");
    }
}
