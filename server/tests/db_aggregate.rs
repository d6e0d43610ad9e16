//! Orders go into their tables and come back the same.

mod common;

use belay_domain::cancellation::{GateState, Part, PartState};
use belay_domain::ids::{ExternalId, OrderKey};
use belay_domain::order::{Order, OrderState};
use belay_domain::payment::PaymentState;
use belay_domain::shipment::{Stage, Whereabouts};
use belay_domain::terms::{GateKind, Path};
use belay_domain::units::{UnitRange, UnitSet};
use belay_server::db::orders::{self, OnLocked};
use belay_server::db::{Conn, ErrorKind, aggregate, clock, transaction};
use common::{TestDatabase, cancellation, eventful, gate, order, shipment, units};
use diesel::QueryableByName;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// Nothing here looks at partitions.
const PARTITION: u16 = 3;

async fn insert(conn: &mut Conn, new: &[Order]) {
    let rows: Vec<(&Order, u16)> = new.iter().map(|order| (order, PARTITION)).collect();
    transaction::begin_write(conn).await.unwrap();
    crate::common::insert_orders(conn, &rows).await.unwrap();
    transaction::commit(conn).await.unwrap();
}

async fn update(conn: &mut Conn, changed: &[(&Order, &Order)]) {
    transaction::begin_write(conn).await.unwrap();
    crate::common::update_orders(conn, changed).await.unwrap();
    transaction::commit(conn).await.unwrap();
}

async fn read(conn: &mut Conn, order: &Order) -> Order {
    transaction::begin_snapshot(conn).await.unwrap();
    let found = aggregate::read(conn, &[order.key()])
        .await
        .unwrap()
        .remove(&order.key())
        .unwrap();
    transaction::rollback(conn).await.unwrap();
    found
}

/// Only the tables are left to read from.
const FORGET_DOCUMENTS: &str = "UPDATE orders SET document = NULL";

fn keys(orders: &[Order]) -> Vec<OrderKey> {
    let mut keys: Vec<OrderKey> = orders.iter().map(Order::key).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn an_order_comes_back_as_it_went() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders = [order("plain", 2), eventful("eventful"), order("big", 200)];
    insert(&mut conn, &orders).await;
    for order in &orders {
        assert_eq!(read(&mut conn, order).await, *order);
    }
    let locked = orders::lock(&mut conn, &keys(&orders), OnLocked::Fail)
        .await
        .unwrap();
    assert!(locked.iter().all(|locked| locked.partition == PARTITION));
    let mut loaded = aggregate::load_children(&mut conn, locked).await.unwrap();
    assert_eq!(loaded.len(), 3);
    for order in &orders {
        assert_eq!(loaded.remove(&order.key()).unwrap(), *order);
    }
}

#[tokio::test]
async fn what_became_of_an_order_comes_back_too() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let (placed, other) = (order("a", 3), order("b", 1));
    insert(&mut conn, &[placed.clone(), other.clone()]).await;

    // Everything at once, from almost nothing.
    let mut happened = eventful("a");
    happened.create_time = placed.create_time;
    update(&mut conn, &[(&placed, &happened)]).await;
    assert_eq!(read(&mut conn, &happened).await, happened);

    // Then each kind of change to what is there, and a new child beside old ones.
    let mut later = happened.clone();
    later.version += 1;
    later.state = OrderState::Delivered;
    later.paid_time = None;
    later.verified_at = None;
    later.payments[0].balance.captured += 1;
    later.payments[0].facts.pop();
    later.shipments[0].hold = None;
    later.shipments[0].intercept = None;
    later.shipments[0].customs_flag = None;
    later.shipments[1].hold = happened.shipments[0].hold.clone();
    later.shipments[1].stage = Stage::Preparing;
    later.shipments[1].units = UnitSet::new([UnitRange {
        line: 2,
        first: 2,
        count: 1,
    }]);
    later.shipments.push(shipment(3, &[(2, 1, 1), (3, 0, 3)]));
    later.cancellations[1].note = None;
    later.cancellations[0].parts[1].state = PartState::Cancelled;
    later.cancellations[0].parts[1].gates[1].state = GateState::Passed;
    later.cancellations[0].parts[1].gates[1].answer =
        happened.cancellations[0].parts[1].gates[0].answer.clone();
    later.cancellations[1].parts[2].receipt = None;
    later.cancellations[1].next_actions.clear();
    later.cancellations[0].parts[1].units = UnitSet::new([UnitRange {
        line: 3,
        first: 1,
        count: 2,
    }]);
    later.cancellations.push(cancellation(3));
    later.refunds[1].worker = happened.refunds[0].worker.clone();
    later.refunds[1].overdue = true;
    later.incidents[0].resolve_time = None;
    later.incidents[0].resolved_by = None;
    later.incidents[0].resolution = None;
    update(&mut conn, &[(&happened, &later)]).await;
    assert_eq!(read(&mut conn, &later).await, later);
    assert_eq!(read(&mut conn, &other).await, other);
}

/// Rows are written by number: what moves up is written anew, whole.
#[tokio::test]
async fn a_gate_between_others_and_a_part_after_others_come_back_in_their_places() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = eventful("a");
    insert(&mut conn, std::slice::from_ref(&before)).await;
    let mut after = before.clone();
    after.version += 1;
    let part = &mut after.cancellations[0].parts[1];
    part.gates.insert(0, gate(GateKind::CarrierIntercept));
    part.gates.insert(3, gate(GateKind::SupportReview));
    let moved = Part {
        units: UnitSet::new([UnitRange {
            line: 3,
            first: 2,
            count: 1,
        }]),
        shipment: 1,
        ..part.clone()
    };
    part.units = UnitSet::new([UnitRange {
        line: 3,
        first: 0,
        count: 2,
    }]);
    after.cancellations[0].parts.push(moved);
    update(&mut conn, &[(&before, &after)]).await;
    assert_eq!(read(&mut conn, &after).await, after);
}

#[tokio::test]
async fn half_of_what_is_written_together_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let order = eventful("a");
    insert(&mut conn, std::slice::from_ref(&order)).await;
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    for (broken, fixed) in [
        (
            "UPDATE shipments SET intercept_update_time = NULL WHERE number = 1",
            "UPDATE shipments SET intercept_state = NULL, intercept_request_time = NULL",
        ),
        (
            "UPDATE cancellation_parts SET receive_time = NULL WHERE part_number = 3",
            "UPDATE cancellation_parts SET receipt_condition = NULL",
        ),
        (
            "UPDATE incidents SET resolved_by_id = NULL",
            "UPDATE incidents SET resolved_by_role = NULL",
        ),
    ] {
        conn.batch_execute(broken).await.unwrap();
        let refused = aggregate::read(&mut conn, &[order.key()])
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{broken}: {refused}");
        conn.batch_execute(fixed).await.unwrap();
        aggregate::read(&mut conn, &[order.key()]).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_batch_of_the_largest_orders_goes_in_and_out() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders: Vec<Order> = (0..128)
        .map(|number| order(&format!("o-{number}"), 200))
        .collect();
    insert(&mut conn, &orders).await;
    let later: Vec<Order> = orders
        .iter()
        .map(|order| Order {
            version: 2,
            pay_by_moved: true,
            ..order.clone()
        })
        .collect();
    update(&mut conn, &orders.iter().zip(&later).collect::<Vec<_>>()).await;
    let mut found = aggregate::read(&mut conn, &keys(&orders)).await.unwrap();
    assert_eq!(found.len(), 128);
    assert!(
        later
            .iter()
            .all(|order| found.remove(&order.key()).as_ref() == Some(order))
    );
}

#[tokio::test]
async fn an_order_that_moved_on_meanwhile_is_not_overwritten() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders: Vec<Order> = (0..5)
        .map(|number| order(&format!("o-{number}"), 1))
        .collect();
    insert(&mut conn, &orders).await;
    let stale = |order: &Order| Order {
        version: 7,
        ..order.clone()
    };
    for count in 1..=orders.len() {
        // All but the last are at the version that was loaded.
        let last = count - 1;
        let before: Vec<Order> = (0..count)
            .map(|i| {
                if i == last {
                    stale(&orders[i])
                } else {
                    orders[i].clone()
                }
            })
            .collect();
        let after: Vec<Order> = before
            .iter()
            .map(|order| Order {
                version: 8,
                ..order.clone()
            })
            .collect();
        transaction::begin_write(&mut conn).await.unwrap();
        let refused =
            crate::common::update_orders(&mut conn, &before.iter().zip(&after).collect::<Vec<_>>())
                .await
                .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::VersionConflict, "{refused}");
        transaction::rollback(&mut conn).await.unwrap();
    }
    for order in &orders {
        assert_eq!(read(&mut conn, order).await, *order);
    }
}

#[tokio::test]
async fn an_update_that_changes_nothing_still_matches() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders = [order("a", 1), order("b", 1), order("c", 1)];
    insert(&mut conn, &orders).await;
    update(
        &mut conn,
        &orders
            .iter()
            .map(|order| (order, order))
            .collect::<Vec<_>>(),
    )
    .await;
    update(&mut conn, &[(&orders[0], &orders[0])]).await;
}

#[tokio::test]
async fn what_never_changes_is_guarded() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = eventful("a");
    insert(&mut conn, std::slice::from_ref(&before)).await;
    let other_city = Order {
        destination: belay_domain::order::Destination {
            city: "Berlin".into(),
            ..before.destination.clone()
        },
        ..before.clone()
    };
    let removed_child = Order {
        refunds: Vec::new(),
        ..before.clone()
    };
    for after in [other_city, removed_child] {
        let refused = crate::common::update_orders(&mut conn, &[(&before, &after)])
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    }
}

#[tokio::test]
async fn a_row_under_a_key_that_is_not_its_own_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let order = order("a", 1);
    insert(&mut conn, std::slice::from_ref(&order)).await;
    conn.batch_execute("UPDATE orders SET order_id = 'b'")
        .await
        .unwrap();
    let refused = aggregate::read(&mut conn, &[order.key()])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    conn.batch_execute("UPDATE orders SET order_id = 'a', line_count = 2")
        .await
        .unwrap();
    let refused = aggregate::read(&mut conn, &[order.key()])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    conn.batch_execute("UPDATE orders SET line_count = 1, state = 'LOST'")
        .await
        .unwrap();
    let refused = aggregate::read(&mut conn, &[order.key()])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
}

#[tokio::test]
async fn the_same_order_twice_is_a_duplicate() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders = [order("a", 1), order("b", 1)];
    insert(&mut conn, &orders[..1]).await;
    transaction::begin_write(&mut conn).await.unwrap();
    let refused = crate::common::insert_orders(&mut conn, &[(&orders[1], 0), (&orders[0], 0)])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Duplicate);
    transaction::rollback(&mut conn).await.unwrap();
    assert_eq!(
        orders::existing(&mut conn, &keys(&orders)).await.unwrap(),
        [orders[0].key()]
    );
}

#[tokio::test]
async fn a_locked_order_is_met_only_by_those_who_ask_for_it() {
    let database = TestDatabase::migrated().await;
    let (mut a, mut b) = (database.connect().await, database.connect().await);
    let orders: Vec<Order> = (0..4)
        .map(|number| order(&format!("o-{number}"), 1))
        .collect();
    insert(&mut a, &orders).await;
    let keys = keys(&orders);

    transaction::begin_write(&mut a).await.unwrap();
    orders::lock(&mut a, &keys[..1], OnLocked::Fail)
        .await
        .unwrap();
    transaction::begin_write(&mut b).await.unwrap();
    // On a table this small a scan would be cheaper than three look-ups, and would meet the lock of
    // the first order.
    assert_eq!(
        orders::lock(&mut b, &keys[1..], OnLocked::Fail)
            .await
            .unwrap()
            .len(),
        3
    );
    let busy = orders::lock(&mut b, &keys, OnLocked::Fail)
        .await
        .unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::RowLocked);
    transaction::rollback(&mut b).await.unwrap();
    let mut free = orders::free_of(&mut b, &keys).await.unwrap();
    free.sort_unstable();
    assert_eq!(free, keys[1..]);

    // An update of three leaves the fourth alone, too.
    let others: Vec<&Order> = orders
        .iter()
        .filter(|order| order.key() != keys[0])
        .collect();
    update(
        &mut b,
        &others
            .iter()
            .map(|order| (*order, *order))
            .collect::<Vec<_>>(),
    )
    .await;
}

#[tokio::test]
async fn the_time_of_a_lock_is_not_before_what_it_waited_for() {
    let database = TestDatabase::migrated().await;
    let (mut a, mut b) = (database.connect().await, database.connect().await);
    let order = order("a", 1);
    insert(&mut a, std::slice::from_ref(&order)).await;
    transaction::begin_write(&mut a).await.unwrap();
    orders::lock(&mut a, &[order.key()], OnLocked::Fail)
        .await
        .unwrap();
    // However long it takes until somebody looks.
    b.batch_execute("SET SESSION innodb_lock_wait_timeout = 180")
        .await
        .unwrap();
    let mut looker = database.connect().await;
    let hold = async {
        while waiting(&mut looker).await == 0 {
            tokio::task::yield_now().await;
        }
        let end = clock::now(&mut a).await.unwrap();
        transaction::commit(&mut a).await.unwrap();
        end
    };
    let wait = async {
        transaction::begin_write(&mut b).await.unwrap();
        orders::lock(&mut b, &[order.key()], OnLocked::Wait)
            .await
            .unwrap()[0]
            .locked_at
    };
    let (end, locked_at) = tokio::join!(hold, wait);
    assert!(locked_at >= end, "{locked_at} {end}");
}

/// Locks of this database's rows that are waited for.
async fn waiting(conn: &mut Conn) -> i64 {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        waiting: i64,
    }
    let query = "SELECT COUNT(*) AS waiting FROM performance_schema.data_locks \
        WHERE lock_status = 'WAITING' AND object_schema = DATABASE()";
    diesel::sql_query(query)
        .get_result::<Waiting>(conn)
        .await
        .unwrap()
        .waiting
}

#[derive(QueryableByName, Debug)]
struct Status {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "Value")]
    value: String,
}

async fn prepared(conn: &mut Conn) -> u64 {
    let status: Status = diesel::sql_query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'")
        .get_result(conn)
        .await
        .unwrap();
    status.value.parse().unwrap()
}

/// Lists of orders are filled up to powers of two, so that all lengths share few statements.
#[tokio::test]
async fn reading_and_updating_lists_prepares_nothing_anew() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let orders: Vec<Order> = (0..8)
        .map(|number| eventful(&format!("o-{number}")))
        .collect();
    insert(&mut conn, &orders).await;
    let keys = keys(&orders);
    let mut work = async |count: usize| {
        transaction::begin_write(&mut conn).await.unwrap();
        let locked = orders::lock(&mut conn, &keys[..count], OnLocked::Fail)
            .await
            .unwrap();
        let loaded = aggregate::load_children(&mut conn, locked).await.unwrap();
        crate::common::update_orders(
            &mut conn,
            &loaded
                .values()
                .map(|order| (order, order))
                .collect::<Vec<_>>(),
        )
        .await
        .unwrap();
        transaction::commit(&mut conn).await.unwrap();
        prepared(&mut conn).await
    };
    let after_eight = work(8).await;
    let own = work(8).await - after_eight; // of the query for the count
    for count in [5, 6, 7, 8] {
        let before = work(8).await;
        assert_eq!(work(count).await - before, own, "{count}");
    }
    assert!(own <= 1, "{own}");
}

/// Rows that were written before it was kept what has left and what is home are read by what else
/// they show.
#[tokio::test]
async fn what_was_not_kept_of_parcels_is_presumed() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut old = eventful("old");
    old.shipments[0].units = units(&[(1, 0, 3), (2, 0, 1)]);
    let mut cancelled = cancellation(3);
    cancelled.close_time = old.shipments[0].dispatch_time;
    let inside = Part {
        shipment: 1,
        units: units(&[(1, 2, 1)]),
        path: Path::Cancel,
        receipt: None,
        state: PartState::Cancelled,
        ..cancelled.parts[0].clone()
    };
    cancelled.parts = vec![inside];
    old.cancellations.push(cancelled);
    insert(&mut conn, &[old.clone()]).await;
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    conn.batch_execute("UPDATE shipments SET whereabouts = NULL")
        .await
        .unwrap();
    let found = read(&mut conn, &old).await;
    let presumed = &found.shipments[0].whereabouts;
    // One was cancelled before the parcel left; what a part has the receipt of is home.
    assert_eq!(presumed.left, units(&[(1, 0, 2), (2, 0, 1)]));
    assert_eq!(
        (&presumed.home, presumed.receipt_ids.len()),
        (&units(&[(2, 0, 1)]), 0)
    );
    assert_eq!(
        found.shipments[1].whereabouts,
        Whereabouts::default(),
        "it has not left"
    );
}

/// Rows of the time before a payment kept its facts: its amounts are what was told.
#[tokio::test]
async fn a_payment_without_facts_is_what_its_amounts_say() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut old = eventful("old");
    let event = ExternalId::parse("evt_1").unwrap();
    old.refunds.clear();
    insert(&mut conn, &[old.clone()]).await;
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    for (state, amounts, expected) in [
        (
            "AUTHORIZED",
            (100, 0, 0),
            (PaymentState::Authorized, 100, 0),
        ),
        ("CAPTURED", (100, 60, 5), (PaymentState::Captured, 0, 60)),
        ("CAPTURED", (0, 60, 0), (PaymentState::Captured, 0, 60)),
        ("DECLINED", (100, 0, 0), (PaymentState::Declined, 0, 0)),
        ("VOIDED", (100, 0, 0), (PaymentState::Voided, 0, 0)),
        ("ATTEMPTING", (0, 0, 0), (PaymentState::Attempting, 0, 0)),
    ] {
        let (authorized, captured, outside) = amounts;
        let sql = format!(
            "UPDATE payments SET facts = NULL, held = 0, unconfirmed = 0, disputed = 0, state = '{state}',
             authorized = {authorized}, captured = {captured}, returned_outside = {outside},
             provider_event_ids = '[\"evt_1\"]'"
        );
        conn.batch_execute(&sql).await.unwrap();
        let mut found = read(&mut conn, &old).await.payments.remove(0);
        let balance = &found.balance;
        assert_eq!(
            (balance.state, balance.held, balance.captured),
            expected,
            "{state}"
        );
        assert_eq!(
            (balance.authorized, balance.returned_outside),
            (authorized, outside)
        );
        assert!(found.knows(&event), "a repeat is still told");
        // To weigh the facts that stand for the row adds nothing to it but what the provider may
        // yet capture.
        let read_as = found.balance.clone();
        found.recompute_balance(&[]);
        let weighed = &found.balance;
        assert_eq!(
            (weighed.state, weighed.captured),
            (read_as.state, read_as.captured),
            "{state}"
        );
        assert_eq!(weighed.returned_outside, read_as.returned_outside);
    }
}

/// One UPDATE gives each row its own values: of every length, some plain, some not, some NULL, in
/// more rows than one statement takes.
#[tokio::test]
async fn each_order_of_a_batch_gets_its_own_values() {
    const ORDERS: usize = 150;
    let notes = [None, Some("plain"), Some("it's \\ a? ü"), Some("")];
    let stages = [Stage::Planned, Stage::Preparing, Stage::Cancelled];
    let changed = |order: &Order, seed: usize| {
        let mut order = order.clone();
        order.version += 1;
        for (at, cancellation) in order.cancellations.iter_mut().enumerate() {
            cancellation.note = notes[(seed + at) % notes.len()].map(str::to_owned);
            cancellation.counted = seed.is_multiple_of(2);
        }
        for (at, shipment) in order.shipments.iter_mut().enumerate() {
            shipment.stage = stages[(seed / 2 + at) % stages.len()];
            shipment.fence = u32::try_from(1 + seed % 3).unwrap();
        }
        // A row of NULL beside rows that are none.
        order.paid_time = (!seed.is_multiple_of(3)).then_some(order.create_time);
        order
    };
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut orders: Vec<Order> = (0..ORDERS)
        .map(|number| eventful(&format!("o-{number}")))
        .collect();
    insert(&mut conn, &orders).await;
    for (round, count) in [1, 2, ORDERS].into_iter().enumerate() {
        let after: Vec<Order> = (0..count)
            .map(|number| changed(&orders[number], number * 7 + round))
            .collect();
        update(&mut conn, &orders.iter().zip(&after).collect::<Vec<_>>()).await;
        orders.splice(..count, after);
        let contradicted = aggregate::contradicted(&mut conn, &keys(&orders)).await;
        assert_eq!(contradicted.unwrap(), []);
    }
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    for order in &orders {
        assert_eq!(read(&mut conn, order).await, *order);
    }
}
