//! The looks at the quality of sellers: what they record is what was there, and a seller that
//! cannot be looked at keeps no other.

use belay_client::calls::FirstPolicy;
use belay_client::{Role, Scope, Units};
use belay_tests::database::WITH_NUMBERS;
use belay_tests::instance::session;
use belay_tests::market::{MARKET, Market, preset};
use belay_tests::stock::projected;
use belay_tests::{TestServer, run_at_without_looks, until};
use jiff::SignedDuration;
use mysql_async::prelude::Queryable;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// What `1 of 1` crosses: WARNING and EXCEEDED.
const CROSSED: usize = 2;

/// A market whose seller acme has cancelled its only order, and has not been looked at since.
async fn open(t: &TestServer) -> Market<'_> {
    let market = t.open_market(FirstPolicy::preset("seller-center")).await;
    market.place_paid("A-1", "standard").await;
    let cancelled = market.sellers_request("A-1", "OUT_OF_STOCK").await;
    cancelled.expect("a cancellation");
    projected(&t.database).await;
    market
}

/// How often acme has crossed a threshold.
async fn crossings(market: &Market<'_>) -> usize {
    let crossings = market.seller().list_threshold_crossings("acme").await;
    crossings.expect("a page").items.len()
}

#[test]
fn a_look_records_nothing_of_a_generation_that_is_deleted_meanwhile() {
    run_at_without_looks(MONDAY, async |t| {
        let market = open(t).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, CROSSED);
        let due = "UPDATE seller_standings SET evaluate_time = '1970-01-01'";
        t.database.execute(due, ()).await;
        let mut somebody = session(&t.database.url()).await;
        let lock = "LOCK TABLES seller_facts WRITE";
        somebody.query_drop(lock).await.unwrap();
        let rebuilt = async {
            until("the look counts", async || {
                let counts = t.database.asks(&["COUNT", "seller_facts"]);
                counts.await.then_some(())
            })
            .await;
            let serve = "UPDATE projections SET serving = 2 WHERE projection = 'seller-quality'";
            t.database.execute(serve, ()).await;
            let forget = "DELETE FROM seller_facts; UNLOCK TABLES";
            somebody.query_drop(forget).await.unwrap();
        };
        tokio::join!(t.look_at_sellers(), rebuilt);
        assert_eq!(crossings(&market).await, CROSSED);
        let (due,): (u64,) = t
            .database
            .row(
                "SELECT COUNT(*) FROM seller_standings WHERE evaluate_time = '1970-01-01'",
                (),
            )
            .await;
        assert_eq!(due, 1, "it is looked at again");
        // What the other generation has of it is the same.
        projected(&t.database).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, CROSSED);
    });
}

#[test]
fn a_shipment_counts_once_in_a_preview_as_in_the_rate() {
    run_at_without_looks(MONDAY, async |t| {
        let document = preset("seller-warehouse").replace("lag_days: 7", "lag_days: 0");
        let market = t.open_market(FirstPolicy::document(document)).await;
        for order_id in ["A-1", "A-2", "A-3", "A-4"] {
            market.place_paid(order_id, "standard").await;
        }
        let mug = Units::line("A-1:l1", 1);
        let request = market.seller().request_cancellation("A-1", mug);
        request.reason("OUT_OF_STOCK").await.unwrap();
        projected(&t.database).await;
        let previewed = async |order_id: &str| {
            let preview = market.seller().preview_cancellation(order_id, Units::all());
            let preview = preview.reason("OUT_OF_STOCK").await.unwrap();
            assert!(preview.allowed, "{:?}", preview.rejections);
            let quality = preview.quality.unwrap();
            (quality.rate_basis_points, quality.rate_after_basis_points)
        };
        // Who does not see all that counts is told nothing of it.
        let scope = Scope::default().sellers(["acme"]).warehouses(["main"]);
        let narrowed = t.role(Role::Seller, "acme").with_scope(scope).unwrap();
        let preview = narrowed
            .store(MARKET)
            .preview_cancellation("A-2", Units::all());
        let preview = preview.reason("OUT_OF_STOCK").await.unwrap();
        assert_eq!((preview.counted, preview.quality), (true, None));
        assert_eq!(previewed("A-1").await, (2_500, 2_500));
        assert_eq!(previewed("A-2").await, (2_500, 5_000));
        // As it is said, so it comes.
        for order_id in ["A-1", "A-2"] {
            let request = market.sellers_request(order_id, "OUT_OF_STOCK");
            request.await.unwrap();
        }
        projected(&t.database).await;
        let quality = market.seller().get_seller_quality("acme").await.unwrap();
        assert_eq!(quality.unwrap().rate_basis_points, 5_000);
    });
}

#[test]
fn a_seller_that_is_not_measured_is_looked_at_when_its_day_ends_and_told_nothing_twice() {
    run_at_without_looks(MONDAY, async |t| {
        let market = open(t).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, CROSSED);
        let operator = market.as_role(Role::Operator, "ops");
        let measured = operator.get_policy().await.unwrap().document;
        let (unmeasured, _) = measured.split_once("\nquality:").unwrap();
        operator.create_policy(unmeasured).await.unwrap();
        // It decides some seconds later.
        operator.activate_policy(2).await.unwrap();
        t.advance(SignedDuration::from_hours(1)).await;
        let due = "UPDATE seller_standings SET evaluate_time = '1970-01-01'";
        t.database.execute(due, ()).await;
        t.look_at_sellers().await;
        let unmeasured = market.seller().get_seller_quality("acme").await.unwrap();
        assert!(unmeasured.is_none());
        let next = "SELECT CAST(evaluate_time AS CHAR), time_zone FROM seller_standings JOIN stores USING (store_id)";
        let (next, zone): (String, String) = t.database.row(next, ()).await;
        assert_eq!((&*next, &*zone), ("2026-03-03 00:00:00.000000", "UTC"));
        // It is measured again, and has reached what it had.
        t.advance(SignedDuration::from_hours(12)).await;
        operator.activate_policy(1).await.unwrap();
        t.advance(SignedDuration::from_hours(1)).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, CROSSED);
        // A week later it has left it, once.
        t.advance(SignedDuration::from_hours(7 * 24)).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, 2 * CROSSED);
    });
}

#[test]
fn sellers_that_cannot_be_looked_at_keep_no_other() {
    run_at_without_looks(MONDAY, async |t| {
        let market = open(t).await;
        // More of a store that cannot be read than a page has, all of them before acme.
        t.database
            .execute(
                "CREATE TABLE copied AS SELECT * FROM stores WHERE store_id = ?",
                (MARKET,),
            )
            .await;
        for sql in [
            "UPDATE copied SET store_id = 'broken', time_zone = 'Mars/Olympus'",
            "INSERT INTO stores SELECT * FROM copied",
            "DROP TABLE copied",
        ] {
            t.database.execute(sql, ()).await;
        }
        let many = format!(
            "INSERT INTO seller_standings {WITH_NUMBERS} \
             SELECT 'broken', CONCAT('seller-', n), '1970-01-01', '[]', 0 FROM number WHERE n < 65"
        );
        t.database.execute(&many, ()).await;
        // And one whose standing is damaged.
        let damaged = "INSERT INTO seller_standings VALUES (?, 'aaa', '1970-01-01', 'no list', 0)";
        t.database.execute(damaged, (MARKET,)).await;
        t.look_at_sellers().await;
        assert_eq!(crossings(&market).await, CROSSED);
        // They stay due.
        let due = "SELECT COUNT(*) FROM seller_standings WHERE evaluate_time = '1970-01-01'";
        let (left,): (u64,) = t.database.row(due, ()).await;
        assert_eq!(left, 66);
        for sql in [
            "DELETE FROM seller_standings WHERE store_id = 'broken' OR seller_id = 'aaa'",
            "DELETE FROM stores WHERE store_id = 'broken'",
        ] {
            t.database.execute(sql, ()).await;
        }
    });
}
