//! The views that stay, for reports: what they hold, that they are documented, and who may read
//! them.

use std::collections::BTreeMap;

use belay_client::{Units, reason};
use belay_server::grants::GrantSet;
use belay_tests::instance::session;
use belay_tests::{TestServer, run};
use mysql_async::prelude::Queryable;

const PAGE: &str = include_str!("../../docs/reports.md");

/// The views of the page, each with its columns in their order.
fn documented() -> BTreeMap<String, Vec<String>> {
    let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut view = String::new();
    for line in PAGE.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            view = name.to_owned();
            views.insert(view.clone(), Vec::new());
        } else if let Some(column) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once('`'))
        {
            views
                .get_mut(&view)
                .expect("a view")
                .push(column.0.to_owned());
        }
    }
    views
}

#[test]
fn every_view_and_every_column_is_documented() {
    run(async |t| {
        let columns: Vec<(String, String)> = t
            .database
            .rows(
                "SELECT c.table_name, c.column_name FROM information_schema.columns c \
                 JOIN information_schema.views v USING (table_schema, table_name) \
                 WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position",
                (),
            )
            .await;
        let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (view, column) in columns {
            views.entry(view).or_default().push(column);
        }
        assert_eq!(views.len(), 7);
        assert_eq!(views, documented());
        let granted = GrantSet::Reports.of_tables();
        let granted: Vec<&str> = granted.iter().map(|(_, view)| *view).collect();
        let mut granted: Vec<String> = granted.into_iter().map(str::to_owned).collect();
        granted.sort_unstable();
        assert_eq!(granted, views.into_keys().collect::<Vec<_>>());
    });
}

#[test]
fn an_account_for_reports_reads_the_views_and_no_table() {
    run(async |t| {
        t.place_paid("A-1").await;
        let url = t.database.url_of(&[GrantSet::Reports]).await;
        let mut reader = session(&url).await;
        for view in documented().keys() {
            let rows: Vec<mysql_async::Row> =
                reader.query(format!("SELECT * FROM {view}")).await.unwrap();
            let holds = ["report_orders", "report_order_lines", "report_shipments"]
                .contains(&view.as_str());
            assert_eq!(!rows.is_empty(), holds, "{view}");
        }
        for sql in [
            "SELECT * FROM orders",
            "SELECT * FROM cancellations",
            "UPDATE report_orders SET state = 'CANCELLED'",
            "DELETE FROM report_refunds",
        ] {
            let denied = reader.query_drop(sql).await.unwrap_err();
            assert!(denied.to_string().contains("denied"), "{sql}: {denied}");
        }
    });
}

async fn text(t: &TestServer, sql: &str) -> String {
    let (text,): (String,) = t.database.row(sql, ()).await;
    text
}

#[test]
fn a_cancelled_order_is_in_the_views_as_the_api_tells_it() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        let units = Units::lines([("A-1:l1", 2), ("A-1:l2", 1)]);
        let request = t.storefront().request_cancellation("A-1", units);
        let note = "the buyer's own words";
        let cancelled = request
            .reason(reason::FOUND_BETTER)
            .note(note)
            .await
            .unwrap();
        let cancellation = cancelled.cancellation;
        let order = t.order("A-1").await;

        let told = text(
            t,
            "SELECT CONCAT_WS(' ', order_id, state, currency, version) FROM report_orders",
        )
        .await;
        let version = order.etag.as_str().trim_matches('"').to_owned();
        assert_eq!(told, format!("A-1 {} EUR {version}", order.state));

        let told = text(
            t,
            "SELECT CONCAT_WS(' ', cancellation_id, requester_role, reason, state, outcome, counted) \
             FROM report_cancellations",
        )
        .await;
        let outcome = cancellation.outcome.as_ref().unwrap();
        let expected = format!(
            "{} BUYER FOUND_BETTER {} {outcome} 0",
            cancellation.cancellation_id, cancellation.state
        );
        assert_eq!(told, expected);

        let told = text(
            t,
            "SELECT GROUP_CONCAT(CONCAT_WS(' ', shipment_id, path, state, units) ORDER BY part_number SEPARATOR ', ') \
             FROM report_cancellation_parts",
        )
        .await;
        let parts = cancellation.parts.iter().map(|part| {
            let units: i32 = part.contents.iter().map(|of| of.quantity).sum();
            format!("{} {} {} {units}", part.shipment_id, part.path, part.state)
        });
        assert_eq!(told, parts.collect::<Vec<_>>().join(", "));

        let told = text(
            t,
            "SELECT CONCAT_WS(' ', refund_id, cancellation_id, state, SUM(goods + tax + shipping)) FROM report_refunds \
             GROUP BY refund_id, cancellation_id, state",
        )
        .await;
        let refund = &order.refunds[0];
        let expected = format!(
            "{} {} {} {}",
            refund.refund_id,
            cancellation.cancellation_id,
            refund.state,
            refund.amount.total.minor_units
        );
        assert_eq!(told, expected);

        for view in documented().keys() {
            let columns = format!(
                "SELECT GROUP_CONCAT(column_name) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{view}'"
            );
            let columns = text(t, &columns).await;
            let rows =
                format!("SELECT COALESCE(GROUP_CONCAT(CONCAT_WS(' ', {columns})), '') FROM {view}");
            assert!(!text(t, &rows).await.contains(note), "{view}");
        }
    });
}

#[test]
fn the_query_of_the_page_runs() {
    run(async |t| {
        let query = PAGE
            .split("```sql\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let mut session = session(&t.database.url()).await;
        session.query_drop(query.expect("a query")).await.unwrap();
    });
}
