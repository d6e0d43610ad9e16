//! The log of decisions, read by time.

use std::collections::BTreeSet;

use belay_domain::ids::{SellerId, StoreId};
use belay_domain::records::{NewDecision, RequestKey};
use belay_domain::scope::{IdFilter, Scope};
use belay_server::db::decisions::{
    self, DecisionPage, DecisionRange, LOOKED_THROUGH_MAX, StoredDecision,
};
use belay_server::db::{Conn, order_lines};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::common::{TestDatabase, order, store, time};
use crate::crowd;

const PAGE: u16 = 7;
const BEGIN: &str = "2026-03-01T10:00:00Z";
/// At each of so many instants so many orders are decided on, by two callers each, and each of them
/// once more in another store.
const INSTANTS: u32 = 60;
const ORDERS: u32 = 4;

fn at(instant: u32) -> Timestamp {
    time(BEGIN) + SignedDuration::from_micros(instant.into())
}

/// All pages of a range; and what the last of them looked at.
async fn all(conn: &mut Conn, start: u32, end: u32) -> (Vec<StoredDecision>, u64) {
    let range = DecisionRange {
        store: store(),
        scope: Scope::EVERYTHING,
        start: at(start),
        end: at(end),
    };
    let mut all: Vec<StoredDecision> = Vec::new();
    let mut after = None;
    loop {
        let before = crowd::looked_at(conn).await;
        let asking = crowd::looked_at(conn).await - before;
        let begin = crowd::looked_at(conn).await;
        let page = decisions::page(conn, &range, after.as_ref(), PAGE).await;
        let DecisionPage { found, left_off } = page.unwrap();
        let looked_at = crowd::looked_at(conn).await - begin - asking;
        all.extend(found);
        after = left_off;
        if after.is_none() {
            return (all, looked_at);
        }
        // The decisions of an instant that a page begins in are passed again, those of other stores
        // too, as entries of the index.
        assert!(
            looked_at <= u64::from(4 * ORDERS + 4 * u32::from(PAGE)),
            "a page of {PAGE} looked at {looked_at}"
        );
    }
}

#[tokio::test]
async fn decisions_are_read_by_time_page_by_page_and_none_twice() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders: Vec<_> = (0..ORDERS).map(|n| order(&format!("A-{n}"), 2)).collect();
    let placed: Vec<_> = orders.iter().map(|order| (order, 0)).collect();
    crate::common::insert_orders(&mut conn, &placed)
        .await
        .unwrap();
    let decision =
        |store: StoreId, instant: u32, order: usize, id: u128, caller: &str| NewDecision {
            key: RequestKey {
                order_key: orders[order].key(),
                request_id: Uuid::from_u128(id),
                caller: caller.to_owned(),
            },
            store,
            decision_time: at(instant),
            policy_version: 1,
            accepted: order == 0,
            record: format!("{instant}"),
        };
    let mut new = Vec::new();
    for instant in 0..INSTANTS {
        for order in 0..usize::try_from(ORDERS).unwrap() {
            for caller in ["BUYER/é", "SELLER/a"] {
                new.push(decision(store(), instant, order, instant.into(), caller));
            }
            let other = StoreId::parse("other").unwrap();
            new.push(decision(
                other,
                instant,
                order,
                1_000 + u128::from(instant),
                "a",
            ));
        }
    }
    crate::common::insert_decisions(&mut conn, &new)
        .await
        .unwrap();

    let of_an_instant = usize::try_from(ORDERS * 2).unwrap();
    let (found, _) = all(&mut conn, 0, INSTANTS).await;
    let instants = usize::try_from(INSTANTS).unwrap();
    assert_eq!(found.len(), instants * of_an_instant);
    let places = found.iter().map(|of| {
        let RequestKey {
            order_key,
            request_id,
            caller,
        } = &of.key;
        (of.decision_time, order_key.0, *request_id, caller.clone())
    });
    let places: Vec<_> = places.collect();
    assert!(
        places.is_sorted_by(|a, b| a < b),
        "in order, and none twice"
    );
    for of in &found {
        let order = orders.iter().find(|order| order.key() == of.key.order_key);
        assert_eq!(of.order, order.unwrap().id);
        assert_eq!(of.accepted, of.order.as_str() == "A-0");
        assert_eq!(of.record, format!("{}", of.key.request_id.as_u128()));
    }

    let (found, _) = all(&mut conn, 5, 7).await;
    let times: Vec<Timestamp> = found.iter().map(|of| of.decision_time).collect();
    assert_eq!(
        times,
        [vec![at(5); of_an_instant], vec![at(6); of_an_instant]].concat()
    );
    assert_eq!(all(&mut conn, INSTANTS, INSTANTS + 1).await.0.len(), 0);

    let keys: Vec<_> = orders.iter().map(|order| order.key()).collect();
    let lines = order_lines::of_orders(&mut conn, &keys).await.unwrap();
    for order in &orders {
        assert_eq!(lines[&order.key()], order.lines);
    }
}

#[tokio::test]
async fn a_scope_that_sees_few_decisions_looks_through_so_many_at_a_time() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let placed = order("A-1", 2);
    crate::common::insert_orders(&mut conn, &[(&placed, 0)])
        .await
        .unwrap();
    // Two at each instant, so that some pages end between them.
    let decisions = 5 * u32::from(LOOKED_THROUGH_MAX) / 2 - 1;
    let decision = |number: u32| NewDecision {
        key: RequestKey {
            order_key: placed.key(),
            request_id: Uuid::from_u128(number.into()),
            caller: "SELLER/a".to_owned(),
        },
        store: store(),
        decision_time: at(number.div_ceil(2)),
        policy_version: 1,
        accepted: true,
        record: String::new(),
    };
    let new: Vec<NewDecision> = (0..decisions).map(decision).collect();
    crate::common::insert_decisions(&mut conn, &new)
        .await
        .unwrap();
    let nobody = BTreeSet::from([SellerId::parse("nobody").unwrap()]);
    let range = DecisionRange {
        store: store(),
        scope: Scope {
            sellers: IdFilter::Only(nobody),
            ..Scope::EVERYTHING
        },
        start: at(0),
        end: at(decisions),
    };
    let mut after = None;
    for page in 1..=3 {
        let before = crowd::looked_at(&mut conn).await;
        let asking = crowd::looked_at(&mut conn).await - before;
        let begin = crowd::looked_at(&mut conn).await;
        let looked = decisions::page(&mut conn, &range, after.as_ref(), 200).await;
        let DecisionPage { found, left_off } = looked.unwrap();
        let looked_at = crowd::looked_at(&mut conn).await - begin - asking;
        // Each entry and its order, a few times: half of what the whole log would take.
        let most = 7 * u64::from(LOOKED_THROUGH_MAX);
        assert!(looked_at <= most, "page {page} looked at {looked_at}");
        assert_eq!(found.len(), 0);
        let last = page * u32::from(LOOKED_THROUGH_MAX) - 1;
        let expected = (last < decisions).then(|| decision(last).key);
        assert_eq!(left_off.as_ref().map(|place| place.key.clone()), expected);
        after = left_off;
    }
}
