//! Models as JSON, as a web shop hands them on.

use belay_client::model::{OrderState, PaymentFact};
use belay_client::{OrderId, RequestId, Units, reason};
use belay_testing::{Server, place_paid};
use serde_json::json;

#[tokio::test]
async fn an_order_is_written_as_json_and_its_ids_are_read_from_it() {
    let start = "2026-03-02T09:00:00Z".parse().unwrap();
    let server = Server::builder().stopped_at(start).start().await;
    let store = server.store("demo", "independent-site").await.unwrap();
    place_paid(&store, "A-1").await.unwrap();
    let request = store.request_cancellation("A-1", Units::line("A-1:l1", 1));
    request.reason(reason::NO_LONGER_WANTED).await.unwrap();
    let order = store.get_order("A-1").await.unwrap();

    let json = serde_json::to_value(&order).unwrap();
    assert_eq!(json["order_id"], "A-1");
    assert_eq!(json["state"], "TO_SHIP");
    assert_eq!(json["create_time"], "2026-03-02T09:00:00Z");
    assert_eq!(json["lines"][0]["line_id"], "A-1:l1");
    let refund = &json["cancellations"][0]["expected_refund"]["total"];
    assert_eq!(
        *refund,
        json!({"currency_code": "EUR", "minor_units": 1_200})
    );

    let id: OrderId = serde_json::from_value(json["order_id"].clone()).unwrap();
    assert_eq!(id, order.order_id);
    assert!(serde_json::from_value::<OrderId>(json!("not an id")).is_err());
    let request_id = RequestId::mint();
    let text = serde_json::to_string(&request_id).unwrap();
    assert_eq!(
        serde_json::from_str::<RequestId>(&text).unwrap(),
        request_id
    );
}

#[test]
fn a_value_of_a_newer_server_is_written_as_its_number() {
    let json = serde_json::to_value([OrderState::Unrecognized(99), OrderState::Shipped]).unwrap();
    assert_eq!(json, json!([99, "SHIPPED"]));
    assert_eq!(
        serde_json::to_value(PaymentFact::Captured).unwrap(),
        "CAPTURED"
    );
}
