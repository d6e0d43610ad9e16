//! Facts that are none: of payments, of tracking, of refunds.

use belay_proto::v1 as pb;
use belay_tests::{SHOP, run};
use tonic::Code;

use super::{Row, each_is_an_invalid_field, eur, is_refused, is_taken, long, time};

#[test]
fn each_field_of_a_payment_fact_is_checked() {
    let rows: Vec<Row<pb::RecordPaymentRequest>> = vec![
        ("store_id", |r| r.store_id = "a b".to_owned()),
        ("request_id", |r| r.request_id = long(36)),
        ("order_id", |r| r.order_id.clear()),
        ("provider_payment_id", |r| r.provider_payment_id.clear()),
        ("provider_payment_id", |r| r.provider_payment_id = long(129)),
        ("provider_payment_id", |r| {
            r.provider_payment_id = "a b".to_owned()
        }),
        ("provider_event_id", |r| r.provider_event_id.clear()),
        ("provider_event_id", |r| {
            r.provider_event_id = "é".to_owned()
        }),
        ("fact", |r| r.fact = 0),
        ("fact", |r| r.fact = 99),
        ("fact", |r| r.fact = -1),
        ("amount", |r| r.amount = None),
        ("amount.minor_units", |r| r.amount = eur(0)),
        ("amount.minor_units", |r| r.amount = eur(-1)),
        ("amount.minor_units", |r| r.amount = eur(i64::MAX)),
        ("amount.currency_code", |r| {
            r.amount.as_mut().unwrap().currency_code = "eur".to_owned()
        }),
        ("amount", |r| r.fact = pb::PaymentFact::Attempted.into()),
        ("method", |r| r.method = "credit card".to_owned()),
        ("method", |r| r.method = "X".repeat(64)),
        // The first fact of a payment tells how it is paid.
        ("method", |r| r.method.clear()),
        ("occurred_time.nanos", |r| {
            r.occurred_time = time(1_700_000_000, -1)
        }),
        ("occurred_time.nanos", |r| {
            r.occurred_time = time(1_700_000_000, 1_000_000_000)
        }),
        ("occurred_time", |r| r.occurred_time = time(-1, 0)),
        ("occurred_time", |r| {
            r.occurred_time = time(7_258_118_400, 0)
        }),
        ("occurred_time", |r| r.occurred_time = time(i64::MAX, 0)),
    ];
    run(async |t| {
        t.place("A-1").await;
        let right = pb::RecordPaymentRequest {
            store_id: SHOP.to_owned(),
            order_id: "A-1".to_owned(),
            provider_payment_id: long(128),
            provider_event_id: long(128),
            fact: pb::PaymentFact::Captured.into(),
            amount: eur(1),
            method: "X".repeat(63),
            occurred_time: time(7_258_118_399, 999_999_999),
            ..Default::default()
        };
        let method = "OrderService/RecordPayment";
        each_is_an_invalid_field(t, "payments", method, &right, &rows).await;
        let unknown = pb::RecordPaymentRequest {
            order_id: "A-2".to_owned(),
            ..right.clone()
        };
        is_refused(
            t,
            "payments",
            method,
            unknown,
            Code::NotFound,
            "ORDER_NOT_FOUND",
        )
        .await;
        let _: pb::RecordPaymentResponse = is_taken(&t.raw(), "payments", method, right).await;
    });
}

#[test]
fn each_field_of_a_tracking_fact_is_checked() {
    let rows: Vec<Row<pb::RecordTrackingRequest>> = vec![
        ("request_id", |r| r.request_id = "x".to_owned()),
        ("shipment_id", |r| r.shipment_id.clear()),
        ("shipment_id", |r| r.shipment_id = "A-1".to_owned()),
        ("shipment_id", |r| r.shipment_id = "A-1:c1".to_owned()),
        ("shipment_id", |r| r.shipment_id = "A-1:s0".to_owned()),
        ("shipment_id", |r| r.shipment_id = "A-1:s-1".to_owned()),
        ("shipment_id", |r| r.shipment_id = "A-1:s01".to_owned()),
        ("shipment_id", |r| {
            r.shipment_id = "A-1:s9999999999".to_owned()
        }),
        ("shipment_id", |r| r.shipment_id = "A 1:s1".to_owned()),
        ("shipment_id", |r| {
            r.shipment_id = format!("{}:s1", long(65))
        }),
        ("carrier_event_id", |r| r.carrier_event_id.clear()),
        ("carrier_event_id", |r| r.carrier_event_id = long(129)),
        ("fact", |r| r.fact = 0),
        ("fact", |r| r.fact = 7),
        ("occurred_time", |r| {
            r.occurred_time = time(-62_135_596_800, 0)
        }),
    ];
    run(async |t| {
        t.place("A-1").await;
        let right = pb::RecordTrackingRequest {
            store_id: SHOP.to_owned(),
            shipment_id: "A-1:s1".to_owned(),
            carrier_event_id: long(128),
            fact: pb::TrackingFact::PickedUp.into(),
            occurred_time: time(0, 0),
            ..Default::default()
        };
        let method = "FulfillmentService/RecordTracking";
        each_is_an_invalid_field(t, "carrier", method, &right, &rows).await;
        let _: pb::RecordTrackingResponse = is_taken(&t.raw(), "carrier", method, right).await;
    });
}

#[test]
fn each_field_of_a_step_of_a_shipment_is_checked() {
    let rows: Vec<Row<pb::DispatchShipmentRequest>> = vec![
        ("shipment_id", |r| r.shipment_id = "s1".to_owned()),
        ("fence", |r| r.fence = 0),
        ("fence", |r| r.fence = -1),
        ("fence", |r| r.fence = i64::MAX),
        ("etag", |r| r.etag = "1".to_owned()),
        ("etag", |r| r.etag = "\"x\"".to_owned()),
        ("tracking_number", |r| r.tracking_number = long(129)),
        ("tracking_number", |r| r.tracking_number = "a b".to_owned()),
    ];
    let steps: Vec<Row<pb::StartPreparationRequest>> = vec![
        ("fence", |r| r.fence = -1),
        ("shipment_id", |r| r.shipment_id.clear()),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        let right = pb::StartPreparationRequest {
            store_id: SHOP.to_owned(),
            shipment_id: "A-1:s1".to_owned(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "warehouse",
            "FulfillmentService/StartPreparation",
            &right,
            &steps,
        )
        .await;
        each_is_an_invalid_field(
            t,
            "warehouse",
            "FulfillmentService/MarkReady",
            &right,
            &steps,
        )
        .await;
        let right = pb::DispatchShipmentRequest {
            store_id: SHOP.to_owned(),
            shipment_id: "A-1:s1".to_owned(),
            fence: 1,
            tracking_number: long(128),
            ..Default::default()
        };
        let method = "FulfillmentService/DispatchShipment";
        each_is_an_invalid_field(t, "warehouse", method, &right, &rows).await;
        let stale = pb::DispatchShipmentRequest {
            fence: 2,
            ..right.clone()
        };
        is_refused(t, "warehouse", method, stale, Code::Aborted, "FENCE_STALE").await;
        let other_state = pb::DispatchShipmentRequest {
            etag: "\"1\"".to_owned(),
            ..right.clone()
        };
        is_refused(
            t,
            "warehouse",
            method,
            other_state,
            Code::Aborted,
            "ETAG_MISMATCH",
        )
        .await;
        let _: pb::DispatchShipmentResponse = is_taken(&t.raw(), "warehouse", method, right).await;
    });
}

#[test]
fn each_field_of_a_claim_and_of_a_result_is_checked() {
    let claims: Vec<Row<pb::ClaimRefundsRequest>> = vec![
        ("worker_id", |r| r.worker_id.clear()),
        ("worker_id", |r| r.worker_id = "a/b".to_owned()),
        ("max_refunds", |r| r.max_refunds = -1),
        ("max_refunds", |r| r.max_refunds = 101),
        ("lease", |r| {
            r.lease = Some(prost_types::Duration {
                seconds: 9,
                nanos: 999_999_999,
            })
        }),
        ("lease", |r| {
            r.lease = Some(prost_types::Duration {
                seconds: 900,
                nanos: 1,
            })
        }),
        ("lease", |r| {
            r.lease = Some(prost_types::Duration {
                seconds: -60,
                nanos: 0,
            })
        }),
        ("lease", |r| {
            r.lease = Some(prost_types::Duration {
                seconds: i64::MAX,
                nanos: 0,
            })
        }),
    ];
    let results: Vec<Row<pb::RecordRefundResultRequest>> = vec![
        ("refund_id", |r| r.refund_id = "A-1:p1".to_owned()),
        ("result", |r| r.result = 0),
        ("result", |r| r.result = 4),
        ("amount.minor_units", |r| r.amount = eur(-1)),
        ("amount.minor_units", |r| r.amount = eur(0)),
        ("amount", |r| r.result = pb::RefundResult::Failed.into()),
        ("failure_code", |r| {
            r.failure_code = "EXPIRED_CARD".to_owned()
        }),
        ("failure_code", |r| r.failure_code = long(129)),
        ("failure_code", |r| r.failure_code = "é".to_owned()),
        ("provider_refund_id", |r| r.provider_refund_id = long(129)),
        ("occurred_time", |r| r.occurred_time = time(-1, 0)),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let claim = pb::ClaimRefundsRequest {
            store_id: SHOP.to_owned(),
            worker_id: long(64),
            max_refunds: 100,
            lease: Some(prost_types::Duration {
                seconds: 900,
                nanos: 0,
            }),
        };
        each_is_an_invalid_field(t, "payments", "RefundService/ClaimRefunds", &claim, &claims)
            .await;
        let _: pb::ClaimRefundsResponse =
            is_taken(&t.raw(), "payments", "RefundService/ClaimRefunds", claim).await;
        let result = pb::RecordRefundResultRequest {
            store_id: SHOP.to_owned(),
            refund_id: "A-1:r1".to_owned(),
            result: pb::RefundResult::Settled.into(),
            amount: eur(2_249),
            ..Default::default()
        };
        let method = "RefundService/RecordRefundResult";
        each_is_an_invalid_field(t, "payments", method, &result, &results).await;
        let _: pb::RecordRefundResultResponse =
            is_taken(&t.raw(), "payments", method, result).await;
    });
}
