//! What a page and a count look at, in rows and index entries: time would say as much, but not
//! every time.

use belay_domain::actor::Role;
use belay_domain::ids::{BuyerId, SellerId, Sku};
use belay_domain::order::OrderState;
use belay_domain::query::{
    ActionsSummary, COUNT_MAX, Counted, ListPosition, OrderFilter, OrdersSummary,
};
use belay_domain::scope::{Scope, View};
use belay_server::db::summaries;
use belay_server::db::{self, Conn};

use crate::common::{TestDatabase, store, time};
use crate::crowd::{self, EVENTFUL};
use crate::plans::all_orders;

const PAGE: u16 = 50;

/// The page after this one, and what finding it looked at.
async fn page(
    conn: &mut Conn,
    filter: &OrderFilter,
    after: Option<ListPosition>,
) -> (Vec<ListPosition>, u64) {
    let before = crowd::looked_at(conn).await;
    // To ask is to look as well.
    let asking = crowd::looked_at(conn).await - before;
    let begin = crowd::looked_at(conn).await;
    let page = db::list(conn, filter, after, PAGE).await.unwrap();
    (page, crowd::looked_at(conn).await - begin - asking)
}

/// The entries of a page and, at each of its three ranges, one before.
fn assert_cheap(looked_at: u64, what: &str) {
    assert!(
        looked_at <= u64::from(PAGE) + 3,
        "{what} looked at {looked_at}"
    );
}

#[tokio::test]
async fn a_buyer_with_a_hundred_thousand_orders_pages_like_one_with_ten() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    crowd::fill(&mut conn).await;
    let of = |id: &str| OrderFilter {
        scope: Scope::EVERYTHING,
        buyer: Some(BuyerId::parse(id).unwrap()),
        ..all_orders()
    };

    let (few, looked_at) = page(&mut conn, &of("b-7"), None).await;
    assert_eq!(few.len(), 10);
    assert_cheap(looked_at, "a buyer with ten orders");
    let (first, looked_at) = page(&mut conn, &of("big"), None).await;
    assert_eq!(first.len(), 50);
    assert_cheap(looked_at, "the first page");
    // Orders 50,000 and on: ten were placed in that instant.
    let middle = ListPosition {
        create_time: time("2026-01-01T01:23:20Z"),
        ..first[0]
    };
    let (deep, looked_at) = page(&mut conn, &of("big"), Some(middle)).await;
    assert_eq!(deep.len(), 50);
    assert_cheap(looked_at, "the thousandth page");
    let shipped = OrderFilter {
        state: Some(OrderState::Shipped),
        ..of("big")
    };
    let (shipped, looked_at) = page(&mut conn, &shipped, Some(middle)).await;
    assert_eq!(shipped.len(), 50);
    assert_cheap(looked_at, "one of its tabs");
    let skus = OrderFilter {
        sku: Some(Sku::parse("sku-7").unwrap()),
        ..all_orders()
    };
    let (skus, looked_at) = page(&mut conn, &skus, None).await;
    assert_eq!(skus.len(), 50);
    assert_cheap(looked_at, "a SKU");

    summaries_stop(&mut conn).await;
}

/// In the same crowd, which takes its time to come together.
async fn summaries_stop(conn: &mut Conn) {
    let summary = |buyer: Option<&str>, seller: Option<&str>| OrdersSummary {
        scope: Scope::EVERYTHING,
        store: store(),
        buyer: buyer.map(|id| BuyerId::parse(id).unwrap()),
        seller: seller.map(|id| SellerId::parse(id).unwrap()),
    };
    let before = crowd::looked_at(conn).await;
    let counts = summaries::orders(conn, &summary(Some("big"), None))
        .await
        .unwrap();
    let looked_at = crowd::looked_at(conn).await - before;
    let states: Vec<OrderState> = counts.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, OrderState::ALL);
    assert!(
        counts.iter().all(|(_, count)| *count
            == Counted {
                value: COUNT_MAX,
                at_least: true
            }),
        "{counts:?}"
    );
    // Each of eight counts walks as many entries, and then its own result.
    assert!(
        looked_at <= 8 * (2 * u64::from(COUNT_MAX) + 10) + 100,
        "{looked_at}"
    );

    let counts = summaries::orders(conn, &summary(Some("b-7"), None))
        .await
        .unwrap();
    assert_eq!(
        Counted::sum(counts.iter().map(|(_, count)| *count)),
        Counted {
            value: 10,
            at_least: false
        }
    );
    let counts = summaries::orders(conn, &summary(None, Some("s-7")))
        .await
        .unwrap();
    assert!(
        counts.iter().all(|(_, count)| *count == Counted::default()),
        "there is no such seller"
    );
    let both = summaries::orders(conn, &summary(Some("b-7"), Some("s-3")))
        .await
        .unwrap();
    assert!(Counted::sum(both.iter().map(|(_, count)| *count)).value < 10);

    let actions = |seller: Option<&str>| ActionsSummary {
        scope: Scope::EVERYTHING,
        view: View::Whole,
        store: store(),
        seller: seller.map(|id| SellerId::parse(id).unwrap()),
        warehouse: None,
        carrier: None,
    };
    let (requested, nearest) = summaries::awaiting(&actions(None), Role::Seller)
        .load(conn)
        .await
        .unwrap();
    // i % 4 = 0 and i % 3 > 0.
    assert_eq!(
        requested,
        Counted {
            value: EVENTFUL / 6,
            at_least: false
        }
    );
    assert_eq!(nearest, Some(time("2026-01-03T00:00:00Z")));
    let (carriers, _) = summaries::awaiting(&actions(None), Role::Carrier)
        .load(conn)
        .await
        .unwrap();
    assert_eq!(carriers, Counted::default(), "their gates have passed");
    let since = time("2026-01-01T00:00:00Z");
    let (approved, _) = summaries::auto_approved(&actions(None), since)
        .load(conn)
        .await
        .unwrap();
    // Odd, and not of a seller; no SELLER_CONSENT gate is odd.
    assert_eq!(
        approved,
        Counted {
            value: EVENTFUL / 2 - EVENTFUL / 10,
            at_least: false
        }
    );
    let (of_one, _) = summaries::auto_approved(&actions(Some("s-3")), since)
        .load(conn)
        .await
        .unwrap();
    assert!(
        (1..approved.value / 5).contains(&of_one.value),
        "{of_one:?}"
    );
    let (late, _) = summaries::auto_approved(&actions(None), time("2026-02-01T00:00:00Z"))
        .load(conn)
        .await
        .unwrap();
    assert_eq!(late, Counted::default());
}
