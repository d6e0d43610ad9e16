//! A database with many orders, written by SQL: the lists have something to get lost in.

use belay_server::db::Conn;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// Orders of the buyer `big`. The buyers `b-0` to `b-999` have ten each.
pub(crate) const BIG: u32 = 100_000;
/// Orders with lines, shipments, cancellations, parts, gates and refunds.
pub(crate) const EVENTFUL: u32 = 10_000;

/// Of store `demo`; ten orders an instant, an instant a second. Half of the eventful orders'
/// cancellations wait for somebody.
pub(crate) async fn fill(conn: &mut Conn) {
    let key = "UNHEX(LEFT(SHA2(i, 256), 32))";
    let time = "'2026-01-01' + INTERVAL (i DIV 10) SECOND";
    let orders = format!(
        "INSERT INTO orders (order_key, store_id, order_id, shard_partition, version, state, buyer_id, \
             buyer_email_hash, buyer_username_hash, seller_id, country_code, region, city, currency, shipping, \
             shipping_tax, policy_version, create_time, update_time, pay_by, pay_by_moved, paid_time, \
             create_fingerprint, next_due, line_count, payment_count, shipment_count, cancellation_count, \
             refund_count, incident_count) \
             SELECT {key}, 'demo', CONCAT('o-', i), 0, 1, \
             ELT(1 + i % 8, 'AWAITING_PAYMENT', 'CLOSED_UNPAID', 'CANCELLED', 'TO_SHIP', 'PROCESSING', \
                 'PARTLY_SHIPPED', 'SHIPPED', 'DELIVERED'), \
             IF(i < {BIG}, 'big', CONCAT('b-', i % 1000)), NULL, NULL, CONCAT('s-', i % 7), \
             ELT(1 + i % 3, 'DE', 'FR', 'IT'), '', CONCAT('city-', i % 100), 'EUR', 0, 0, 1, {time}, {time}, {time}, \
             FALSE, NULL, {key}, NULL, 0, 0, 0, 0, 0, 0 FROM crowd"
    );
    let lines = format!(
        "INSERT INTO order_lines (order_key, number, sku, title, quantity, goods, discount, tax, store_id, \
             create_time) \
             SELECT {key}, 1, CONCAT('sku-', i % 50), '', 1, 0, 0, 0, 'demo', {time} FROM few"
    );
    let shipments = format!(
        "INSERT INTO shipments (order_key, number, store_id, seller_id, warehouse_id, carrier_id, stage, \
             fence, shipping, shipping_tax, tracking_number, create_time, update_time, dispatch_time, \
             deliver_time, last_tracking_time, carrier_event_ids) \
             SELECT {key}, 1, 'demo', CONCAT('s-', i % 7), CONCAT('w-', i % 5), CONCAT('c-', i % 4), \
             ELT(1 + i % 3, 'PLANNED', 'READY', 'DELIVERED'), 1, 0, 0, NULL, {time}, {time}, NULL, NULL, NULL, '[]' \
             FROM few"
    );
    let cancellations = format!(
        "INSERT INTO cancellations (order_key, number, store_id, seller_id, state, outcome, close_reason, \
             reason, fault, note, evidence, counted, effects, requester_role, requester_id, submitted_by_role, \
             submitted_by_id, policy_version, create_time, close_time) \
             SELECT {key}, 1, 'demo', CONCAT('s-', i % 7), \
             IF(i % 2 = 0, 'PENDING', 'COMPLETED'), NULL, NULL, '', 'NONE', NULL, '[]', FALSE, '[]', \
             IF(i % 5 = 0, 'SELLER', 'BUYER'), '', 'STOREFRONT', '', 1, {time}, NULL FROM few"
    );
    let parts = format!(
        "INSERT INTO cancellation_parts (order_key, cancellation_number, part_number, shipment_number, path, \
             state, rule, plan, refused_reason, next_actions, refund_goods, refund_tax, refund_shipping, \
             refund_excess, store_id, warehouse_id, carrier_id, create_time) \
             SELECT {key}, 1, 1, 1, 'CANCEL', IF(i % 2 = 0, 'WAITING', 'CANCELLED'), NULL, \
             'FULL', NULL, '[]', 0, 0, 0, 0, 'demo', CONCAT('w-', i % 5), CONCAT('c-', i % 4), {time} FROM few"
    );
    let gates = format!(
        "INSERT INTO gates (order_key, cancellation_number, part_number, gate_number, kind, state, \
             on_timeout, on_dispatch, on_lost, open_time, respond_by, close_time, store_id, seller_id, \
             warehouse_id, carrier_id, create_time, awaiting) \
             SELECT {key}, 1, 1, 1, \
             ELT(1 + i % 4, 'SELLER_CONSENT', 'SUPPORT_REVIEW', 'WAREHOUSE_STOP', 'CARRIER_INTERCEPT'), \
             IF(i % 2 = 0, 'OPEN', 'PASSED'), 'PASS', 'BAR', 'PASS', {time}, {time} + INTERVAL 2 DAY, NULL, \
             'demo', CONCAT('s-', i % 7), CONCAT('w-', i % 5), CONCAT('c-', i % 4), {time}, \
             IF(i % 2 = 0, ELT(1 + i % 4, 'SELLER', 'SUPPORT', 'WAREHOUSE', 'CARRIER'), NULL) FROM few WHERE i % 3 > 0"
    );
    let refunds = format!(
        "INSERT INTO refunds (order_key, number, store_id, seller_id, payment_number, cancellation_number, \
             kind, state, goods, tax, shipping, excess, due_by, worker_id, lease_until, provider_refund_id, \
             failure_code, create_time, update_time, settle_time) \
             SELECT {key}, 1, 'demo', CONCAT('s-', i % 7), 1, 1, 'REFUND', \
             ELT(1 + i % 3, 'DUE', 'SETTLED', 'FAILED'), 0, 0, 0, 0, {time}, NULL, NULL, NULL, NULL, {time}, {time}, \
             NULL FROM few"
    );
    let numbers = format!(
        "SET SESSION cte_max_recursion_depth = 1000000; \
         CREATE TEMPORARY TABLE crowd AS WITH RECURSIVE crowd (i) AS \
             (SELECT 0 UNION ALL SELECT i + 1 FROM crowd WHERE i + 1 < {BIG} + 10000) SELECT i FROM crowd; \
         CREATE TEMPORARY TABLE few AS SELECT i FROM crowd WHERE i < {EVENTFUL}"
    );
    for statement in [
        numbers,
        orders,
        lines,
        shipments,
        cancellations,
        parts,
        gates,
        refunds,
    ] {
        conn.batch_execute(&statement).await.unwrap();
    }
    let tables =
        "orders, order_lines, shipments, cancellations, cancellation_parts, gates, refunds";
    conn.batch_execute(&format!("ANALYZE TABLE {tables}"))
        .await
        .unwrap();
}

/// How many rows and index entries this session has looked at so far.
pub(crate) async fn looked_at(conn: &mut Conn) -> u64 {
    #[derive(QueryableByName)]
    struct Status {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let status = "SELECT variable_value AS value FROM performance_schema.session_status \
        WHERE variable_name IN ('Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_first', \
            'Handler_read_last', 'Handler_read_rnd', 'Handler_read_rnd_next')";
    let rows: Vec<Status> = diesel::sql_query(status).load(conn).await.unwrap();
    rows.iter()
        .map(|row| row.value.parse::<u64>().unwrap())
        .sum()
}
