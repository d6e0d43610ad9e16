//! Lists asked wrongly.

use belay_proto::v1 as pb;
use belay_tests::{SHOP, TestServer, run};
use tonic::Code;

use super::{Row, each_is_an_invalid_field, is_refused, is_taken, long, time};

#[test]
fn a_search_is_checked() {
    use pb::find_orders_request::By;
    let email = |address: String| Some(By::BuyerEmail(address));
    let rows: Vec<Row<pb::FindOrdersRequest>> = vec![
        ("page_size", |r| r.page_size = -1),
        ("page_size", |r| r.page_size = 101),
        ("buyer_email", |r| r.by = None),
        ("buyer_email", |r| {
            r.by = Some(By::BuyerEmail(" ".to_owned()))
        }),
        ("buyer_email", |r| r.by = Some(By::BuyerEmail(long(255)))),
        ("buyer_email", |r| {
            r.by = Some(By::BuyerEmail("a\u{0}b".to_owned()))
        }),
        ("tracking_number", |r| {
            r.by = Some(By::TrackingNumber("a b".to_owned()))
        }),
        ("tracking_number", |r| {
            r.by = Some(By::TrackingNumber(long(129)))
        }),
        ("order_id_prefix", |r| {
            r.by = Some(By::OrderIdPrefix("%".to_owned()))
        }),
        ("order_id_prefix", |r| {
            r.by = Some(By::OrderIdPrefix(String::new()))
        }),
        ("order_id_prefix", |r| {
            r.by = Some(By::OrderIdPrefix(long(65)))
        }),
    ];
    run(async |t| {
        t.place("A-1").await;
        let right = pb::FindOrdersRequest {
            store_id: SHOP.to_owned(),
            page_size: 100,
            by: email(long(254)),
            ..Default::default()
        };
        let method = "OrderService/FindOrders";
        each_is_an_invalid_field(t, "support", method, &right, &rows).await;
        for by in [
            email(long(254)),
            Some(By::TrackingNumber(long(128))),
            Some(By::OrderIdPrefix(long(64))),
        ] {
            let request = pb::FindOrdersRequest {
                by,
                ..right.clone()
            };
            let _: pb::FindOrdersResponse = is_taken(&t.raw(), "support", method, request).await;
        }
    });
}

#[test]
fn each_filter_of_a_list_is_checked() {
    let orders: Vec<Row<pb::ListOrdersRequest>> = vec![
        ("page_size", |r| r.page_size = -1),
        ("page_size", |r| r.page_size = 1_001),
        ("buyer_id", |r| r.buyer_id = "a b".to_owned()),
        ("seller_id", |r| r.seller_id = long(65)),
        ("state", |r| r.state = 9),
        ("state", |r| r.state = -1),
        ("create_time_from", |r| r.create_time_from = time(-1, 0)),
        ("create_time_before.nanos", |r| {
            r.create_time_before = time(0, -1)
        }),
        ("sku", |r| r.sku = "a b".to_owned()),
        ("sku", |r| r.sku = long(129)),
        ("destination_country", |r| {
            r.destination_country = "de".to_owned()
        }),
        ("destination_city", |r| {
            r.destination_city = "Berlin".to_owned()
        }),
        ("destination_city", |r| {
            (r.destination_country, r.destination_city) = ("DE".to_owned(), long(129))
        }),
    ];
    let cancellations: Vec<Row<pb::ListCancellationsRequest>> = vec![
        ("page_size", |r| r.page_size = i32::MIN),
        ("order_id", |r| r.order_id = "A:1".to_owned()),
        ("seller_id", |r| r.seller_id = " ".to_owned()),
        ("state", |r| r.state = 5),
        ("warehouse_id", |r| r.warehouse_id = "é".to_owned()),
        ("carrier_id", |r| r.carrier_id = "a/b".to_owned()),
        ("awaiting", |r| r.awaiting = 5),
        ("respond_by_before", |r| r.respond_by_before = time(-1, 0)),
    ];
    let shipments: Vec<Row<pb::ListShipmentsRequest>> = vec![
        ("page_size", |r| r.page_size = i32::MAX),
        ("order_id", |r| r.order_id = "A:1".to_owned()),
        ("warehouse_id", |r| r.warehouse_id = "é".to_owned()),
        ("stage", |r| r.stage = 12),
        ("carrier_id", |r| r.carrier_id = long(65)),
        ("seller_id", |r| r.seller_id = "a b".to_owned()),
        ("prepare_by_before", |r| r.prepare_by_before = time(-1, 0)),
    ];
    let refunds: Vec<Row<pb::ListRefundsRequest>> = vec![
        ("page_size", |r| r.page_size = -1),
        ("order_id", |r| r.order_id = "A:1".to_owned()),
        ("state", |r| r.state = 9),
        ("seller_id", |r| r.seller_id = "a b".to_owned()),
    ];
    let history: Vec<Row<pb::ListOrderHistoryRequest>> = vec![
        ("page_size", |r| r.page_size = 1_001),
        ("order_id", |r| r.order_id.clear()),
    ];
    let stores: Vec<Row<pb::ListStoresRequest>> = vec![
        ("page_size", |r| r.page_size = -1),
        ("page_size", |r| r.page_size = 1_001),
    ];
    let carriers: Vec<Row<pb::ListCarriersRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("page_size", |r| r.page_size = 1_001),
    ];
    let warehouses: Vec<Row<pb::ListWarehousesRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("page_size", |r| r.page_size = 1_001),
    ];
    let policies: Vec<Row<pb::ListPoliciesRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("page_size", |r| r.page_size = 1_001),
    ];
    run(async |t| {
        t.place("A-1").await;
        let store_id = || SHOP.to_owned();
        let right = pb::ListStoresRequest {
            page_size: 1_000,
            ..Default::default()
        };
        each_is_an_invalid_field(t, "auditor", "StoreService/ListStores", &right, &stores).await;
        let _: pb::ListStoresResponse =
            is_taken(&t.raw(), "auditor", "StoreService/ListStores", right).await;
        let right = pb::ListCarriersRequest {
            store_id: store_id(),
            page_size: 1_000,
            ..Default::default()
        };
        each_is_an_invalid_field(t, "support", "StoreService/ListCarriers", &right, &carriers)
            .await;
        let _: pb::ListCarriersResponse =
            is_taken(&t.raw(), "support", "StoreService/ListCarriers", right).await;
        let right = pb::ListWarehousesRequest {
            store_id: store_id(),
            page_size: 1_000,
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "StoreService/ListWarehouses",
            &right,
            &warehouses,
        )
        .await;
        let _: pb::ListWarehousesResponse =
            is_taken(&t.raw(), "support", "StoreService/ListWarehouses", right).await;
        let right = pb::ListPoliciesRequest {
            store_id: store_id(),
            page_size: 1_000,
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "PolicyService/ListPolicies",
            &right,
            &policies,
        )
        .await;
        let _: pb::ListPoliciesResponse =
            is_taken(&t.raw(), "support", "PolicyService/ListPolicies", right).await;
        let right = pb::ListOrdersRequest {
            store_id: store_id(),
            page_size: 1_000,
            ..Default::default()
        };
        each_is_an_invalid_field(t, "support", "OrderService/ListOrders", &right, &orders).await;
        let _: pb::ListOrdersResponse =
            is_taken(&t.raw(), "support", "OrderService/ListOrders", right).await;
        let right = pb::ListCancellationsRequest {
            store_id: store_id(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "CancellationService/ListCancellations",
            &right,
            &cancellations,
        )
        .await;
        let right = pb::ListShipmentsRequest {
            store_id: store_id(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "FulfillmentService/ListShipments",
            &right,
            &shipments,
        )
        .await;
        let right = pb::ListRefundsRequest {
            store_id: store_id(),
            ..Default::default()
        };
        each_is_an_invalid_field(t, "support", "RefundService/ListRefunds", &right, &refunds).await;
        let right = pb::ListOrderHistoryRequest {
            store_id: store_id(),
            order_id: "A-1".to_owned(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "OrderService/ListOrderHistory",
            &right,
            &history,
        )
        .await;
    });
}

#[test]
fn each_filter_of_a_summary_is_checked() {
    let orders: Vec<Row<pb::SummarizeOrdersRequest>> = vec![
        ("buyer_id", |r| r.buyer_id = "a b".to_owned()),
        ("seller_id", |r| r.seller_id = long(65)),
    ];
    let actions: Vec<Row<pb::SummarizeActionsRequest>> = vec![
        ("party", |r| r.party = 5),
        ("seller_id", |r| r.seller_id = "a b".to_owned()),
        ("warehouse_id", |r| r.warehouse_id = "main".to_owned()),
        ("warehouse_id", |r| {
            (r.party, r.warehouse_id) = (3, "é".to_owned())
        }),
        ("carrier_id", |r| r.carrier_id = "express".to_owned()),
        ("carrier_id", |r| {
            (r.party, r.carrier_id) = (3, "express".to_owned())
        }),
        ("auto_approved_since", |r| {
            r.auto_approved_since = time(-1, 0)
        }),
        ("auto_approved_since", |r| {
            (r.party, r.auto_approved_since) = (2, time(1, 0))
        }),
    ];
    run(async |t| {
        let right = pb::SummarizeOrdersRequest {
            store_id: SHOP.to_owned(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "OrderService/SummarizeOrders",
            &right,
            &orders,
        )
        .await;
        let right = pb::SummarizeActionsRequest {
            store_id: SHOP.to_owned(),
            ..Default::default()
        };
        each_is_an_invalid_field(
            t,
            "support",
            "CancellationService/SummarizeActions",
            &right,
            &actions,
        )
        .await;
        for (party, warehouse_id, carrier_id) in [(3, "main", ""), (4, "", "express")] {
            let (warehouse_id, carrier_id) = (warehouse_id.to_owned(), carrier_id.to_owned());
            let right = pb::SummarizeActionsRequest {
                party,
                warehouse_id,
                carrier_id,
                ..right.clone()
            };
            let _: pb::SummarizeActionsResponse = is_taken(
                &t.raw(),
                "support",
                "CancellationService/SummarizeActions",
                right,
            )
            .await;
        }
    });
}

#[test]
fn a_page_token_is_good_for_its_own_list_store_and_filters_only() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_paid(order_id).await;
            t.cancel(order_id).await;
        }
        let right = pb::ListOrdersRequest {
            store_id: SHOP.to_owned(),
            page_size: 1,
            buyer_id: "ann".to_owned(),
            ..Default::default()
        };
        let method = "OrderService/ListOrders";
        let page: pb::ListOrdersResponse =
            is_taken(&t.raw(), "support", method, right.clone()).await;
        let token = page.next_page_token;
        assert!(!token.is_empty());
        // Another page size is no other list.
        let next = pb::ListOrdersRequest {
            page_token: token.clone(),
            page_size: 2,
            ..right.clone()
        };
        let page: pb::ListOrdersResponse =
            is_taken(&t.raw(), "support", method, next.clone()).await;
        assert_eq!(page.orders.len(), 2);

        t.create_shop(
            "other",
            belay_client::calls::FirstPolicy::preset("independent-site"),
        )
        .await;
        let changes: [fn(&mut pb::ListOrdersRequest); 6] = [
            |r| r.buyer_id.clear(),
            |r| r.buyer_id = "bob".to_owned(),
            |r| r.seller_id = "acme".to_owned(),
            |r| r.state = 3,
            |r| r.create_time_from = time(0, 0),
            |r| r.store_id = "other".to_owned(),
        ];
        for change in changes {
            let mut other = next.clone();
            change(&mut other);
            is_refused(
                t,
                "support",
                method,
                other,
                Code::InvalidArgument,
                "PAGE_TOKEN_INVALID",
            )
            .await;
        }
        garbage_is_refused(t, &token).await;
    });
}

/// Tokens of no list and of another one, given to every list.
async fn garbage_is_refused(t: &TestServer, of_orders: &str) {
    let store_id = || SHOP.to_owned();
    let touched = format!(
        "{}{}",
        &of_orders[..of_orders.len() - 1],
        if of_orders.ends_with('0') { '1' } else { '0' }
    );
    for page_token in [
        "x",
        "00",
        "' OR 1=1",
        "é",
        &long(100_000),
        &touched,
        of_orders,
    ] {
        let page_token = page_token.to_owned();
        let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        let cancellations = pb::ListCancellationsRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        let method = "CancellationService/ListCancellations";
        let refused = is_refused(t, "support", method, cancellations, invalid.0, invalid.1).await;
        assert_eq!(refused.fields, ["page_token"]);
        let shipments = pb::ListShipmentsRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "support",
            "FulfillmentService/ListShipments",
            shipments,
            invalid.0,
            invalid.1,
        )
        .await;
        let refunds = pb::ListRefundsRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "support",
            "RefundService/ListRefunds",
            refunds,
            invalid.0,
            invalid.1,
        )
        .await;
        let history = pb::ListOrderHistoryRequest {
            store_id: store_id(),
            order_id: "A-1".to_owned(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "support",
            "OrderService/ListOrderHistory",
            history,
            invalid.0,
            invalid.1,
        )
        .await;
        let stores = pb::ListStoresRequest {
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "operator",
            "StoreService/ListStores",
            stores,
            invalid.0,
            invalid.1,
        )
        .await;
        let carriers = pb::ListCarriersRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "operator",
            "StoreService/ListCarriers",
            carriers,
            invalid.0,
            invalid.1,
        )
        .await;
        let warehouses = pb::ListWarehousesRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "operator",
            "StoreService/ListWarehouses",
            warehouses,
            invalid.0,
            invalid.1,
        )
        .await;
        let policies = pb::ListPoliciesRequest {
            store_id: store_id(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        is_refused(
            t,
            "operator",
            "PolicyService/ListPolicies",
            policies,
            invalid.0,
            invalid.1,
        )
        .await;
        let orders = pb::ListOrdersRequest {
            store_id: store_id(),
            page_token,
            ..Default::default()
        };
        is_refused(
            t,
            "support",
            "OrderService/ListOrders",
            orders,
            invalid.0,
            invalid.1,
        )
        .await;
    }
}

#[test]
fn decisions_are_asked_for_by_ids_and_instants() {
    let rows: Vec<Row<pb::ListDecisionsRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("order_id", |r| r.order_id = "a b".into()),
        ("request_id", |r| r.request_id = "1".into()),
        ("caller_role", |r| r.caller_role = 99),
        ("caller_id", |r| r.caller_id = "a b".into()),
        ("start_time.nanos", |r| r.start_time = time(0, -1)),
        ("end_time", |r| r.end_time = time(-1, 0)),
        ("page_size", |r| r.page_size = 1_001),
    ];
    run(async |t| {
        let right = pb::ListDecisionsRequest {
            store_id: SHOP.to_owned(),
            page_size: 1_000,
            ..Default::default()
        };
        let method = "PolicyService/ListDecisions";
        each_is_an_invalid_field(t, "support", method, &right, &rows).await;
        let _: pb::ListDecisionsResponse =
            is_taken(&t.raw(), "support", method, right.clone()).await;
        let token = pb::ListDecisionsRequest {
            page_token: "00".into(),
            ..right
        };
        let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        is_refused(t, "support", method, token, invalid.0, invalid.1).await;
    });
}
