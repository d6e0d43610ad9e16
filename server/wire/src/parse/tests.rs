//! Bad input, one row each: what is changed in a good request, and the fields that are then
//! refused. All of them, and no other.

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::{Command, CreateOrder, RequestCancellation, Selection, Work};
use belay_domain::ids::CarrierId;
use belay_domain::order::OrderState;
use belay_domain::payment::PaymentFact;
use belay_domain::scope::Caller;
use belay_domain::terms::Path;
use belay_proto::v1::create_store_request::Policy as PolicyChoice;
use belay_proto::v1::request_cancellation_request::Selection as Selected;

use super::stores::{create_store, put_carrier, put_warehouse};
use super::*;

mod answers;

const KEY: [u8; 32] = [9; 32];

fn euro(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    })
}

fn fields<T: std::fmt::Debug>(result: Result<T, CallError>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(CallError::InvalidFields { violations, .. }) => violations
            .into_iter()
            .map(|violation| violation.field)
            .collect(),
        Err(CallError::CurrencyMismatch { expected, field }) => {
            vec![format!("{field}: not {}", expected.code())]
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn good_order() -> pb::CreateOrderRequest {
    let line = pb::NewLine {
        sku: "mug".to_owned(),
        title: "Mug".to_owned(),
        quantity: 2,
        goods: euro(2_000),
        discount: euro(100),
        tax: euro(380),
    };
    pb::CreateOrderRequest {
        store_id: "demo".to_owned(),
        order_id: "A-1".to_owned(),
        buyer: Some(pb::Buyer {
            id: "ann".to_owned(),
            email: "ann@example.com".to_owned(),
            username: String::new(),
        }),
        seller_id: "acme".to_owned(),
        destination: Some(pb::Destination {
            country_code: "DE".to_owned(),
            ..pb::Destination::default()
        }),
        lines: vec![line.clone(), line],
        shipping: Some(pb::ShippingCharge {
            amount: euro(490),
            tax: None,
        }),
        ..pb::CreateOrderRequest::default()
    }
}

/// With the request of a caller who sees everything.
fn reading<T>(read: impl FnOnce(&Reader<'_>) -> Result<T, CallError>) -> Result<T, CallError> {
    let caller = Caller::everywhere(Actor::new(Role::Support, "ann"));
    read(&Reader {
        caller: &caller,
        identity_key: &KEY,
        former_identity_keys: &[],
    })
}

fn command(read: Result<CommandRequest, CallError>) -> Result<Command, CallError> {
    read.map(|request| match request.work {
        Work::Decide(command) => command,
        Work::Create(order) => panic!("{order:?}"),
    })
}

fn read_order(request: pb::CreateOrderRequest) -> Result<CreateOrder, CallError> {
    let read = reading(|reader| orders::create_order(request, reader));
    read.map(|request| match request.work {
        Work::Create(order) => order,
        Work::Decide(command) => panic!("{command:?}"),
    })
}

#[test]
fn a_shipment_may_leave_its_route_to_the_store() {
    let mut request = good_order();
    request.shipments = vec![pb::NewShipment {
        carrier_id: "post".to_owned(),
        ..shipment(&[(1, 1)])
    }];
    let order = read_order(request).unwrap();
    let [only] = order.shipments.as_slice() else {
        panic!("{:?}", order.shipments)
    };
    assert_eq!(
        (&only.warehouse, &only.carrier),
        (&None, &CarrierId::parse("post").ok())
    );
}

fn shipment(contents: &[(i32, i32)]) -> pb::NewShipment {
    let content = |(line_number, quantity)| pb::NewShipmentContent {
        line_number,
        quantity,
    };
    pb::NewShipment {
        contents: contents.iter().copied().map(content).collect(),
        ..pb::NewShipment::default()
    }
}

#[test]
fn a_good_order_is_read() {
    let order = read_order(good_order()).unwrap();
    assert_eq!(order.lines.len(), 2);
    assert_eq!(
        (order.currency.code(), order.shipping, order.shipping_tax),
        ("EUR", 490, 0)
    );
    assert!(order.buyer.email_hash.is_some() && order.buyer.username_hash.is_none());
    let spread = pb::CreateOrderRequest {
        shipments: vec![shipment(&[(1, 2), (2, 1)]), shipment(&[(2, 1)])],
        ..good_order()
    };
    let spread = read_order(spread).unwrap();
    assert_eq!(spread.shipments[0].contents, [(1, 2), (2, 1)]);
    assert_eq!(spread.shipments[1].contents, [(2, 1)]);
}

#[test]
fn every_violation_of_an_order_is_told() {
    type Row = (fn(&mut pb::CreateOrderRequest), &'static [&'static str]);
    let rows: &[Row] = &[
        (|r| r.order_id = String::new(), &["order_id"]),
        (|r| r.order_id = "A:1".to_owned(), &["order_id"]),
        (|r| r.order_id = "x".repeat(65), &["order_id"]),
        (|r| r.buyer = None, &["buyer.id"]),
        (
            |r| r.buyer.as_mut().unwrap().email = "x".repeat(255),
            &["buyer.email"],
        ),
        (
            |r| r.buyer.as_mut().unwrap().email = "a\0@b".to_owned(),
            &["buyer.email"],
        ),
        (
            |r| r.buyer.as_mut().unwrap().username = "  ".to_owned(),
            &["buyer.username"],
        ),
        (|r| r.seller_id = "é".to_owned(), &["seller_id"]),
        (|r| r.destination = None, &["destination.country_code"]),
        (
            |r| r.destination.as_mut().unwrap().country_code = "de".to_owned(),
            &["destination.country_code"],
        ),
        (
            |r| r.destination.as_mut().unwrap().city = "x".repeat(129),
            &["destination.city"],
        ),
        (|r| r.lines.clear(), &["lines"]),
        (|r| r.lines = vec![r.lines[0].clone(); 201], &["lines"]),
        (|r| r.lines[1].sku = "a b".to_owned(), &["lines[1].sku"]),
        (|r| r.lines[1].title = "x".repeat(257), &["lines[1].title"]),
        (
            |r| r.lines[0].title = "a\nb".to_owned(),
            &["lines[0].title"],
        ),
        (|r| r.lines[0].quantity = 0, &["lines[0].quantity"]),
        (|r| r.lines[0].quantity = -1, &["lines[0].quantity"]),
        (|r| r.lines[0].quantity = 1_000_001, &["lines[0].quantity"]),
        (|r| r.lines[0].goods = None, &["lines[0].goods"]),
        (
            |r| r.lines[0].goods = euro(-1),
            &["lines[0].goods.minor_units"],
        ),
        (
            |r| r.lines[0].tax = euro(i64::MAX),
            &["lines[0].tax.minor_units"],
        ),
        (|r| r.lines[0].tax = euro(AMOUNT_MINOR_MAX), &["lines"]),
        (
            |r| r.lines[0].discount = euro(2_001),
            &["lines[0].discount"],
        ),
        (
            |r| r.lines[0].goods.as_mut().unwrap().currency_code = "EURO".to_owned(),
            &["lines[0].goods.currency_code"],
        ),
        (
            |r| r.lines[0].goods.as_mut().unwrap().currency_code = String::new(),
            &["lines[0].goods.currency_code"],
        ),
        (
            |r| r.lines[1].goods.as_mut().unwrap().currency_code = "USD".to_owned(),
            &["lines[1].goods.currency_code: not EUR"],
        ),
        (
            |r| r.shipping.as_mut().unwrap().tax = euro(-5),
            &["shipping.tax.minor_units"],
        ),
        (
            |r| r.shipments = vec![shipment(&[(1, 1)]); 51],
            &["shipments"],
        ),
        (
            |r| r.shipments = vec![shipment(&[])],
            &["shipments[0].contents"],
        ),
        (
            |r| r.shipments = vec![shipment(&[(0, 1)])],
            &["shipments[0].contents[0].line_number"],
        ),
        (
            |r| r.shipments = vec![shipment(&[(1, 0)])],
            &["shipments[0].contents[0].quantity"],
        ),
        (
            |r| r.shipments = vec![shipment(&[(1, 1), (1, 1)])],
            &["shipments[0].contents[1].line_number"],
        ),
        (
            |r| {
                r.order_id = String::new();
                r.seller_id = String::new();
                r.lines[0].quantity = 0;
                r.lines[1].goods = euro(-1);
                r.shipments = vec![pb::NewShipment {
                    warehouse_id: "a b".to_owned(),
                    ..shipment(&[(1, 1)])
                }];
            },
            &[
                "order_id",
                "seller_id",
                "lines[0].quantity",
                "lines[1].goods.minor_units",
                "shipments[0].warehouse_id",
            ],
        ),
    ];
    for (index, (spoil, expected)) in rows.iter().enumerate() {
        let mut request = good_order();
        spoil(&mut request);
        assert_eq!(fields(read_order(request)), *expected, "row {index}");
    }
}

#[test]
fn limits_are_inclusive() {
    let mut order = good_order();
    order.order_id = "x".repeat(64);
    order.lines = vec![order.lines[0].clone(); 200];
    order.lines[0].quantity = 1_000_000;
    order.lines[0].title = "ü".repeat(256);
    assert_eq!(fields(read_order(order)), [""; 0]);
}

#[test]
fn a_request_id_is_a_hyphenated_uuid_or_nothing() {
    let read = |text: &str| parse(|v| request_id(v, text));
    assert_eq!(read(""), Ok(None));
    assert!(
        read("123e4567-e89b-42d3-a456-426614174000")
            .unwrap()
            .is_some()
    );
    for odd in [
        "1",
        "123e4567e89b42d3a456426614174000",
        "{123e4567-e89b-42d3-a456-426614174000}",
        &Uuid::nil().to_string(),
    ] {
        assert_eq!(fields(read(odd)), ["request_id"], "{odd}");
    }
}

#[test]
fn an_etag_comes_back_as_it_was_given() {
    let read = |text: &str| parse(|v| etag(v, "etag", text));
    assert_eq!(read(""), Ok(None));
    assert_eq!(read(&crate::values::etag(7)), Ok(Some(7)));
    for odd in [
        "7",
        "\"\"",
        "\"+7\"",
        "\"07\"",
        "\"-1\"",
        "W/\"7\"",
        "\"99999999999999999999\"",
        "\"7",
    ] {
        assert_eq!(fields(read(odd)), ["etag"], "{odd}");
    }
}

#[test]
fn a_time_lies_in_the_years_1970_to_2199_and_is_cut_to_the_microsecond() {
    let read =
        |seconds, nanos| parse(|v| time(v, "at", Some(prost_types::Timestamp { seconds, nanos })));
    assert_eq!(read(5, 1_999), Ok(Some(Timestamp::new(5, 1_000).unwrap())));
    assert_eq!(read(0, 0), Ok(Some(Timestamp::UNIX_EPOCH)));
    assert_eq!(
        read(7_258_118_399, 999_999_999)
            .unwrap()
            .unwrap()
            .to_string(),
        "2199-12-31T23:59:59.999999Z"
    );
    for (seconds, nanos) in [(-1, 0), (7_258_118_400, 0), (i64::MAX, 0), (i64::MIN, 0)] {
        assert_eq!(fields(read(seconds, nanos)), ["at"], "{seconds}");
    }
    assert_eq!(fields(read(1, -1)), ["at.nanos"]);
    assert_eq!(fields(read(1, 1_000_000_000)), ["at.nanos"]);
    assert_eq!(parse(|v| time(v, "at", None)), Ok(None));
}

fn good_cancellation() -> pb::RequestCancellationRequest {
    pb::RequestCancellationRequest {
        store_id: "demo".to_owned(),
        order_id: "A-1".to_owned(),
        selection: Some(Selected::All(pb::AllUnits {})),
        ..pb::RequestCancellationRequest::default()
    }
}

fn read_cancellation(
    request: pb::RequestCancellationRequest,
) -> Result<RequestCancellation, CallError> {
    let read = reading(|reader| cancellations::request_cancellation(request, reader));
    command(read).map(|command| {
        let Command::RequestCancellation(request) = command else {
            panic!("{command:?}")
        };
        request
    })
}

fn selected(lines: &[(&str, i32)]) -> Option<Selected> {
    let line = |(line_id, quantity): &(&str, i32)| pb::LineQuantity {
        line_id: (*line_id).to_owned(),
        quantity: *quantity,
    };
    Some(Selected::Lines(pb::LineSelection {
        lines: lines.iter().map(line).collect(),
    }))
}

#[test]
fn a_cancellation_without_paths_is_on_the_path_cancel() {
    let read = read_cancellation(good_cancellation()).unwrap();
    assert_eq!(
        (read.paths, read.selection, read.note),
        (vec![Path::Cancel], Selection::All, None)
    );
    let read = read_cancellation(pb::RequestCancellationRequest {
        paths: vec![2, 1],
        note: "two\nlines".to_owned(),
        ..good_cancellation()
    });
    assert_eq!(read.unwrap().paths, [Path::Intercept, Path::Cancel]);
}

#[test]
fn every_violation_of_a_cancellation_is_told() {
    type Row = (
        fn(&mut pb::RequestCancellationRequest),
        &'static [&'static str],
    );
    let rows: &[Row] = &[
        (|r| r.selection = None, &["all"]),
        (|r| r.selection = selected(&[]), &["lines.lines"]),
        (
            |r| r.selection = selected(&[("A-1:l1", 1); 201]),
            &["lines.lines"],
        ),
        (
            |r| r.selection = selected(&[("A-1:l1", 0)]),
            &["lines.lines[0].quantity"],
        ),
        (
            |r| r.selection = selected(&[("A-1:l1", -3)]),
            &["lines.lines[0].quantity"],
        ),
        (
            |r| r.selection = selected(&[("l1", 1)]),
            &["lines.lines[0].line_id"],
        ),
        (
            |r| r.selection = selected(&[("A-2:l1", 1)]),
            &["lines.lines[0].line_id"],
        ),
        (
            |r| r.selection = selected(&[("A-1:s1", 1)]),
            &["lines.lines[0].line_id"],
        ),
        (
            |r| r.selection = selected(&[("A-1:l1", 1), ("A-1:l1", 1)]),
            &["lines.lines[1].line_id"],
        ),
        (
            |r| r.selection = Some(Selected::ShipmentId("A-1:c1".to_owned())),
            &["shipment_id"],
        ),
        (
            |r| r.selection = Some(Selected::ShipmentId("B-1:s1".to_owned())),
            &["shipment_id"],
        ),
        (|r| r.reason = "no longer wanted".to_owned(), &["reason"]),
        (|r| r.reason = "X".repeat(64), &["reason"]),
        (|r| r.note = "x".repeat(2_001), &["note"]),
        (|r| r.note = "a\u{7}b".to_owned(), &["note"]),
        (|r| r.evidence = vec!["x".to_owned(); 11], &["evidence"]),
        (
            |r| r.evidence = vec!["x".to_owned(), " ".to_owned()],
            &["evidence[1]"],
        ),
        (|r| r.evidence = vec!["x".repeat(513)], &["evidence[0]"]),
        (|r| r.paths = vec![0], &["paths[0]"]),
        (|r| r.paths = vec![1, 99], &["paths[1]"]),
        (|r| r.paths = vec![1, 2, 1], &["paths[2]"]),
        (|r| r.on_ineligible_units = 9, &["on_ineligible_units"]),
        (
            |r| r.on_behalf_of = Some(pb::OnBehalfOf::default()),
            &["on_behalf_of"],
        ),
        (
            |r| {
                let buyer = Some(pb::on_behalf_of::Buyer::BuyerEmail(String::new()));
                r.on_behalf_of = Some(pb::OnBehalfOf { buyer });
            },
            &["on_behalf_of.buyer_email"],
        ),
        (
            |r| {
                r.selection = selected(&[("A-1:l1", 0), ("x", 1)]);
                r.reason = "x".to_owned();
                r.paths = vec![0];
            },
            &[
                "lines.lines[0].quantity",
                "lines.lines[1].line_id",
                "reason",
                "paths[0]",
            ],
        ),
    ];
    for (index, (spoil, expected)) in rows.iter().enumerate() {
        let mut request = good_cancellation();
        spoil(&mut request);
        assert_eq!(fields(read_cancellation(request)), *expected, "row {index}");
    }
}

#[test]
fn a_payment_fact_has_an_amount_where_money_moves_and_nowhere_else() {
    let read = |fact: i32, amount: Option<pb::Money>| {
        let request = pb::RecordPaymentRequest {
            store_id: "demo".to_owned(),
            order_id: "A-1".to_owned(),
            provider_payment_id: "p".to_owned(),
            provider_event_id: "e".to_owned(),
            fact,
            amount,
            method: "CREDIT_CARD".to_owned(),
            ..pb::RecordPaymentRequest::default()
        };
        command(reading(|reader| orders::record_payment(request, reader)))
    };
    for fact in PaymentFact::ALL {
        // Whether it may be read with an amount, and without one.
        let expected = match fact {
            PaymentFact::Authorized
            | PaymentFact::Captured
            | PaymentFact::RefundedOutside
            | PaymentFact::Chargeback => (true, false),
            PaymentFact::Attempted | PaymentFact::Declined => (false, true),
            PaymentFact::Voided | PaymentFact::ChargebackReversed => (true, true),
        };
        let (with, without) = (read(fact.number(), euro(5)), read(fact.number(), None));
        assert_eq!((with.is_ok(), without.is_ok()), expected, "{fact}");
        for refused in [with, without].into_iter().filter(Result::is_err) {
            assert_eq!(fields(refused), ["amount"], "{fact}");
        }
    }
    assert_eq!(
        fields(read(PaymentFact::Captured.number(), euro(0))),
        ["amount.minor_units"]
    );
    assert_eq!(fields(read(0, None)), ["fact"]);
    assert_eq!(fields(read(77, euro(-1))), ["fact", "amount.minor_units"]);
}

#[test]
fn every_violation_of_a_payment_is_told() {
    let request = pb::RecordPaymentRequest {
        store_id: "demo".to_owned(),
        order_id: "A-1".to_owned(),
        provider_payment_id: "a b".to_owned(),
        method: "card".to_owned(),
        occurred_time: Some(prost_types::Timestamp {
            seconds: -1,
            nanos: 0,
        }),
        ..pb::RecordPaymentRequest::default()
    };
    let expected = [
        "provider_payment_id",
        "provider_event_id",
        "fact",
        "method",
        "occurred_time",
    ];
    assert_eq!(
        fields(command(reading(|reader| orders::record_payment(
            request, reader
        )))),
        expected
    );
}

#[test]
fn a_payment_fact_names_a_refund_of_this_order_where_money_went_back_outside() {
    let read = |fact: PaymentFact, refund_id: &str| {
        let request = pb::RecordPaymentRequest {
            store_id: "demo".to_owned(),
            order_id: "A-1".to_owned(),
            provider_payment_id: "p".to_owned(),
            provider_event_id: "e".to_owned(),
            fact: fact.number(),
            amount: euro(5),
            movement_id: "re_1".to_owned(),
            refund_id: refund_id.to_owned(),
            ..pb::RecordPaymentRequest::default()
        };
        let read = reading(|reader| orders::record_payment(request, reader));
        command(read).map(|command| {
            let Command::RecordPayment(payment) = command else {
                panic!("{command:?}")
            };
            payment
        })
    };
    assert_eq!(
        read(PaymentFact::RefundedOutside, "A-1:r7").unwrap().refund,
        Some(7)
    );
    for (fact, refund_id) in [
        (PaymentFact::Chargeback, "A-1:r7"),
        (PaymentFact::RefundedOutside, "A-2:r7"),
        (PaymentFact::RefundedOutside, "A-1:p7"),
    ] {
        assert_eq!(
            fields(read(fact, refund_id)),
            ["refund_id"],
            "{fact} {refund_id}"
        );
    }
}

#[test]
fn a_dispatch_needs_a_fence_and_a_scan_its_event() {
    let dispatch = |fence| {
        let request = pb::DispatchShipmentRequest {
            store_id: "demo".to_owned(),
            shipment_id: "A-1:s1".to_owned(),
            fence,
            ..pb::DispatchShipmentRequest::default()
        };
        fields(reading(|reader| {
            fulfillment::dispatch_shipment(request, reader)
        }))
    };
    assert_eq!(dispatch(1), [""; 0]);
    for fence in [0, -1, i64::MAX] {
        assert_eq!(dispatch(fence), ["fence"]);
    }
    let request = pb::RecordTrackingRequest {
        store_id: "demo".to_owned(),
        shipment_id: "A-1:s1".to_owned(),
        ..Default::default()
    };
    let scan = fields(reading(|reader| {
        fulfillment::record_tracking(request, reader)
    }));
    assert_eq!(scan, ["carrier_event_id", "fact"]);
}

#[test]
fn a_lease_has_a_range_and_a_result_its_fields() {
    let claim = |lease: Option<(i64, i32)>, max_refunds| {
        let lease = lease.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        let request = pb::ClaimRefundsRequest {
            store_id: "demo".to_owned(),
            worker_id: "w".to_owned(),
            max_refunds,
            lease,
        };
        reading(|reader| refunds::claim_refunds(request, reader))
    };
    assert_eq!(claim(None, 0).unwrap().count_max, 10);
    assert!(claim(Some((10, 0)), 100).is_ok() && claim(Some((900, 0)), 1).is_ok());
    for lease in [
        (9, 999_999_999),
        (900, 1),
        (-10, 0),
        (i64::MAX, 999_999_999),
        (20, -1),
        (i64::MIN, i32::MIN),
    ] {
        assert_eq!(fields(claim(Some(lease), 1)), ["lease"], "{lease:?}");
    }
    assert_eq!(fields(claim(None, 101)), ["max_refunds"]);
    assert_eq!(fields(claim(None, -1)), ["max_refunds"]);

    let result = |result: i32, amount| {
        let request = pb::RecordRefundResultRequest {
            store_id: "demo".to_owned(),
            refund_id: "A-1:r1".to_owned(),
            result,
            amount,
            failure_code: "ü".to_owned(),
            ..pb::RecordRefundResultRequest::default()
        };
        fields(reading(|reader| {
            refunds::record_refund_result(request, reader)
        }))
    };
    assert_eq!(result(0, None), ["result", "failure_code"]);
    assert_eq!(result(2, euro(1)), ["amount", "failure_code"]);
    assert_eq!(
        result(9, euro(-1)),
        ["result", "amount.minor_units", "failure_code"].to_vec()
    );
}

#[test]
fn administration_names_are_checked_and_defaults_filled_in() {
    let preset = Some(PolicyChoice::Preset("independent-site".to_owned()));
    let request = pb::CreateStoreRequest {
        store_id: "shop".to_owned(),
        policy: preset,
        ..Default::default()
    };
    let store = reading(|reader| create_store(request, reader)).unwrap();
    let filled = (
        &*store.display_name,
        &*store.time_zone,
        store.warehouse.as_str(),
        store.carrier.as_str(),
    );
    assert_eq!(filled, ("shop", "UTC", "main", "standard"));

    let request = pb::CreateStoreRequest {
        time_zone: "Mars/Olympus".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        fields(reading(|reader| create_store(request, reader))),
        ["store_id", "display_name", "time_zone", "preset"]
    );
    let request = pb::PutCarrierRequest {
        store_id: "shop".to_owned(),
        carrier: None,
    };
    assert_eq!(
        fields(reading(|reader| put_carrier(request, reader))),
        ["carrier"]
    );
    let warehouse = pb::Warehouse {
        time_zone: "europe/berlin".to_owned(),
        etag: "7".to_owned(),
        ..Default::default()
    };
    let request = pb::PutWarehouseRequest {
        store_id: "shop".to_owned(),
        warehouse: Some(warehouse),
    };
    let refused = fields(reading(|reader| put_warehouse(request, reader)));
    assert_eq!(
        refused,
        [
            "warehouse.warehouse_id",
            "warehouse.display_name",
            "warehouse.etag"
        ]
    );
}

#[test]
fn a_page_size_has_a_default_and_a_limit() {
    let read = |size| parse(|v| lists::page_size(v, size));
    assert_eq!((read(0), read(1), read(1_000)), (Ok(50), Ok(1), Ok(1_000)));
    for size in [-1, 1_001, i32::MIN] {
        assert_eq!(fields(read(size)), ["page_size"]);
    }
    let state = |number| parse(|v| unspecified_or::<OrderState>(v, "state", number));
    assert_eq!(state(0), Ok(None));
    assert_eq!(fields(state(42)), ["state"]);
}
