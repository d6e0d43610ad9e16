//! Stores, policies and ids that cannot be, messages that are too large, and callers that nobody
//! knows.

use belay_proto::v1 as pb;
use belay_tests::raw::Refused;
use belay_tests::{SHOP, run};
use prost::Message;
use tonic::Code;

use super::{Row, create_order, each_is_an_invalid_field, is_refused, is_taken, long};

#[test]
fn each_field_of_a_store_is_checked() {
    use pb::create_store_request::Policy;
    let stores: Vec<Row<pb::CreateStoreRequest>> = vec![
        ("store_id", |r| r.store_id = "a/b".to_owned()),
        ("display_name", |r| r.display_name = long(129)),
        ("display_name", |r| r.display_name = "a\nb".to_owned()),
        ("time_zone", |r| r.time_zone = "Berlin".to_owned()),
        ("time_zone", |r| r.time_zone = "+02:00".to_owned()),
        ("preset", |r| r.policy = None),
        ("default_warehouse_id", |r| {
            r.default_warehouse_id = "a b".to_owned()
        }),
        ("default_carrier_id", |r| r.default_carrier_id = long(65)),
    ];
    let updates: Vec<Row<pb::UpdateStoreRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("etag", |r| r.etag = "1".to_owned()),
        ("display_name", |r| r.display_name = long(129)),
        ("display_name", |r| r.display_name = " ".to_owned()),
        ("time_zone", |r| r.time_zone = "Moon".to_owned()),
        ("default_warehouse_id", |r| {
            r.default_warehouse_id = "a b".to_owned()
        }),
        ("default_warehouse_id", |r| {
            r.default_warehouse_id = "nowhere".to_owned()
        }),
        ("default_carrier_id", |r| r.default_carrier_id = long(65)),
        ("default_carrier_id", |r| {
            r.default_carrier_id = "nobody".to_owned()
        }),
    ];
    let carriers: Vec<Row<pb::PutCarrierRequest>> = vec![
        ("carrier", |r| r.carrier = None),
        ("carrier.carrier_id", |r| {
            r.carrier.as_mut().unwrap().carrier_id.clear()
        }),
        ("carrier.display_name", |r| {
            r.carrier.as_mut().unwrap().display_name.clear()
        }),
        ("carrier.display_name", |r| {
            r.carrier.as_mut().unwrap().display_name = long(129)
        }),
        ("carrier.etag", |r| {
            r.carrier.as_mut().unwrap().etag = "x".to_owned()
        }),
    ];
    let warehouses: Vec<Row<pb::PutWarehouseRequest>> = vec![
        ("warehouse", |r| r.warehouse = None),
        ("warehouse.warehouse_id", |r| {
            r.warehouse.as_mut().unwrap().warehouse_id = "é".to_owned()
        }),
        ("warehouse.display_name", |r| {
            r.warehouse.as_mut().unwrap().display_name = long(129)
        }),
        ("warehouse.time_zone", |r| {
            r.warehouse.as_mut().unwrap().time_zone = "Moon".to_owned()
        }),
        ("warehouse.etag", |r| {
            r.warehouse.as_mut().unwrap().etag = "\"-1\"".to_owned()
        }),
    ];
    run(async |t| {
        let store = pb::CreateStoreRequest {
            store_id: long(64),
            display_name: "é".repeat(128),
            policy: Some(Policy::Preset("independent-site".to_owned())),
            ..Default::default()
        };
        each_is_an_invalid_field(t, "operator", "StoreService/CreateStore", &store, &stores).await;
        let _: pb::CreateStoreResponse =
            is_taken(&t.raw(), "operator", "StoreService/CreateStore", store).await;
        let update = pb::UpdateStoreRequest {
            store_id: SHOP.to_owned(),
            display_name: long(128),
            ..Default::default()
        };
        each_is_an_invalid_field(t, "operator", "StoreService/UpdateStore", &update, &updates)
            .await;
        let _: pb::UpdateStoreResponse =
            is_taken(&t.raw(), "operator", "StoreService/UpdateStore", update).await;
        let carrier = pb::PutCarrierRequest {
            store_id: SHOP.to_owned(),
            carrier: Some(pb::Carrier {
                carrier_id: long(64),
                display_name: long(128),
                ..Default::default()
            }),
        };
        each_is_an_invalid_field(
            t,
            "operator",
            "StoreService/PutCarrier",
            &carrier,
            &carriers,
        )
        .await;
        let _: pb::PutCarrierResponse =
            is_taken(&t.raw(), "operator", "StoreService/PutCarrier", carrier).await;
        let warehouse = pb::PutWarehouseRequest {
            store_id: SHOP.to_owned(),
            warehouse: Some(pb::Warehouse {
                warehouse_id: long(64),
                display_name: long(128),
                ..Default::default()
            }),
        };
        each_is_an_invalid_field(
            t,
            "operator",
            "StoreService/PutWarehouse",
            &warehouse,
            &warehouses,
        )
        .await;
        let _: pb::PutWarehouseResponse =
            is_taken(&t.raw(), "operator", "StoreService/PutWarehouse", warehouse).await;
    });
}

/// Countries as many as wanted; that there are so many is not checked.
fn labels(count: u32) -> Vec<pb::ReturnLabel> {
    let letter = |index: u32| char::from_u32(u32::from('A') + index % 26).unwrap();
    let country = |index: u32| format!("{}{}", letter(index / 26), letter(index));
    (0..count)
        .map(|index| pb::ReturnLabel {
            country_code: country(index),
            price: None,
        })
        .collect()
}

#[test]
fn each_field_of_a_return_label_is_checked() {
    fn label(r: &mut pb::PutCarrierRequest) -> &mut pb::ReturnLabel {
        &mut r.carrier.as_mut().unwrap().return_labels[1]
    }
    let price = |currency: &str, minor_units| pb::Money {
        currency_code: currency.to_owned(),
        minor_units,
    };
    let right = pb::Carrier {
        carrier_id: "post".to_owned(),
        display_name: "Post".to_owned(),
        // Each label has a currency of its own.
        return_labels: ["DE", "PL"]
            .into_iter()
            .zip([price("EUR", 0), price("PLN", 1_000_000_000_000)])
            .map(|(country, price)| pb::ReturnLabel {
                country_code: country.to_owned(),
                price: Some(price),
            })
            .collect(),
        ..Default::default()
    };
    let rows: Vec<Row<pb::PutCarrierRequest>> = vec![
        ("carrier.return_labels[1].country_code", |r| {
            label(r).country_code.clear()
        }),
        ("carrier.return_labels[1].country_code", |r| {
            label(r).country_code = "pl".to_owned()
        }),
        ("carrier.return_labels[1].country_code", |r| {
            label(r).country_code = "POL".to_owned()
        }),
        ("carrier.return_labels[1]", |r| {
            label(r).country_code = "DE".to_owned()
        }),
        ("carrier.return_labels[1].price.currency_code", |r| {
            label(r).price.as_mut().unwrap().currency_code.clear()
        }),
        ("carrier.return_labels[1].price.minor_units", |r| {
            label(r).price.as_mut().unwrap().minor_units = -1
        }),
        ("carrier.return_labels[1].price.minor_units", |r| {
            label(r).price.as_mut().unwrap().minor_units += 1
        }),
        ("carrier.return_labels", |r| {
            r.carrier.as_mut().unwrap().return_labels = labels(301)
        }),
    ];
    run(async |t| {
        let mut request = pb::PutCarrierRequest {
            store_id: SHOP.to_owned(),
            carrier: Some(right),
        };
        each_is_an_invalid_field(t, "operator", "StoreService/PutCarrier", &request, &rows).await;
        for return_labels in [request.carrier.clone().unwrap().return_labels, labels(300)] {
            request.carrier.as_mut().unwrap().return_labels = return_labels;
            let _: pb::PutCarrierResponse = is_taken(
                &t.raw(),
                "operator",
                "StoreService/PutCarrier",
                request.clone(),
            )
            .await;
        }
    });
}

/// The days of a few years from 2026 on.
fn holidays(count: i64) -> Vec<String> {
    let first = jiff::civil::date(2026, 1, 1);
    (0..count)
        .map(|days| {
            first
                .saturating_add(jiff::Span::new().days(days))
                .to_string()
        })
        .collect()
}

#[test]
fn each_field_of_a_calendar_is_checked() {
    fn warehouse(r: &mut pb::PutWarehouseRequest) -> &mut pb::Warehouse {
        r.warehouse.as_mut().unwrap()
    }
    fn calendar(r: &mut pb::PutWarehouseRequest) -> &mut pb::WarehouseCalendar {
        warehouse(r).calendar.as_mut().unwrap()
    }
    let rows: Vec<Row<pb::PutWarehouseRequest>> = vec![
        ("warehouse.country_code", |r| {
            warehouse(r).country_code = "D".to_owned()
        }),
        ("warehouse.country_code", |r| {
            warehouse(r).country_code = "Germany".to_owned()
        }),
        ("warehouse.calendar.weekend[0]", |r| {
            calendar(r).weekend = vec![0]
        }),
        ("warehouse.calendar.weekend[1]", |r| {
            calendar(r).weekend = vec![1, 8]
        }),
        ("warehouse.calendar.weekend[2]", |r| {
            calendar(r).weekend = vec![1, 2, 1]
        }),
        ("warehouse.calendar.weekend", |r| {
            calendar(r).weekend = (1..=7).collect()
        }),
        ("warehouse.calendar.holidays[0]", |r| {
            calendar(r).holidays = vec![String::new()]
        }),
        ("warehouse.calendar.holidays[0]", |r| {
            calendar(r).holidays = vec!["2026-02-29".to_owned()]
        }),
        ("warehouse.calendar.holidays[0]", |r| {
            calendar(r).holidays = vec!["20260228".to_owned()]
        }),
        ("warehouse.calendar.holidays[0]", |r| {
            calendar(r).holidays = vec!["2026-02-28T00:00".to_owned()]
        }),
        ("warehouse.calendar.holidays[1]", |r| {
            calendar(r).holidays = vec!["2026-12-25".to_owned(); 2]
        }),
        ("warehouse.calendar.holidays", |r| {
            calendar(r).holidays = holidays(1_001)
        }),
    ];
    run(async |t| {
        let largest = pb::WarehouseCalendar {
            weekend: (2..=7).collect(),
            holidays: holidays(1_000),
        };
        let right = pb::PutWarehouseRequest {
            store_id: SHOP.to_owned(),
            warehouse: Some(pb::Warehouse {
                warehouse_id: "west".to_owned(),
                display_name: "West".to_owned(),
                country_code: "CN".to_owned(),
                calendar: Some(largest),
                ..Default::default()
            }),
        };
        each_is_an_invalid_field(t, "operator", "StoreService/PutWarehouse", &right, &rows).await;
        let _: pb::PutWarehouseResponse =
            is_taken(&t.raw(), "operator", "StoreService/PutWarehouse", right).await;
        // Everything is still decided by it.
        t.place("A-1").await;
    });
}

#[test]
fn each_field_about_a_policy_is_checked() {
    run(async |t| {
        let get = |version| pb::GetPolicyRequest {
            store_id: SHOP.to_owned(),
            version,
        };
        let method = "PolicyService/GetPolicy";
        let refused = is_refused(
            t,
            "operator",
            method,
            get(-1),
            Code::InvalidArgument,
            "INVALID_FIELD",
        )
        .await;
        assert_eq!(refused.fields, ["version"]);
        let activate = |version| pb::ActivatePolicyRequest {
            store_id: SHOP.to_owned(),
            version,
            effective_time: None,
        };
        for version in [0, -1] {
            let method = "PolicyService/ActivatePolicy";
            let refused = is_refused(
                t,
                "operator",
                method,
                activate(version),
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(refused.fields, ["version"]);
        }
        let create = |document: String| pb::CreatePolicyRequest {
            store_id: SHOP.to_owned(),
            document,
            validate_only: false,
        };
        let method = "PolicyService/CreatePolicy";
        for document in [
            String::new(),
            "[]".to_owned(),
            "a: &x 1".to_owned(),
            "\0".to_owned(),
            long(256 * 1024 + 1),
        ] {
            let refused = t.raw().refused("operator", method, create(document)).await;
            assert_eq!(refused.code, Code::InvalidArgument, "{refused:?}");
            assert!(
                ["INVALID_FIELD", "POLICY_INVALID"].contains(&&*refused.reason),
                "{refused:?}"
            );
            assert!(
                refused
                    .fields
                    .iter()
                    .all(|field| field.starts_with("document")),
                "{refused:?}"
            );
        }
        // A comment fills a document to its bound.
        let document = belay_tests::documents::independent_site();
        let filled = format!("{document}# {}\n", long(256 * 1024 - document.len() - 3));
        assert_eq!(filled.len(), 256 * 1024);
        let one_more = create(format!("{filled}\n"));
        let refused = t.raw().refused("operator", method, one_more).await;
        assert_eq!(
            (refused.code, refused.fields),
            (Code::InvalidArgument, vec!["document".to_owned()])
        );
        let _: pb::CreatePolicyResponse =
            is_taken(&t.raw(), "operator", method, create(filled)).await;
    });
}

#[test]
fn an_id_of_another_kind_is_no_id() {
    run(async |t| {
        t.place_paid("A-1").await;
        let store_id = || SHOP.to_owned();
        for odd in [
            "",
            "A-1",
            "A-1:l1",
            "A-1:x1",
            ":c1",
            "A-1:c",
            "A-1:c1 ",
            "A-1:c+1",
            "A-1:c1:c1",
        ] {
            let get = pb::GetCancellationRequest {
                store_id: store_id(),
                cancellation_id: odd.to_owned(),
            };
            let method = "CancellationService/GetCancellation";
            let refused = is_refused(
                t,
                "support",
                method,
                get,
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(refused.fields, ["cancellation_id"], "{odd:?}");
            let get = pb::GetRefundRequest {
                store_id: store_id(),
                refund_id: odd.to_owned(),
            };
            let method = "RefundService/GetRefund";
            let refused = is_refused(
                t,
                "support",
                method,
                get,
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(refused.fields, ["refund_id"], "{odd:?}");
            let get = pb::GetShipmentRequest {
                store_id: store_id(),
                shipment_id: odd.to_owned(),
            };
            let method = "FulfillmentService/GetShipment";
            let refused = is_refused(
                t,
                "support",
                method,
                get,
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(refused.fields, ["shipment_id"], "{odd:?}");
        }
    });
}

/// What a server takes as one message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

#[test]
fn a_message_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    run(async |t| {
        let of_size = |bytes: usize| {
            let mut request = create_order("A-1");
            request.destination.as_mut().unwrap().city = long(bytes - 200);
            let missing = bytes - request.encoded_len();
            request
                .destination
                .as_mut()
                .unwrap()
                .city
                .push_str(&long(missing));
            assert_eq!(request.encoded_len(), bytes);
            request
        };
        let method = "OrderService/CreateOrder";
        let just = is_refused(
            t,
            "storefront",
            method,
            of_size(MESSAGE_BYTES_MAX),
            Code::InvalidArgument,
            "INVALID_FIELD",
        );
        assert_eq!(just.await.fields, ["destination.city"]);
        for bytes in [MESSAGE_BYTES_MAX + 1, 3 * MESSAGE_BYTES_MAX] {
            let code = Code::ResourceExhausted;
            let refused = is_refused(
                t,
                "storefront",
                method,
                of_size(bytes),
                code,
                "MESSAGE_TOO_LARGE",
            )
            .await;
            assert_eq!(
                refused.metadata["limit_bytes"],
                MESSAGE_BYTES_MAX.to_string()
            );
            assert!(!refused.has_retry_info, "waiting does not help");
        }
    });
}

#[test]
fn a_caller_in_no_role_or_with_an_odd_name_is_refused() {
    run(async |t| {
        let get = pb::GetStoreRequest {
            store_id: SHOP.to_owned(),
        };
        for role in ["buyer", "system", "root", "operator,auditor", "0"] {
            let refused = is_refused(
                t,
                role,
                "StoreService/GetStore",
                get.clone(),
                Code::PermissionDenied,
                "ROLE_NOT_ALLOWED",
            )
            .await;
            assert_eq!(refused.metadata["role"], role);
        }
        let mut request = tonic::Request::new(get);
        request
            .metadata_mut()
            .insert("belay-role", "operator".parse().unwrap());
        request
            .metadata_mut()
            .insert("belay-actor", "a/b".parse().unwrap());
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", t.address()))
            .unwrap()
            .connect_lazy();
        let status = pb::store_service_client::StoreServiceClient::new(channel)
            .get_store(request)
            .await
            .unwrap_err();
        let refused = Refused::of(&status);
        assert_eq!(refused.what(), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(refused.fields, ["belay-actor"]);
    });
}
