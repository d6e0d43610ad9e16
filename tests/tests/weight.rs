//! An order stays readable, whatever its callers write: a client that takes no more than gRPC's 4
//! MiB gets it, and every answer that holds it.

use belay_client::calls::FirstPolicy;
use belay_client::{Role, Store};
use belay_proto::v1 as pb;
use belay_proto::v1::request_cancellation_request::Selection;
use belay_tests::shop::{new_order, pay};
use belay_tests::{TestServer, documents, run};
use prost::Message;
use tonic::Code;

const REQUEST: &str = "CancellationService/RequestCancellation";
const REJECT: &str = "CancellationService/RejectCancellation";
const RECORD: &str = "OrderService/RecordPayment";

/// The longest text of so many characters.
fn long(characters: usize) -> String {
    "𝕋".repeat(characters)
}

async fn talkative(t: &TestServer) -> Store {
    let policy = FirstPolicy::document(documents::consent("REFUSE", "BAR"));
    t.create_shop("talk", policy).await;
    let store = t.store_as("talk", Role::Storefront, "web");
    new_order(&store, "A-1").await.unwrap();
    pay(&store, "A-1").await;
    store
}

fn request(note: String, evidence: Vec<String>) -> pb::RequestCancellationRequest {
    let unit = pb::LineQuantity {
        line_id: "A-1:l1".to_owned(),
        quantity: 1,
    };
    let lines = pb::LineSelection { lines: vec![unit] };
    pb::RequestCancellationRequest {
        store_id: "talk".to_owned(),
        order_id: "A-1".to_owned(),
        selection: Some(Selection::Lines(lines)),
        reason: "NO_LONGER_WANTED".to_owned(),
        note,
        evidence,
        ..Default::default()
    }
}

fn captured(event: &str) -> pb::RecordPaymentRequest {
    pb::RecordPaymentRequest {
        store_id: "talk".to_owned(),
        order_id: "A-1".to_owned(),
        request_id: "00000000-0000-4000-8000-000000000007".to_owned(),
        provider_payment_id: "another".to_owned(),
        provider_event_id: event.to_owned(),
        fact: pb::PaymentFact::Attempted.into(),
        method: "CREDIT_CARD".to_owned(),
        ..Default::default()
    }
}

/// One unit is asked for again and again with the longest note and evidence, and each time it is
/// said no to with the same.
async fn write_until_refused(t: &TestServer) -> usize {
    let raw = t.raw();
    let evidence = vec![long(512); 10];
    for asked in 0.. {
        let wordy = request(long(2_000), evidence.clone());
        let answer: Result<pb::RequestCancellationResponse, _> =
            raw.send("storefront", REQUEST, wordy.clone()).await;
        let Ok(answer) = answer else {
            let refused = raw.refused("storefront", REQUEST, wordy).await;
            let expected = (Code::FailedPrecondition, "LIMIT_REACHED");
            assert_eq!(refused.what(), expected);
            assert_eq!(refused.metadata["limit"], "bytes of texts");
            assert_eq!(refused.metadata["limit_max"], (512 * 1024).to_string());
            return asked;
        };
        let reject = pb::RejectCancellationRequest {
            store_id: "talk".to_owned(),
            cancellation_id: answer.cancellation.unwrap().cancellation_id,
            code: "NO".to_owned(),
            note: long(2_000),
            evidence: evidence.clone(),
            ..Default::default()
        };
        let _: pb::RejectCancellationResponse = raw.send("seller", REJECT, reject).await.unwrap();
    }
    unreachable!("there is a limit")
}

#[test]
fn an_order_that_much_was_written_about_is_read_by_every_client() {
    run(async |t| {
        talkative(t).await;
        let asked = write_until_refused(t).await;
        assert!(
            (5..20).contains(&asked),
            "{asked} requests of 28 KB and as much for each no"
        );
        let raw = t.raw();
        // Who only asks may still ask, and an answer may be given with words.
        let _: pb::RequestCancellationResponse = raw
            .send("storefront", REQUEST, request(String::new(), vec![]))
            .await
            .unwrap();
        let get = pb::GetOrderRequest {
            store_id: "talk".to_owned(),
            order_id: "A-1".to_owned(),
        };
        // These clients take 4 MiB.
        let read: pb::GetOrderResponse = raw
            .send("storefront", "OrderService/GetOrder", get)
            .await
            .unwrap();
        let bytes = read.encoded_len();
        assert!(
            (512 * 1024 - 60_000..1024 * 1024).contains(&bytes),
            "{bytes}"
        );
    });
}

#[test]
fn what_is_kept_of_an_answer_does_not_grow_with_the_order() {
    run(async |t| {
        talkative(t).await;
        write_until_refused(t).await;
        let raw = t.raw();
        let first: pb::RecordPaymentResponse =
            raw.send("payments", RECORD, captured("e1")).await.unwrap();
        assert!(first.encoded_len() > 400 * 1024, "{}", first.encoded_len());
        let kept = "SELECT LENGTH(answer) FROM requests WHERE request_id = ?";
        let id = uuid::Uuid::parse_str(&captured("e1").request_id).unwrap();
        let (kept,): (usize,) = t.database.row(kept, (id.as_bytes().to_vec(),)).await;
        assert!(kept < 256, "{kept}");
        // Again: the order as it stands, which has not changed, and then as it has.
        let again: pb::RecordPaymentResponse =
            raw.send("payments", RECORD, captured("e1")).await.unwrap();
        assert_eq!(again, first);
        let _: pb::RequestCancellationResponse = raw
            .send("storefront", REQUEST, request(String::new(), vec![]))
            .await
            .unwrap();
        let later: pb::RecordPaymentResponse =
            raw.send("payments", RECORD, captured("e1")).await.unwrap();
        let (later, first) = (later.order.unwrap(), first.order.unwrap());
        assert_eq!(later.cancellations.len(), first.cancellations.len() + 1);
        assert_ne!(later.etag, first.etag);
        let reused = raw.refused("payments", RECORD, captured("e2")).await;
        assert_eq!(reused.what(), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    });
}

#[test]
fn an_order_has_a_thousand_contents_and_no_more() {
    run(async |t| {
        let content = |line_number| pb::NewShipmentContent {
            line_number,
            quantity: 1,
        };
        let line = pb::NewLine {
            sku: "MUG".to_owned(),
            title: "Mug".to_owned(),
            quantity: 6,
            goods: Some(pb::Money {
                currency_code: "EUR".to_owned(),
                minor_units: 600,
            }),
            ..Default::default()
        };
        let shipment = pb::NewShipment {
            contents: (1..=200).map(content).collect(),
            ..Default::default()
        };
        let mut order = pb::CreateOrderRequest {
            store_id: belay_tests::SHOP.to_owned(),
            order_id: "A-1".to_owned(),
            buyer: Some(pb::Buyer {
                id: "ann".to_owned(),
                ..Default::default()
            }),
            seller_id: "acme".to_owned(),
            destination: Some(pb::Destination {
                country_code: "DE".to_owned(),
                ..Default::default()
            }),
            lines: vec![line; 200],
            shipments: vec![shipment.clone(); 5],
            ..Default::default()
        };
        for line in &mut order.lines {
            line.quantity = 5;
        }
        let mut beyond = order.clone();
        beyond.lines[0].quantity = 6;
        beyond.shipments.push(pb::NewShipment {
            contents: vec![content(1)],
            ..shipment
        });
        let raw = t.raw();
        let create = "OrderService/CreateOrder";
        let refused = raw.refused("storefront", create, beyond).await;
        assert_eq!(refused.fields, ["shipments"]);
        let taken: pb::CreateOrderResponse = raw.send("storefront", create, order).await.unwrap();
        assert_eq!(taken.order.unwrap().shipments.len(), 5);
    });
}
