//! Orders that cannot be.

use belay_client::Kind;
use belay_client::calls::NewLine;
use belay_proto::v1 as pb;
use belay_tests::shop::new_order;
use belay_tests::{refused, run};
use tonic::Code;

use super::{
    ODD_IDS, Row, create_order, each_is_an_invalid_field, eur, is_refused, is_taken, long,
};

const METHOD: &str = "OrderService/CreateOrder";

#[test]
fn each_field_of_an_order_is_checked() {
    let rows: Vec<Row<pb::CreateOrderRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("store_id", |r| r.store_id = long(65)),
        ("request_id", |r| r.request_id = "1".to_owned()),
        ("request_id", |r| {
            r.request_id = "00000000-0000-0000-0000-000000000000".to_owned()
        }),
        ("request_id", |r| {
            r.request_id = "0b1f4a8e93c74b538c8c0d6fd62e0a11".to_owned()
        }),
        ("order_id", |r| r.order_id = long(65)),
        ("buyer.id", |r| r.buyer = None),
        ("buyer.id", |r| r.buyer.as_mut().unwrap().id = long(65)),
        ("buyer.email", |r| {
            r.buyer.as_mut().unwrap().email = long(255)
        }),
        ("buyer.email", |r| {
            r.buyer.as_mut().unwrap().email = " ".to_owned()
        }),
        ("buyer.email", |r| {
            r.buyer.as_mut().unwrap().email = "a\0@b".to_owned()
        }),
        ("buyer.username", |r| {
            r.buyer.as_mut().unwrap().username = long(129)
        }),
        ("seller_id", |r| r.seller_id.clear()),
        ("destination.country_code", |r| r.destination = None),
        ("destination.country_code", |r| {
            r.destination.as_mut().unwrap().country_code = "de".to_owned()
        }),
        ("destination.country_code", |r| {
            r.destination.as_mut().unwrap().country_code = "DEU".to_owned()
        }),
        ("destination.region", |r| {
            r.destination.as_mut().unwrap().region = long(129)
        }),
        ("destination.city", |r| {
            r.destination.as_mut().unwrap().city = "é".repeat(129)
        }),
        ("destination.city", |r| {
            r.destination.as_mut().unwrap().city = "a\u{7}".to_owned()
        }),
        ("lines", |r| r.lines.clear()),
        ("lines", |r| r.lines = vec![r.lines[0].clone(); 201]),
        ("lines[1].sku", |r| r.lines[1].sku.clear()),
        ("lines[1].sku", |r| r.lines[1].sku = "A B".to_owned()),
        ("lines[1].sku", |r| r.lines[1].sku = long(129)),
        ("lines[0].title", |r| r.lines[0].title = long(257)),
        ("lines[0].quantity", |r| r.lines[0].quantity = 0),
        ("lines[0].quantity", |r| r.lines[0].quantity = -1),
        ("lines[0].quantity", |r| r.lines[0].quantity = i32::MIN),
        ("lines[0].quantity", |r| r.lines[0].quantity = 1_000_001),
        ("lines[0].goods", |r| r.lines[0].goods = None),
        ("lines[0].goods.minor_units", |r| r.lines[0].goods = eur(-1)),
        ("lines[0].goods.minor_units", |r| {
            r.lines[0].goods = eur(1_000_000_000_001)
        }),
        ("lines[0].goods.minor_units", |r| {
            r.lines[0].goods = eur(i64::MAX)
        }),
        ("lines[0].goods.currency_code", |r| {
            r.lines[0].goods.as_mut().unwrap().currency_code = "EURO".to_owned()
        }),
        ("lines[0].goods.currency_code", |r| {
            r.lines[0].goods.as_mut().unwrap().currency_code.clear()
        }),
        ("lines[0].discount", |r| r.lines[0].discount = eur(1_001)),
        ("lines[0].discount.minor_units", |r| {
            r.lines[0].discount = eur(-1)
        }),
        ("lines[0].tax.minor_units", |r| {
            r.lines[0].tax = eur(i64::MIN)
        }),
        ("shipping.amount.minor_units", |r| {
            r.shipping = Some(pb::ShippingCharge {
                amount: eur(-1),
                tax: None,
            });
        }),
        // Each amount is small enough, their sum is not.
        ("lines", |r| {
            r.lines
                .iter_mut()
                .for_each(|line| line.goods = eur(500_000_000_001))
        }),
        ("lines", |r| {
            r.lines
                .iter_mut()
                .for_each(|line| line.tax = eur(1_000_000_000_000))
        }),
    ];
    run(async |t| {
        each_is_an_invalid_field(t, "storefront", METHOD, &create_order("A-1"), &rows).await;
        let _: pb::CreateOrderResponse =
            is_taken(&t.raw(), "storefront", METHOD, create_order("A-1")).await;
    });
}

#[test]
fn an_order_with_shipments_for_a_store_that_is_not_there_is_told_so() {
    run(async |t| {
        for route in ["main", ""] {
            let mut request = create_order("A-1");
            request.store_id = "nowhere".to_owned();
            request.shipments = vec![pb::NewShipment {
                warehouse_id: route.to_owned(),
                carrier_id: route.to_owned(),
                contents: vec![pb::NewShipmentContent {
                    line_number: 1,
                    quantity: 1,
                }],
            }];
            let refused = t.raw().refused("storefront", METHOD, request.clone()).await;
            assert_eq!(refused.what(), (Code::NotFound, "STORE_NOT_FOUND"));
            // What is wrong with the request comes first.
            request.order_id = "no id".to_owned();
            let refused = t.raw().refused("storefront", METHOD, request).await;
            assert_eq!(refused.fields, ["order_id"]);
        }
    });
}

#[test]
fn odd_characters_in_ids_are_refused_wherever_an_id_is_given() {
    run(async |t| {
        for odd in ODD_IDS {
            let mut request = create_order(odd);
            request.seller_id = odd.to_owned();
            request.buyer.as_mut().unwrap().id = odd.to_owned();
            let refused = is_refused(
                t,
                "storefront",
                METHOD,
                request,
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(
                refused.fields,
                ["order_id", "buyer.id", "seller_id"],
                "{odd:?}"
            );
            let get = pb::GetOrderRequest {
                store_id: "shop".to_owned(),
                order_id: odd.to_owned(),
            };
            let refused = is_refused(
                t,
                "storefront",
                "OrderService/GetOrder",
                get,
                Code::InvalidArgument,
                "INVALID_FIELD",
            );
            assert_eq!(refused.await.fields, ["order_id"], "{odd:?}");
        }
    });
}

#[test]
fn each_field_of_the_shipments_is_checked() {
    let rows: Vec<Row<pb::CreateOrderRequest>> = vec![
        ("shipments", |r| {
            r.shipments = vec![r.shipments[0].clone(); 51]
        }),
        ("shipments", |r| {
            let content = |line_number| pb::NewShipmentContent {
                line_number,
                quantity: 1,
            };
            r.shipments = vec![r.shipments[0].clone(); 6];
            for shipment in &mut r.shipments[..5] {
                shipment.contents = (1..=200).map(content).collect();
            }
        }),
        ("shipments[0].warehouse_id", |r| {
            r.shipments[0].warehouse_id = "a b".to_owned()
        }),
        ("shipments[0].carrier_id", |r| {
            r.shipments[0].carrier_id = long(65)
        }),
        ("shipments[0].contents", |r| r.shipments[0].contents.clear()),
        ("shipments[0].contents[0].line_number", |r| {
            r.shipments[0].contents[0].line_number = 0
        }),
        ("shipments[0].contents[0].line_number", |r| {
            r.shipments[0].contents[0].line_number = -1
        }),
        ("shipments[0].contents[0].line_number", |r| {
            r.shipments[0].contents[0].line_number = 201
        }),
        ("shipments[0].contents[1].line_number", |r| {
            r.shipments[0].contents[1].line_number = 1
        }),
        ("shipments[0].contents[0].quantity", |r| {
            r.shipments[0].contents[0].quantity = 0
        }),
        ("shipments[0].contents[0].quantity", |r| {
            r.shipments[0].contents[0].quantity = 1_000_001
        }),
        // What only the lines tell.
        ("shipments[0].contents[1].line_number", |r| {
            r.shipments[0].contents[1].line_number = 3
        }),
        ("shipments[0].contents[0].quantity", |r| {
            r.shipments[0].contents[0].quantity = 4
        }),
        ("shipments", |r| r.shipments[0].contents[0].quantity = 2),
        ("shipments", |r| r.shipments[0].contents.truncate(1)),
    ];
    run(async |t| {
        let mut right = create_order("A-1");
        let content = |line_number, quantity| pb::NewShipmentContent {
            line_number,
            quantity,
        };
        right.shipments = vec![pb::NewShipment {
            contents: vec![content(1, 3), content(2, 1)],
            ..Default::default()
        }];
        each_is_an_invalid_field(t, "storefront", METHOD, &right, &rows).await;
        let _: pb::CreateOrderResponse = is_taken(&t.raw(), "storefront", METHOD, right).await;
    });
}

#[test]
fn every_violation_of_a_request_is_listed() {
    run(async |t| {
        let mut request = create_order("a b");
        request.request_id = "x".to_owned();
        request.buyer = None;
        request.destination.as_mut().unwrap().country_code = "Germany".to_owned();
        request.lines[0].quantity = 0;
        request.lines[0].goods = eur(-5);
        request.lines[1].sku.clear();
        request.lines[1].goods = None;
        request.shipping = Some(pb::ShippingCharge {
            amount: None,
            tax: eur(-1),
        });
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            request,
            Code::InvalidArgument,
            "INVALID_FIELD",
        )
        .await;
        assert_eq!(
            refused.fields,
            [
                "request_id",
                "order_id",
                "buyer.id",
                "destination.country_code",
                "lines[0].quantity",
                "lines[0].goods.minor_units",
                "lines[1].sku",
                "lines[1].goods",
                "shipping.tax.minor_units",
            ]
        );

        // What does not fit the headers is counted.
        let mut request = create_order("A-1");
        request.lines = vec![pb::NewLine::default(); 200];
        let refused = is_refused(
            t,
            "storefront",
            METHOD,
            request,
            Code::InvalidArgument,
            "INVALID_FIELD",
        )
        .await;
        assert_eq!(refused.fields.last().map(String::as_str), Some(""));
        assert!(
            refused.details.len() < 2 * 1024,
            "{} bytes of details",
            refused.details.len()
        );
        let (_, more) = refused.violations.last().unwrap();
        assert_eq!(
            *more,
            format!("and {} more", 3 * 200 - (refused.fields.len() - 1))
        );
    });
}

#[test]
fn an_order_with_every_field_at_its_bound_is_taken() {
    run(async |t| {
        let mut request = create_order(&long(64));
        request.buyer = Some(pb::Buyer {
            id: long(64),
            email: long(254),
            username: long(128),
        });
        request.seller_id = long(64);
        request.destination = Some(pb::Destination {
            country_code: "DE".to_owned(),
            region: long(128),
            city: "é".repeat(128),
        });
        request.lines[0] = pb::NewLine {
            sku: "~".repeat(128),
            title: "é".repeat(256),
            quantity: 1_000_000,
            goods: eur(1_000_000_000_000),
            discount: eur(1_000_000_000_000),
            tax: eur(0),
        };
        request.lines[1].goods = eur(1_000_000_000_000);
        let created: pb::CreateOrderResponse =
            is_taken(&t.raw(), "storefront", METHOD, request).await;
        let order = created.order.unwrap();
        assert_eq!(order.totals.unwrap().total, eur(1_000_000_000_000));
        assert_eq!(order.destination.unwrap().city, "é".repeat(128));

        let mut request = create_order("LINES");
        request.lines = vec![request.lines[0].clone(); 200];
        let content = |line: i32| pb::NewShipmentContent {
            line_number: line,
            quantity: 3,
        };
        let shipment = |at: i32| (at * 4 + 1..=at * 4 + 4).map(content).collect();
        request.shipments = (0..50)
            .map(|at| pb::NewShipment {
                contents: shipment(at),
                ..Default::default()
            })
            .collect();
        let created: pb::CreateOrderResponse =
            is_taken(&t.raw(), "storefront", METHOD, request).await;
        let order = created.order.unwrap();
        assert_eq!((order.lines.len(), order.shipments.len()), (200, 50));
    });
}

#[test]
fn currencies_are_not_mixed() {
    run(async |t| {
        let dollars = pb::Money {
            currency_code: "USD".to_owned(),
            minor_units: 1,
        };
        let changes: [fn(&mut pb::CreateOrderRequest, pb::Money); 4] = [
            |r, usd| r.lines[1].goods = Some(usd),
            |r, usd| r.lines[0].tax = Some(usd),
            |r, usd| r.lines[0].discount = Some(usd),
            |r, usd| {
                r.shipping = Some(pb::ShippingCharge {
                    amount: Some(usd),
                    tax: None,
                })
            },
        ];
        for change in changes {
            let mut request = create_order("A-1");
            change(&mut request, dollars.clone());
            let refused = is_refused(
                t,
                "storefront",
                METHOD,
                request,
                Code::InvalidArgument,
                "CURRENCY_MISMATCH",
            )
            .await;
            assert_eq!(refused.metadata["currency_code"], "EUR");
            assert!(
                refused.fields[0].ends_with(".currency_code"),
                "{:?}",
                refused.fields
            );
        }
        // A currency without minor units is as good as any.
        let yen = |amount| belay_client::Money::new("JPY", amount);
        let lines = [NewLine::new("MUG", 3, yen(1_000))];
        let buyer = belay_client::calls::NewBuyer::new("ann");
        let destination = belay_client::model::Destination::new("JP");
        let order = t
            .storefront()
            .create_order("A-2", buyer, "acme", destination, lines)
            .await
            .unwrap();
        assert_eq!(order.totals.total, yen(1_000));
    });
}

#[test]
fn an_unknown_order_or_store_is_not_found_and_a_known_one_is_not_taken_over() {
    run(async |t| {
        t.place("A-1").await;
        let get = |store_id: &str, order_id: &str| pb::GetOrderRequest {
            store_id: store_id.to_owned(),
            order_id: order_id.to_owned(),
        };
        let method = "OrderService/GetOrder";
        let unknown = is_refused(
            t,
            "support",
            method,
            get("shop", "A-2"),
            Code::NotFound,
            "ORDER_NOT_FOUND",
        )
        .await;
        assert_eq!(unknown.metadata["order_id"], "A-2");
        // Ids are told apart by case.
        is_refused(
            t,
            "support",
            method,
            get("shop", "a-1"),
            Code::NotFound,
            "ORDER_NOT_FOUND",
        )
        .await;
        is_refused(
            t,
            "support",
            method,
            get("SHOP", "A-1"),
            Code::NotFound,
            "STORE_NOT_FOUND",
        )
        .await;
        let elsewhere = is_refused(
            t,
            "support",
            method,
            get("nowhere", "A-1"),
            Code::NotFound,
            "STORE_NOT_FOUND",
        )
        .await;
        assert_eq!(elsewhere.metadata["store_id"], "nowhere");
        let other = new_order(&t.storefront(), "A-1")
            .shipping(belay_tests::shop::eur(1))
            .await;
        refused(other, Kind::AlreadyExists, "ORDER_ALREADY_EXISTS");
    });
}
