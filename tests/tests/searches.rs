//! FindOrders: orders by what somebody has in hand.

use std::ops::Range;

use belay_client::calls::{FirstPolicy, NewBuyer, NewLine, OrderSearch};
use belay_client::model::{Destination, FoundOrders};
use belay_client::{Role, Scope, Store};
use belay_domain::query::IDS_SEARCHED_MAX;
use belay_tests::database::WITH_NUMBERS;
use belay_tests::shop::{eur, new_order_of};
use belay_tests::{SHOP, TestServer, run};

fn support(t: &TestServer) -> Store {
    t.store_as(SHOP, Role::Support, "sue")
}

fn ids(found: &FoundOrders) -> Vec<&str> {
    found
        .orders
        .iter()
        .map(|order| order.order_id.as_str())
        .collect()
}

#[test]
fn a_buyers_orders_are_found_by_their_email_newest_first() {
    run(async |t| {
        for (id, buyer) in [
            ("A-1", "ann"),
            ("A-2", "bob"),
            ("A-3", "ann"),
            ("A-4", "ann"),
        ] {
            new_order_of(&t.storefront(), id, buyer).await.unwrap();
        }
        let by = |address: &str| support(t).find_orders(OrderSearch::buyer_email(address));
        let found = by(" Ann@Example.ORG ").await.unwrap();
        assert_eq!(ids(&found), ["A-4", "A-3", "A-1"]);
        assert_eq!((found.next_page_token, found.ids_left_out), (None, false));
        assert_eq!(found.orders[0], t.order("A-4").await, "as GetOrder has it");
        assert_eq!(ids(&by("eve@example.org").await.unwrap()), [""; 0]);
        // The user name is another thing.
        assert_eq!(ids(&by("ann-1").await.unwrap()), [""; 0]);

        let mut pages = Vec::new();
        let mut token = String::new();
        loop {
            let page = by("ann@example.org").page_size(1).page_token(token).await;
            let page = page.unwrap();
            pages.push(ids(&page).join(" "));
            match page.next_page_token {
                Some(next) => token = next,
                None => break,
            }
        }
        assert_eq!(pages, ["A-4", "A-3", "A-1"]);
    });
}

#[test]
fn an_order_is_found_by_the_tracking_number_of_any_shipment_whole() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        t.place_paid("A-2").await;
        for (shipment, number) in [("A-1:s2", "1Z-77"), ("A-2:s1", "1Z-78")] {
            let warehouse = t.warehouse_of(shipment).await;
            let fence = t.shipment(shipment).await.fence;
            let sent = warehouse
                .dispatch_shipment(shipment, fence)
                .tracking_number(number);
            sent.await.unwrap();
        }
        let by = |number: &str| support(t).find_orders(OrderSearch::tracking_number(number));
        assert_eq!(ids(&by("1Z-77").await.unwrap()), ["A-1"]);
        assert_eq!(ids(&by("1Z-78").await.unwrap()), ["A-2"]);
        assert_eq!(ids(&by("1Z").await.unwrap()), [""; 0]);
        assert_eq!(ids(&by("1z-77").await.unwrap()), [""; 0]);
    });
}

#[test]
fn an_order_is_found_by_how_its_id_begins_and_signs_are_no_wildcards() {
    run(async |t| {
        for id in ["ab-1", "ab_1", "abX1", "AB-1", "b"] {
            t.place(id).await;
        }
        let by = |prefix: &str| support(t).find_orders(OrderSearch::order_id_prefix(prefix));
        assert_eq!(ids(&by("ab").await.unwrap()), ["abX1", "ab_1", "ab-1"]);
        assert_eq!(ids(&by("ab_").await.unwrap()), ["ab_1"]);
        assert_eq!(ids(&by("AB").await.unwrap()), ["AB-1"]);
        assert_eq!(ids(&by("b").await.unwrap()), ["b"]);
        assert_eq!(ids(&by("ab-12").await.unwrap()), [""; 0]);
    });
}

#[test]
fn ids_that_are_left_out_are_told() {
    run(async |t| {
        t.place("A-1").await;
        let found = async |prefix: &str| {
            let search = OrderSearch::order_id_prefix(prefix);
            support(t).find_orders(search).page_size(1).await.unwrap()
        };
        // With A-1 as many as are looked at.
        copy(t, 1..IDS_SEARCHED_MAX).await;
        let all = found("A-").await;
        assert_eq!((ids(&all), all.ids_left_out), (vec!["A-1"], false));
        copy(t, IDS_SEARCHED_MAX..IDS_SEARCHED_MAX + 1).await;
        let more = found("A-").await;
        assert_eq!((ids(&more), more.ids_left_out), (vec!["A-1"], true));
        assert!(!found("A-1").await.ids_left_out);
        // They are no orders, but for their ids.
        let copies = "DELETE FROM orders WHERE order_id LIKE 'A-2-%'";
        assert_eq!(
            t.database.execute(copies, ()).await,
            u64::from(IDS_SEARCHED_MAX)
        );
    });
}

/// Copies of the row of A-1 under other ids, older than it is: thousands, without as many calls.
async fn copy(t: &TestServer, numbers: Range<u16>) {
    let sql = format!(
        "INSERT INTO orders ({}) {WITH_NUMBERS} SELECT {} FROM orders o JOIN number n \
         WHERE o.order_id = 'A-1' AND n.n >= {} AND n.n < {}",
        columns(t, &[]).await,
        columns(t, COPIED).await,
        numbers.start,
        numbers.end,
    );
    let copied = t.database.execute(&sql, ()).await;
    assert_eq!(copied, u64::from(numbers.end - numbers.start));
}

/// What is another in a copy of an order's row.
const COPIED: &[(&str, &str)] = &[
    ("order_key", "UNHEX(LEFT(SHA2(n.n, 256), 32))"),
    ("order_id", "CONCAT('A-2-', LPAD(n.n, 6, '0'))"),
    ("create_time", "o.create_time - INTERVAL 1 DAY"),
    ("next_due", "NULL"),
];

/// The columns of an order's row; some of them as these values.
async fn columns(t: &TestServer, others: &[(&str, &str)]) -> String {
    let (columns,): (String,) = t
        .database
        .row(
            "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'orders'",
            (),
        )
        .await;
    let column = |column: &str| {
        let other = others.iter().find(|(name, _)| *name == column);
        match other {
            Some((_, value)) => (*value).to_owned(),
            None if others.is_empty() => format!("`{column}`"),
            None => format!("o.`{column}`"),
        }
    };
    let columns: Vec<String> = columns.split(',').map(column).collect();
    columns.join(", ")
}

#[test]
fn who_sees_one_seller_finds_nothing_of_another() {
    run(async |t| {
        new_order_of(&t.storefront(), "A-1", "ann").await.unwrap();
        let of_globex = t.storefront().create_order(
            "A-2",
            NewBuyer::new("ann").email("ann@example.org"),
            "globex",
            Destination::new("DE"),
            [NewLine::new("MUG", 1, eur(100))],
        );
        of_globex.await.unwrap();
        let scope = Scope::default().sellers(["globex"]);
        let globex = t.role(Role::Seller, "greg").with_scope(scope).unwrap();
        let globex = globex.store(SHOP);
        for search in [
            OrderSearch::buyer_email("ann@example.org"),
            OrderSearch::order_id_prefix("A-"),
        ] {
            assert_eq!(
                ids(&globex.find_orders(search.clone()).await.unwrap()),
                ["A-2"]
            );
            let all = support(t).find_orders(search).await.unwrap();
            assert_eq!(ids(&all), ["A-2", "A-1"]);
        }
        t.create_shop("other", FirstPolicy::preset("independent-site"))
            .await;
        let elsewhere = t.store_as("other", Role::Support, "sue");
        let found = elsewhere
            .find_orders(OrderSearch::order_id_prefix("A-"))
            .await;
        assert_eq!(ids(&found.unwrap()), [""; 0]);
    });
}
