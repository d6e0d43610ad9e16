//! The tables beside the aggregate: requests, decisions, events, lists, clock, administration.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::calendar::Weekday;
use belay_domain::cancellation::CancellationState;
use belay_domain::context::{self, ReturnLabel};
use belay_domain::ids::{BuyerId, CarrierId, OrderId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::incident::{IncidentKind, IncidentState};
use belay_domain::money::{Currency, Money};
use belay_domain::order::{Order, OrderState};
use belay_domain::query::{
    CancellationFilter, IncidentFilter, ListPosition, OrderFilter, RefundFilter, ShipmentFilter,
};
use belay_domain::records::{NewDecision, NewEvents, NewRequest, RequestKey};
use belay_domain::refund::RefundState;
use belay_domain::scope::{IdFilter, Scope, View};
use belay_domain::shipment::Stage;
use belay_domain::store::{Activation, Carrier, DaysOff, NewPolicy, Store, Warehouse};
use belay_server::db::address::PerMessage;
use belay_server::db::events::Appended;
use belay_server::db::orders::DueOrder;
use belay_server::db::partition_heads::Head;
use belay_server::db::writes::Writes;
use belay_server::db::{
    self, Conn, DbError, ErrorKind, StoreRecord as _, clock, events, feed, orders, partition_heads,
    policies, refunds, requests, stores, transaction,
};
use common::{TestDatabase, chain_key, eventful, order, refund, store, time};
use jiff::SignedDuration;
use jiff::civil::date;
use uuid::Uuid;

fn request(order: u8, id: u128, caller: &str) -> RequestKey {
    RequestKey {
        order_key: OrderKey([order; 16]),
        request_id: Uuid::from_u128(id),
        caller: caller.to_owned(),
    }
}

#[tokio::test]
async fn a_request_is_found_by_order_id_and_caller() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let create_time = time("2026-03-01T10:00:00Z");
    let new = |key, byte| NewRequest {
        key,
        fingerprint: [byte; 32],
        answer: vec![byte, 0, 255],
        create_time,
    };
    let stored = [
        new(request(1, 7, "STOREFRONT:web"), 1),
        new(request(1, 7, "SUPPORT:ann"), 2),
        new(request(2, 7, "a"), 3),
    ];
    crate::common::insert_requests(&mut conn, &stored)
        .await
        .unwrap();
    let asked = [
        request(1, 7, "STOREFRONT:web"),
        request(1, 7, "SUPPORT:ann"),
        request(2, 8, "a"),
        request(2, 7, "A"),
        request(3, 7, "a"),
    ];
    let found = requests::find(&mut conn, &asked).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&asked[1]].fingerprint, [2; 32]);
    assert_eq!(found[&asked[1]].answer, [2, 0, 255]);
    assert!(requests::find(&mut conn, &[]).await.unwrap().is_empty());
    let again = crate::common::insert_requests(&mut conn, &stored[..1])
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate);

    let decision = |key: &RequestKey| NewDecision {
        key: key.clone(),
        store: store(),
        decision_time: create_time,
        policy_version: 1,
        accepted: false,
        record: "[]".to_owned(),
    };
    crate::common::insert_decisions(&mut conn, &[decision(&asked[0]), decision(&asked[1])])
        .await
        .unwrap();
}

fn events_of(partition: u16, order: u8, count: u32, payload: &[u8]) -> NewEvents {
    NewEvents {
        partition,
        order_key: OrderKey([order; 16]),
        store: store(),
        order_version: 1,
        event_time: time("2026-03-01T10:00:00Z"),
        count,
        payload: payload.to_vec(),
    }
}

/// Appends in a transaction that is open.
async fn appended(
    conn: &mut Conn,
    new: &[NewEvents],
    expected: Option<&BTreeMap<u16, Head>>,
) -> Result<Appended, DbError> {
    let (many, writes) = (PerMessage::Many, Writes::default());
    events::append(conn, many, writes, new, expected.cloned(), &chain_key()).await
}

async fn append(conn: &mut Conn, new: &[NewEvents]) -> Vec<u64> {
    transaction::begin_write(conn).await.unwrap();
    let appended = appended(conn, new, None).await.unwrap();
    transaction::commit(conn).await.unwrap();
    appended.positions
}

#[tokio::test]
async fn events_go_behind_the_heads_that_are_expected_or_nowhere() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let first = [events_of(5, 1, 1, b"a"), events_of(9, 2, 3, b"b")];
    transaction::begin_write(&mut conn).await.unwrap();
    let heads = appended(&mut conn, &first, None).await.unwrap().heads;
    transaction::commit(&mut conn).await.unwrap();
    transaction::begin_write(&mut conn).await.unwrap();
    let second = appended(&mut conn, &first, Some(&heads)).await.unwrap();
    transaction::commit(&mut conn).await.unwrap();
    assert_eq!(second.positions, [2, 6]);
    let stored = partition_heads::all(&mut conn).await.unwrap();
    for (partition, head) in &second.heads {
        assert!(stored.contains(&(*partition, *head)), "{partition}");
    }
    // The first heads are no longer there; nor are others at the same positions, behind another
    // chain.
    let mut other = second.heads.clone();
    other.get_mut(&9).unwrap().chain = heads[&9].chain;
    for wrong in [heads, other] {
        transaction::begin_write(&mut conn).await.unwrap();
        let refused = appended(&mut conn, &first, Some(&wrong)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::VersionConflict);
        transaction::rollback(&mut conn).await.unwrap();
    }
    assert_eq!(append(&mut conn, &first).await, [3, 9]);
}

#[tokio::test]
async fn positions_of_a_partition_have_no_gaps() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let first = [
        events_of(5, 1, 1, b"a"),
        events_of(9, 2, 3, b"b"),
        events_of(5, 1, 2, b"c"),
        events_of(0, 3, 1, b"d"),
    ];
    assert_eq!(append(&mut conn, &first).await, [1, 3, 3, 1]);
    // What is rolled back takes no position.
    transaction::begin_write(&mut conn).await.unwrap();
    appended(&mut conn, &first, None).await.unwrap();
    transaction::rollback(&mut conn).await.unwrap();
    let second = [events_of(5, 1, 4, b"e"), events_of(7, 4, 1, b"f")];
    assert_eq!(append(&mut conn, &second).await, [7, 1]);
    assert_eq!(append(&mut conn, &[events_of(63, 5, 1, b"g")]).await, [1]);
    let mut ends = vec![0; 64];
    for (partition, last) in [(0, 1), (5, 7), (7, 1), (9, 3), (63, 1)] {
        ends[partition] = last;
    }
    let read = feed::ends(&mut conn).await.unwrap();
    assert_eq!(read.iter().map(|end| end.last).collect::<Vec<_>>(), ends);
    let mut behind = async |after: &[(u16, u64)], limit| -> Vec<(u16, u64)> {
        let rows = feed::rows_after(&mut conn, after, limit).await.unwrap();
        rows.iter()
            .map(|row| (row.partition, row.last_position))
            .collect()
    };
    assert_eq!(
        behind(&[(0, 0), (5, 1), (9, 3)], 10).await,
        [(0, 1), (5, 3), (5, 7)]
    );
    assert_eq!(behind(&[(5, 0), (63, 0)], 2).await, [(5, 1), (5, 3)]);
    assert!(behind(&[], 10).await.is_empty());
    assert!(append(&mut conn, &[]).await.is_empty());
    let no_partition = appended(&mut conn, &[events_of(64, 1, 1, b"")], None).await;
    let no_partition = no_partition.unwrap_err();
    assert_eq!(no_partition.kind(), ErrorKind::Corrupt);

    let mut rows_after = async |position: u64| -> Vec<(u64, u32, Vec<u8>)> {
        let history = events::history(&mut conn, OrderKey([1; 16]), (5, position), 2)
            .await
            .unwrap();
        assert!(history.iter().all(|row| row.partition == 5));
        history
            .into_iter()
            .map(|row| (row.last_position, row.count, row.payload))
            .collect()
    };
    let rows = [
        (1, 1, b"a".to_vec()),
        (3, 2, b"c".to_vec()),
        (7, 4, b"e".to_vec()),
    ];
    assert_eq!(rows_after(0).await, rows[..2]);
    assert_eq!(rows_after(1).await, rows[1..]);
    // The position is in the middle of a row.
    assert_eq!(rows_after(2).await, rows[1..]);
    assert_eq!(rows_after(3).await, rows[2..]);
    assert_eq!(rows_after(7).await, []);
}

#[tokio::test]
async fn concurrent_appends_get_positions_of_their_own() {
    let database = TestDatabase::migrated().await;
    let writers = (0..4_u8).map(|writer| {
        let database = &database;
        async move {
            let mut conn = database.connect().await;
            for _ in 0..10 {
                append(
                    &mut conn,
                    &[events_of(1, writer, 2, b""), events_of(2, writer, 1, b"")],
                )
                .await;
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let mut conn = database.connect().await;
    let mut positions = Vec::new();
    for writer in 0..4 {
        let history = events::history(&mut conn, OrderKey([writer; 16]), (1, 0), 100)
            .await
            .unwrap();
        positions.extend(
            history
                .iter()
                .filter(|row| row.partition == 1)
                .map(|row| row.last_position),
        );
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=40).map(|row| row * 2).collect::<Vec<u64>>());
}

/// Orders a-0 … a-9, one a minute, the last two at the same time; of two buyers in turn.
async fn ten_orders(conn: &mut Conn) -> Vec<Order> {
    let placed = |number: i64| {
        let mut order = eventful(&format!("a-{number}"));
        order.create_time += SignedDuration::from_mins(number.min(8));
        order.buyer.id = BuyerId::parse(format!("b-{}", number % 2)).unwrap();
        order
            .refunds
            .iter_mut()
            .for_each(|refund| refund.create_time += SignedDuration::from_mins(number));
        order
    };
    let orders: Vec<Order> = (0..10).map(placed).collect();
    crate::common::insert_orders(
        conn,
        &orders.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    orders
}

fn all_orders() -> OrderFilter {
    OrderFilter {
        store: store(),
        scope: Scope::EVERYTHING,
        buyer: None,
        seller: None,
        state: None,
        sku: None,
        country: None,
        city: None,
        create_time_from: None,
        create_time_before: None,
    }
}

async fn pages(conn: &mut Conn, filter: &OrderFilter, limit: u16) -> Vec<ListPosition> {
    let mut places: Vec<ListPosition> = Vec::new();
    loop {
        let page = db::list(conn, filter, places.last().copied(), limit)
            .await
            .unwrap();
        let is_last = page.len() < usize::from(limit);
        places.extend(page);
        if is_last {
            return places;
        }
    }
}

#[tokio::test]
async fn pages_of_orders_are_newest_first_and_lose_none() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let placed = ten_orders(&mut conn).await;
    let whole = pages(&mut conn, &all_orders(), 100).await;
    assert_eq!(whole.len(), 10);
    assert!(
        whole
            .windows(2)
            .all(|pair| (pair[0].create_time, pair[0].order_key)
                > (pair[1].create_time, pair[1].order_key))
    );
    for limit in [1, 3, 10] {
        assert_eq!(
            pages(&mut conn, &all_orders(), limit).await,
            whole,
            "{limit}"
        );
    }
    let count = async |conn: &mut Conn, filter: OrderFilter| pages(conn, &filter, 2).await.len();
    let of_buyer = OrderFilter {
        buyer: Some(BuyerId::parse("b-1").unwrap()),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, of_buyer).await, 5);
    let other_case = OrderFilter {
        buyer: Some(BuyerId::parse("B-1").unwrap()),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, other_case).await, 0);
    let between = OrderFilter {
        create_time_from: Some(placed[2].create_time),
        create_time_before: Some(placed[5].create_time),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, between).await, 3);
    let in_state = OrderFilter {
        state: Some(OrderState::PartlyShipped),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, in_state).await, 10);
    let of_nobody = OrderFilter {
        seller: Some(SellerId::parse("s-2").unwrap()),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, of_nobody).await, 0);
    let elsewhere = OrderFilter {
        store: StoreId::parse("other").unwrap(),
        ..all_orders()
    };
    assert_eq!(count(&mut conn, elsewhere).await, 0);
}

#[tokio::test]
async fn pages_of_children_lose_none() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let placed = ten_orders(&mut conn).await;
    macro_rules! all {
        ($filter:expr) => {{
            let (filter, mut places) = ($filter, Vec::<ListPosition>::new());
            loop {
                let page = db::list(&mut conn, &filter, places.last().copied(), 3)
                    .await
                    .unwrap();
                if page.is_empty() {
                    break;
                }
                places.extend(page);
            }
            let sorted = |pair: &[ListPosition]| {
                let order =
                    |place: &ListPosition| (place.create_time, place.order_key, place.number);
                order(&pair[0]) > order(&pair[1])
            };
            assert!(places.windows(2).all(sorted));
            places.len()
        }};
    }
    let of = CancellationFilter {
        store: store(),
        scope: Scope::EVERYTHING,
        view: View::Whole,
        order: None,
        seller: None,
        state: None,
        warehouse: None,
        carrier: None,
        awaiting: None,
        respond_by_before: None,
    };
    assert_eq!(all!(of.clone()), 20);
    assert_eq!(
        all!(CancellationFilter {
            order: Some(placed[3].key()),
            ..of.clone()
        }),
        2
    );
    assert_eq!(
        all!(CancellationFilter {
            state: Some(CancellationState::Completed),
            ..of.clone()
        }),
        0
    );
    assert_eq!(
        all!(CancellationFilter {
            state: Some(CancellationState::Pending),
            ..of
        }),
        20
    );

    let of = ShipmentFilter {
        store: store(),
        scope: Scope::EVERYTHING,
        order: None,
        seller: None,
        warehouse: None,
        carrier: None,
        stage: None,
        prepare_by_before: None,
    };
    assert_eq!(all!(of.clone()), 20);
    assert_eq!(
        all!(ShipmentFilter {
            order: Some(placed[3].key()),
            ..of.clone()
        }),
        2
    );
    let warehouse = |id| Some(WarehouseId::parse(id).unwrap());
    assert_eq!(
        all!(ShipmentFilter {
            warehouse: warehouse("w-1"),
            ..of.clone()
        }),
        20
    );
    assert_eq!(
        all!(ShipmentFilter {
            warehouse: warehouse("w-2"),
            ..of.clone()
        }),
        0
    );
    assert_eq!(
        all!(ShipmentFilter {
            stage: Some(Stage::Delivered),
            ..of
        }),
        10
    );

    let of = IncidentFilter {
        store: store(),
        scope: Scope::EVERYTHING,
        view: View::Whole,
        order: None,
        state: None,
        kind: None,
    };
    assert_eq!(all!(of.clone()), 10);
    assert_eq!(
        all!(IncidentFilter {
            order: Some(placed[3].key()),
            ..of.clone()
        }),
        1
    );
    assert_eq!(
        all!(IncidentFilter {
            state: Some(IncidentState::Open),
            ..of.clone()
        }),
        0
    );
    assert_eq!(
        all!(IncidentFilter {
            state: Some(IncidentState::Resolved),
            ..of.clone()
        }),
        10
    );
    assert_eq!(
        all!(IncidentFilter {
            kind: Some(IncidentKind::LateFact),
            ..of
        }),
        0
    );

    let of = RefundFilter {
        store: store(),
        scope: Scope::EVERYTHING,
        order: None,
        seller: None,
        state: None,
    };
    assert_eq!(all!(of.clone()), 20);
    assert_eq!(
        all!(RefundFilter {
            state: Some(RefundState::Due),
            ..of
        }),
        10
    );
}

#[tokio::test]
async fn the_most_urgent_refunds_are_claimed_first_and_leases_are_respected() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let now = time("2026-03-10T00:00:00Z");
    let day = |day: i64| now + SignedDuration::from_hours(24 * day);
    let unknown = |number, due_by, lease_until| belay_domain::refund::Refund {
        lease_until,
        ..refund(number, RefundState::Unknown, due_by)
    };
    let order = Order {
        refunds: vec![
            refund(1, RefundState::Due, day(3)),
            unknown(2, day(1), Some(day(2))),
            unknown(3, day(2), Some(now)),
            unknown(4, day(5), None),
            refund(5, RefundState::Settled, day(0)),
            refund(6, RefundState::Blocked, day(0)),
            refund(7, RefundState::Due, day(4)),
        ],
        ..order("a", 1)
    };
    crate::common::insert_orders(&mut conn, &[(&order, 0)])
        .await
        .unwrap();
    let mut numbers = async |store: &StoreId, limit| {
        let found = refunds::claimable(&mut conn, store, &Scope::EVERYTHING, now, limit)
            .await
            .unwrap();
        found
            .iter()
            .map(|refund| refund.number)
            .collect::<Vec<u32>>()
    };
    assert_eq!(numbers(&store(), 10).await, [3, 1, 7, 4]);
    assert_eq!(numbers(&store(), 2).await, [3, 1]);
    assert_eq!(numbers(&StoreId::parse("other").unwrap(), 10).await, [0; 0]);
    for number in [1, 2, 3, 4, 5, 6, 7] {
        let listed = [3, 1, 7, 4].contains(&number);
        assert_eq!(
            order.refund(number).unwrap().is_claimable(now),
            listed,
            "{number}"
        );
    }
}

#[tokio::test]
async fn due_orders_come_page_by_page() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    // Due at pay_by; two in each of five partitions at the same time, and one that is due later.
    let mut placed: Vec<(Order, u16)> = (0..10)
        .map(|number| (order(&format!("a-{number}"), 1), number % 5))
        .collect();
    let later = Order {
        pay_by: time("2026-03-01T12:00:00Z"),
        ..order("later", 1)
    };
    placed.push((later, 2));
    crate::common::insert_orders(
        &mut conn,
        &placed
            .iter()
            .map(|(order, at)| (order, *at))
            .collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    let now = time("2026-03-01T11:00:00Z");
    let mut all: Vec<DueOrder> = Vec::new();
    loop {
        let page = orders::due(&mut conn, 0..64, now, all.last(), 3)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let place = |due: &DueOrder| (due.partition, due.next_due, due.order_key);
    assert!(all.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])));
    let mut ids: Vec<&OrderId> = all.iter().map(|due| &due.order).collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        placed[..10]
            .iter()
            .map(|(order, _)| &order.id)
            .collect::<Vec<_>>()
    );
    assert_eq!(
        orders::due(&mut conn, 1..3, now, None, 100)
            .await
            .unwrap()
            .len(),
        4
    );
    let early = now - SignedDuration::from_micros(1);
    assert_eq!(
        orders::due(&mut conn, 0..64, early, None, 100)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn the_manual_clock_moves_only_by_hand() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    assert_eq!(
        clock::manual(&mut conn).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let before = clock::now(&mut conn).await.unwrap();
    clock::start_manual(&mut conn).await.unwrap();
    let started = clock::manual(&mut conn).await.unwrap();
    assert!(before <= started && started <= clock::now(&mut conn).await.unwrap());
    clock::start_manual(&mut conn).await.unwrap();
    assert_eq!(clock::manual(&mut conn).await.unwrap(), started);
    clock::set_manual(&mut conn, time("2026-03-01T10:00:00.000001Z"))
        .await
        .unwrap();
    let later = clock::advance_manual(&mut conn, SignedDuration::from_micros(86_400_000_001))
        .await
        .unwrap();
    assert_eq!(later, time("2026-03-02T10:00:00.000002Z"));
    assert_eq!(clock::manual(&mut conn).await.unwrap(), later);
}

#[tokio::test]
async fn administration_rows_are_guarded_by_their_versions() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let at = time("2026-03-01T10:00:00Z");
    let first = Store {
        id: store(),
        display_name: "Démo".into(),
        time_zone: "Europe/Berlin".into(),
        default_warehouse: Some(WarehouseId::parse("w-1").unwrap()),
        default_carrier: None,
        storefront_records_payments: false,
        version: 1,
        create_time: at,
        update_time: at,
        fingerprint: [3; 32],
    };
    stores::insert(&mut conn, &first).await.unwrap();
    assert_eq!(
        stores::insert(&mut conn, &first).await.unwrap_err().kind(),
        ErrorKind::Duplicate
    );
    let second = Store {
        display_name: "Demo".into(),
        default_warehouse: None,
        version: 2,
        ..first.clone()
    };
    stores::update(&mut conn, &second, 1).await.unwrap();
    assert_eq!(
        stores::update(&mut conn, &second, 1)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::VersionConflict
    );
    assert_eq!(
        stores::get(&mut conn, &store()).await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(
        stores::list(&mut conn, &IdFilter::All, None, 10)
            .await
            .unwrap(),
        [second]
    );
    assert_eq!(
        stores::list(&mut conn, &IdFilter::All, Some(&store()), 10)
            .await
            .unwrap(),
        []
    );

    let price = Money {
        currency: Currency::parse("EUR").unwrap(),
        minor_units: 499,
    };
    let carrier = Carrier {
        store: store(),
        id: CarrierId::parse("c-1").unwrap(),
        display_name: "Post".into(),
        capabilities: context::CarrierProfile {
            in_transit_cancel: true,
            partner_delivery: false,
            return_labels: BTreeMap::from([
                ("DE".to_owned(), ReturnLabel { price: Some(price) }),
                ("FR".to_owned(), ReturnLabel { price: None }),
            ]),
        },
        version: 1,
    };
    carrier.insert(&mut conn).await.unwrap();
    assert_eq!(
        Carrier::get(&mut conn, &store(), &carrier.id)
            .await
            .unwrap(),
        Some(carrier.clone())
    );
    let capabilities = context::CarrierProfile {
        return_labels: BTreeMap::new(),
        ..carrier.capabilities.clone()
    };
    let renamed = Carrier {
        display_name: "Post 2".into(),
        capabilities,
        version: 2,
        ..carrier.clone()
    };
    renamed.update(&mut conn, 1).await.unwrap();
    assert_eq!(
        renamed.update(&mut conn, 1).await.unwrap_err().kind(),
        ErrorKind::VersionConflict
    );
    assert_eq!(
        Carrier::get(&mut conn, &store(), &carrier.id)
            .await
            .unwrap(),
        Some(renamed.clone())
    );
    assert_eq!(
        Carrier::list(&mut conn, (&store(), &IdFilter::All), None, 10)
            .await
            .unwrap(),
        [renamed]
    );

    let warehouse = Warehouse {
        store: store(),
        id: WarehouseId::parse("w-1").unwrap(),
        display_name: "Halle".into(),
        time_zone: "Europe/Berlin".into(),
        country_code: Some("DE".into()),
        days_off: DaysOff {
            weekend: BTreeSet::from([Weekday::Sunday]),
            holidays: BTreeSet::from([date(2026, 12, 25), date(2026, 12, 26)]),
        },
        version: 1,
    };
    warehouse.insert(&mut conn).await.unwrap();
    assert_eq!(
        Warehouse::get(&mut conn, &store(), &warehouse.id)
            .await
            .unwrap(),
        Some(warehouse.clone())
    );
    let moved = Warehouse {
        time_zone: "Europe/Paris".into(),
        country_code: None,
        days_off: DaysOff {
            weekend: BTreeSet::new(),
            holidays: BTreeSet::from([date(2026, 7, 14)]),
        },
        version: 2,
        ..warehouse.clone()
    };
    moved.update(&mut conn, 1).await.unwrap();
    assert_eq!(
        moved.update(&mut conn, 1).await.unwrap_err().kind(),
        ErrorKind::VersionConflict
    );
    assert_eq!(
        Warehouse::get(&mut conn, &store(), &warehouse.id)
            .await
            .unwrap(),
        Some(moved.clone())
    );
    assert_eq!(
        Warehouse::list(&mut conn, (&store(), &IdFilter::All), None, 10)
            .await
            .unwrap(),
        [moved]
    );
}

#[tokio::test]
async fn policy_versions_are_numbered_without_a_gap_and_activated_in_time() {
    let database = TestDatabase::migrated().await;
    let at = time("2026-03-01T10:00:00Z");
    let mut conn = database.connect().await;
    let shop = Store {
        id: store(),
        display_name: "Demo".into(),
        time_zone: "UTC".into(),
        default_warehouse: None,
        default_carrier: None,
        storefront_records_payments: false,
        version: 1,
        create_time: at,
        update_time: at,
        fingerprint: [3; 32],
    };
    stores::insert(&mut conn, &shop).await.unwrap();
    let create = async |document: usize| {
        let document = format!("rules: [{document}]");
        let new = NewPolicy {
            store: store(),
            name: "p".into(),
            document,
            create_time: at,
            author: Some("ada".into()),
        };
        let mut conn = database.connect().await;
        transaction::begin_write(&mut conn).await.unwrap();
        let created = policies::create(&mut conn, new).await.unwrap();
        transaction::commit(&mut conn).await.unwrap();
        created.version
    };
    // The same document eight times at once is one version, four different ones are four.
    assert_eq!(
        futures_util::future::join_all((0..8).map(|_| create(0))).await,
        [1; 8]
    );
    let mut versions = futures_util::future::join_all((1..=4).map(&create)).await;
    versions.sort_unstable();
    assert_eq!(versions, [2, 3, 4, 5]);
    assert_eq!(create(0).await, 6, "only the newest version counts");

    assert_eq!(
        policies::newest(&mut conn, &store())
            .await
            .unwrap()
            .unwrap()
            .version,
        6
    );
    assert_eq!(
        policies::get(&mut conn, &store(), 1)
            .await
            .unwrap()
            .unwrap()
            .document,
        "rules: [0]"
    );
    assert_eq!(policies::get(&mut conn, &store(), 9).await.unwrap(), None);
    let listed = async |conn: &mut Conn, before, limit| {
        let page = policies::list(conn, &store(), before, limit).await.unwrap();
        page.iter()
            .map(|policy| policy.version)
            .collect::<Vec<u32>>()
    };
    assert_eq!(listed(&mut conn, None, 2).await, [6, 5]);
    assert_eq!(listed(&mut conn, Some(5), 10).await, [4, 3, 2, 1]);
    assert_eq!(listed(&mut conn, Some(1), 10).await, [0; 0]);

    let hour = |hour: i64| at + SignedDuration::from_hours(hour);
    let mut activate = async |version, effective: i64, now: i64| {
        let activation = Activation {
            effective_time: hour(effective),
            version,
        };
        policies::activate(&mut conn, &store(), activation, hour(now))
            .await
            .unwrap();
        let all = policies::activations(&mut conn, &store()).await.unwrap();
        all.iter()
            .map(|activation| (activation.effective_time, activation.version))
            .collect::<Vec<_>>()
    };
    assert_eq!(activate(1, 1, 0).await, [(hour(1), 1)]);
    assert_eq!(activate(2, 3, 2).await, [(hour(1), 1), (hour(3), 2)]);
    // What was to come is replaced; an old version may decide again.
    assert_eq!(activate(3, 4, 2).await, [(hour(1), 1), (hour(4), 3)]);
    assert_eq!(
        activate(1, 6, 5).await,
        [(hour(1), 1), (hour(4), 3), (hour(6), 1)]
    );
    assert_eq!(
        activate(2, 6, 5).await,
        [(hour(1), 1), (hour(4), 3), (hour(6), 2)]
    );
}
