//! Bulk cancellations that cannot be.

use belay_proto::v1 as pb;
use belay_proto::v1::start_bulk_cancellation_request::Selection;
use belay_tests::{SHOP, run};

use super::{Row, each_is_an_invalid_field, is_taken, long, time};

/// Orders that one request may name.
const NAMED_ORDERS_MAX: usize = 10_000;
const START: &str = "BulkService/StartBulkCancellation";

fn named(order_ids: Vec<String>) -> pb::StartBulkCancellationRequest {
    pb::StartBulkCancellationRequest {
        store_id: SHOP.to_owned(),
        selection: Some(Selection::Orders(pb::BulkOrders { order_ids })),
        reason: "OUT_OF_STOCK".to_owned(),
        dry_run: true,
        ..Default::default()
    }
}

fn matching() -> pb::StartBulkCancellationRequest {
    let filter = pb::BulkFilter {
        sku: "MUG".to_owned(),
        ..Default::default()
    };
    pb::StartBulkCancellationRequest {
        selection: Some(Selection::Filter(filter)),
        ..named(Vec::new())
    }
}

fn orders(r: &mut pb::StartBulkCancellationRequest) -> &mut Vec<String> {
    match &mut r.selection {
        Some(Selection::Orders(orders)) => &mut orders.order_ids,
        other => panic!("{other:?}"),
    }
}

fn filter(r: &mut pb::StartBulkCancellationRequest) -> &mut pb::BulkFilter {
    match &mut r.selection {
        Some(Selection::Filter(filter)) => filter,
        other => panic!("{other:?}"),
    }
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("A-{number}")).collect()
}

#[test]
fn each_field_of_a_start_is_checked() {
    let starts: Vec<Row<pb::StartBulkCancellationRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("request_id", |r| r.request_id = "1".to_owned()),
        ("orders", |r| r.selection = None),
        ("orders.order_ids", |r| orders(r).clear()),
        ("orders.order_ids", |r| {
            *orders(r) = many(NAMED_ORDERS_MAX + 1)
        }),
        ("orders.order_ids[1]", |r| orders(r).push("a/b".to_owned())),
        ("orders.order_ids[1]", |r| orders(r).push("A-1".to_owned())),
        ("units", |r| r.units = 7),
        ("units", |r| r.set_units(pb::BulkUnits::Matching)),
        ("orders_per_second", |r| r.orders_per_second = -1),
        ("orders_per_second", |r| r.orders_per_second = 1_001),
        ("reason", |r| r.reason = "why".to_owned()),
        ("note", |r| r.note = long(2_001)),
        ("evidence", |r| r.evidence = vec!["x".to_owned(); 11]),
        ("paths[0]", |r| r.paths = vec![99]),
        ("on_ineligible_units", |r| r.on_ineligible_units = 9),
    ];
    let filters: Vec<Row<pb::StartBulkCancellationRequest>> = vec![
        ("filter", |r| *filter(r) = pb::BulkFilter::default()),
        // States alone would be the whole store.
        ("filter", |r| {
            *filter(r) = pb::BulkFilter {
                states: vec![pb::OrderState::ToShip.into()],
                ..Default::default()
            }
        }),
        ("filter.sku", |r| filter(r).sku = "a b".to_owned()),
        ("filter.warehouse_id", |r| filter(r).warehouse_id = long(65)),
        ("filter.seller_id", |r| {
            filter(r).seller_id = "a/b".to_owned()
        }),
        ("filter.destination_country", |r| {
            filter(r).destination_country = "Germany".to_owned()
        }),
        ("filter.destination_city", |r| {
            filter(r).destination_city = "Berlin".to_owned()
        }),
        ("filter.states[0]", |r| filter(r).states = vec![0]),
        ("filter.states[1]", |r| filter(r).states = vec![1, 1]),
        ("filter.create_time_from", |r| {
            filter(r).create_time_from = time(-1, 0)
        }),
        ("filter.create_time_before", |r| {
            filter(r).create_time_before = time(-1, 0)
        }),
        ("units", |r| {
            *filter(r) = pb::BulkFilter {
                seller_id: "acme".to_owned(),
                ..Default::default()
            };
            r.set_units(pb::BulkUnits::Matching);
        }),
    ];
    run(async |t| {
        let right = named(vec!["A-1".to_owned()]);
        each_is_an_invalid_field(t, "seller", START, &right, &starts).await;
        each_is_an_invalid_field(t, "seller", START, &matching(), &filters).await;
        let raw = t.raw();
        for right in [
            right,
            named(many(NAMED_ORDERS_MAX)),
            matching(),
            pb::StartBulkCancellationRequest {
                orders_per_second: 1_000,
                units: pb::BulkUnits::Matching.into(),
                ..matching()
            },
        ] {
            let started: pb::StartBulkCancellationResponse =
                is_taken(&raw, "seller", START, right).await;
            let job = started.bulk_cancellation.expect("the job");
            let stop = pb::StopBulkCancellationRequest {
                store_id: SHOP.to_owned(),
                bulk_cancellation_id: job.bulk_cancellation_id,
            };
            let method = "BulkService/StopBulkCancellation";
            let _: pb::StopBulkCancellationResponse = is_taken(&raw, "seller", method, stop).await;
        }
    });
}

#[test]
fn each_field_about_a_job_is_checked() {
    let id = "123e4567-e89b-42d3-a456-426614174000";
    let gets: Vec<Row<pb::GetBulkCancellationRequest>> = vec![
        ("store_id", |r| r.store_id = "a b".to_owned()),
        ("bulk_cancellation_id", |r| {
            r.bulk_cancellation_id = "1".to_owned()
        }),
        // One spelling of a UUID, so that one job has one id.
        ("bulk_cancellation_id", |r| {
            r.bulk_cancellation_id = "123e4567e89b42d3a456426614174000".to_owned()
        }),
    ];
    let results: Vec<Row<pb::ListBulkResultsRequest>> = vec![
        ("bulk_cancellation_id", |r| r.bulk_cancellation_id.clear()),
        ("page_size", |r| r.page_size = 1_001),
        ("outcome", |r| r.outcome = 99),
    ];
    run(async |t| {
        let right = pb::GetBulkCancellationRequest {
            store_id: SHOP.to_owned(),
            bulk_cancellation_id: id.to_owned(),
        };
        let get = "BulkService/GetBulkCancellation";
        each_is_an_invalid_field(t, "seller", get, &right, &gets).await;
        let right = pb::ListBulkResultsRequest {
            store_id: SHOP.to_owned(),
            bulk_cancellation_id: id.to_owned(),
            ..Default::default()
        };
        let list = "BulkService/ListBulkResults";
        each_is_an_invalid_field(t, "seller", list, &right, &results).await;
    });
}
