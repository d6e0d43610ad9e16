//! Attacks on orders, and the store that all attacks are on.

use std::time::Duration;

use belay_client::calls::{FirstPolicy, NewBuyer, NewLine, NewShipment};
use belay_client::model::Destination;
use belay_client::{Belay, Role, Store};
use belay_proto::v1 as pb;
use belay_proto::v1::request_cancellation_request::Selection;
use belay_tests::database::Database;
use belay_tests::instance::literal;
use belay_tests::process::BelayProcess;
use belay_tests::raw::{Raw, Refused};
use belay_tests::shop::{eur, new_order, pay};
use belay_tests::{SHOP, documents};
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;

use crate::victim::{Victim, middle_and_longest};

/// Orders of [`LINES`] lines: more than one page of them.
const LARGE: usize = 45;
const LINES: usize = 200;
const TITLE: &str = "A mug, blue, of stoneware, with a handle";
/// Reads of each kind.
const READS: usize = 300;

fn as_role(belay: &Belay, role: Role, actor: &str, store_id: &str) -> Store {
    let caller = belay.with_role(role, actor).expect("a role to call in");
    caller.store(store_id)
}

/// The store with its orders.
pub(crate) async fn prepare(database: &Database) {
    let serve = ["serve", "--trust-role-header", "--stop-notice=0s"];
    let server = BelayProcess::start(&database.serve_url().await, &serve, &[]).await;
    let belay = literal(server.address);
    let operator = belay.with_role(Role::Operator, "ops").expect("a role");
    let first = FirstPolicy::preset("independent-site");
    operator.create_store(SHOP, first).await.expect("a store");
    let put = operator.store(SHOP).put_warehouse("east", "East").await;
    put.expect("a warehouse");
    let consent = FirstPolicy::document(documents::consent("REFUSE", "BAR"));
    operator
        .create_store("talk", consent)
        .await
        .expect("a store");
    let store = as_role(&belay, Role::Storefront, "web", SHOP);
    for order in 0..LARGE {
        place_large(&store, &format!("LARGE-{order}"), "main").await;
    }
    place_large(&store, "OTHER-LARGE", "east").await;
    let east = NewShipment::new([(1, 3), (2, 1)]).warehouse_id("east");
    let small = new_order(&store, "OTHER-SMALL").shipments([east]);
    small.await.expect("an order");
    server.running.kill();
}

async fn place_large(store: &Store, order_id: &str, warehouse_id: &str) {
    let line =
        |line: usize| NewLine::new(format!("SKU-{line}"), 1, eur(100)).title(TITLE.to_owned());
    let all = (1..=LINES).map(|line| (i32::try_from(line).expect("a few"), 1));
    let placed = store.create_order(
        order_id,
        NewBuyer::new("ann"),
        "acme",
        Destination::new("DE"),
        (1..=LINES).map(line),
    );
    let shipment = NewShipment::new(all).warehouse_id(warehouse_id);
    placed.shipments([shipment]).await.expect("an order");
}

/// A unit is asked for with the longest texts and said no to, until that is refused.
pub(crate) async fn texts(victim: &Victim) -> String {
    let belay = victim.client();
    let web = as_role(&belay, Role::Storefront, "web", "talk");
    new_order(&web, "A-1").await.expect("an order");
    pay(&web, "A-1").await;
    let raw = Raw::to(victim.belay.address);
    let mut asked = 0;
    let refused = loop {
        match ask_and_refuse(&raw).await {
            Ok(()) => asked += 1,
            Err(status) => break Refused::of(&status),
        }
    };
    let get = pb::GetOrderRequest {
        store_id: "talk".to_owned(),
        order_id: "A-1".to_owned(),
    };
    // These clients take 4 MiB.
    let read: Result<pb::GetOrderResponse, _> =
        raw.send("storefront", "OrderService/GetOrder", get).await;
    let kib = read.map(|read| read.encoded_len() / 1024);
    let listed = web.list_orders().page_size(1_000).await;
    format!(
        "{asked} requests and answers, then {}; GetOrder is {} KiB, a page of it {}",
        refused.reason,
        kib.map_or_else(|status| status.to_string(), |kib| kib.to_string()),
        listed.map_or_else(|error| error.to_string(), |_| "is read".to_owned()),
    )
}

async fn ask_and_refuse(raw: &Raw) -> Result<(), Status> {
    let long = |characters: usize| "𝕋".repeat(characters);
    let unit = pb::LineQuantity {
        line_id: "A-1:l1".to_owned(),
        quantity: 1,
    };
    let lines = pb::LineSelection { lines: vec![unit] };
    let request = pb::RequestCancellationRequest {
        store_id: "talk".to_owned(),
        order_id: "A-1".to_owned(),
        selection: Some(Selection::Lines(lines)),
        reason: "NO_LONGER_WANTED".to_owned(),
        note: long(2_000),
        evidence: vec![long(512); 10],
        ..Default::default()
    };
    let method = "CancellationService/RequestCancellation";
    let answer: pb::RequestCancellationResponse = raw.send("storefront", method, request).await?;
    let reject = pb::RejectCancellationRequest {
        store_id: "talk".to_owned(),
        cancellation_id: answer.cancellation.expect("it is made").cancellation_id,
        code: "NO".to_owned(),
        note: long(2_000),
        evidence: vec![long(512); 10],
        ..Default::default()
    };
    let method = "CancellationService/RejectCancellation";
    let _: pb::RejectCancellationResponse = raw.send("seller", method, reject).await?;
    Ok(())
}

/// The warehouse `main` asks for orders of the warehouse `east`, and for one that is not there, in
/// turns.
pub(crate) async fn foreign(victim: &Victim) -> String {
    let raw = Raw::to(victim.belay.address);
    let ask = async |order_id: &str| {
        let request = pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: order_id.to_owned(),
        };
        let begun = Instant::now();
        let refused = raw.refused("warehouse", "OrderService/GetOrder", request);
        assert_eq!(refused.await.reason, "ORDER_NOT_FOUND");
        begun.elapsed()
    };
    let orders = ["OTHER-SMALL", "OTHER-LARGE", "OTHER-ABSEN"];
    let mut took: [Vec<Duration>; 3] = Default::default();
    for read in 0..READS {
        for turn in 0..orders.len() {
            let one = (read + turn) % orders.len();
            took[one].push(ask(orders[one]).await);
        }
    }
    let [small, large, absent] = took.map(|times| middle_and_longest(times).0);
    format!("p50 of {READS}: small {small:.2} ms, 200 lines {large:.2} ms, absent {absent:.2} ms")
}
