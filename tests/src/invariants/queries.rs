//! Invariants that one query finds the breaches of.

/// Each finds the rows that break something.
pub(super) const QUERIES: &[(&str, &str)] = &[
    (
        "B1: a bulk cancellation counts other results than it has",
        "SELECT CONCAT(HEX(j.bulk_id), ' ', j.state) FROM bulk_cancellations j LEFT JOIN
             (SELECT job_key, COUNT(*) total, SUM(outcome = 'COMPLETED') completed, SUM(outcome = 'PENDING') pending,
                     SUM(outcome = 'REJECTED') rejected, SUM(outcome = 'FAILED') failed
              FROM bulk_orders GROUP BY job_key) o USING (job_key)
         WHERE j.total <> COALESCE(o.total, 0) OR j.completed <> COALESCE(o.completed, 0)
             OR j.pending <> COALESCE(o.pending, 0) OR j.rejected <> COALESCE(o.rejected, 0)
             OR j.failed <> COALESCE(o.failed, 0)
             OR (j.state = 'COMPLETED' AND j.total > j.completed + j.pending + j.rejected + j.failed)
             OR (j.state IN ('COMPLETED', 'STOPPED', 'FAILED')) <> (j.end_time IS NOT NULL)",
    ),
    (
        "B2: a result names a cancellation that is not there",
        "SELECT o.order_id FROM bulk_orders o JOIN bulk_cancellations j USING (job_key)
         LEFT JOIN cancellations c ON c.order_key = o.order_key AND c.number = o.cancellation
         WHERE NOT j.is_dry_run AND o.outcome IN ('COMPLETED', 'PENDING') AND c.number IS NULL",
    ),
    (
        "M1: refunds of a payment exceed what was captured, and nobody was told",
        "SELECT CONCAT(o.order_id, ':p', p.number) FROM payments p JOIN orders o USING (order_key)
         JOIN (SELECT order_key, payment_number, SUM(CASE
                   WHEN settled_amount IS NOT NULL THEN settled_amount
                   WHEN state IN ('DUE', 'BLOCKED', 'SUBMITTED', 'UNKNOWN') THEN goods + tax + shipping + excess
                   ELSE 0 END) total FROM refunds
               WHERE kind = 'REFUND' GROUP BY order_key, payment_number) r
         ON r.order_key = p.order_key AND r.payment_number = p.number
         WHERE r.total > p.captured AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.order_key = p.order_key
               AND (i.payment_number = p.number OR i.kind = 'REFUND_MISMATCH'))",
    ),
    (
        "M1: more went back of a payment than it brought, and nobody was told",
        "SELECT CONCAT(o.order_id, ':p', p.number) FROM payments p JOIN orders o USING (order_key)
         LEFT JOIN (SELECT order_key, payment_number, SUM(settled_amount) total FROM refunds
                    WHERE kind = 'REFUND' GROUP BY order_key, payment_number) r
         ON r.order_key = p.order_key AND r.payment_number = p.number
         WHERE p.returned_outside + p.disputed + COALESCE(r.total, 0) > p.captured AND NOT EXISTS
             (SELECT 1 FROM incidents i WHERE i.order_key = p.order_key AND i.kind = 'OVER_REFUNDED'
              AND i.payment_number = p.number)",
    ),
    (
        "M1: a refund names a payment or a cancellation that is not there",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         LEFT JOIN payments p ON p.order_key = r.order_key AND p.number = r.payment_number
         LEFT JOIN cancellations c ON c.order_key = r.order_key AND c.number = r.cancellation_number
         WHERE p.number IS NULL OR (r.cancellation_number IS NOT NULL AND c.number IS NULL)",
    ),
    (
        "M4: what may leave is not paid",
        "SELECT CONCAT(due.order_id, ': ', due.due, ' due, ', COALESCE(secured, 0), ' secured') FROM (
             SELECT o.order_key, o.order_id, l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) due
             FROM orders o
             JOIN (SELECT order_key, SUM(goods - discount + tax) total FROM order_lines GROUP BY order_key) l
             USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(refund_goods + refund_tax + refund_shipping) credited
                        FROM cancellation_parts WHERE state = 'CANCELLED' GROUP BY order_key) c USING (order_key)
             WHERE EXISTS (SELECT 1 FROM shipments s WHERE s.order_key = o.order_key
                           AND s.stage IN ('PLANNED', 'PREPARING', 'READY'))) due
         LEFT JOIN (SELECT order_key, SUM(captured + held) secured FROM payments GROUP BY order_key) p USING (order_key)
         WHERE COALESCE(secured, 0) < due",
    ),
    (
        "M5: an authorisation is neither needed nor released",
        "SELECT CONCAT(h.order_id, ':p', h.number) FROM (
             SELECT o.order_key, o.order_id, p.number, p.held,
                    SUM(IF(p.sent, 0, p.held)) OVER (PARTITION BY o.order_key ORDER BY p.number)
                        - IF(p.sent, 0, p.held) before_it,
                    (CASE WHEN o.state = 'CLOSED_UNPAID' THEN 0
                          ELSE l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) END) due,
                    (CASE WHEN o.state = 'CLOSED_UNPAID' THEN 0
                          ELSE l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) END)
                    - SUM(p.captured - p.returned_outside - p.disputed) OVER (PARTITION BY o.order_key)
                    + COALESCE(r.back, 0) to_collect
             FROM orders o
             JOIN (SELECT a.*, EXISTS (SELECT 1 FROM refunds s WHERE s.order_key = a.order_key
                       AND s.payment_number = a.number AND s.kind = 'VOID' AND s.state IN ('SUBMITTED', 'UNKNOWN')) sent
                   FROM payments a) p USING (order_key)
             JOIN (SELECT order_key, SUM(goods - discount + tax) total FROM order_lines GROUP BY order_key) l
             USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(refund_goods + refund_tax + refund_shipping) credited
                        FROM cancellation_parts WHERE state = 'CANCELLED' GROUP BY order_key) c USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(CASE
                            WHEN settled_amount IS NOT NULL THEN settled_amount
                            WHEN state IN ('DUE', 'BLOCKED', 'SUBMITTED', 'UNKNOWN') THEN goods + tax + shipping + excess
                            ELSE 0 END) back FROM refunds WHERE kind = 'REFUND' GROUP BY order_key) r USING (order_key)) h
         WHERE h.held > 0 AND h.before_it >= GREATEST(LEAST(h.to_collect, h.due), 0) AND NOT EXISTS
             (SELECT 1 FROM refunds v WHERE v.order_key = h.order_key AND v.payment_number = h.number AND v.kind = 'VOID'
              AND v.state NOT IN ('SETTLED', 'CANCELLED'))",
    ),
    (
        "M1: a void exceeds what was authorised",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         JOIN payments p ON p.order_key = r.order_key AND p.number = r.payment_number
         WHERE r.kind = 'VOID' AND r.goods + r.tax + r.shipping + r.excess > p.authorized",
    ),
    (
        "M1: refunds exceed what the order cost in a component",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(goods - discount) goods, SUM(tax) tax FROM order_lines GROUP BY order_key) l
         USING (order_key)
         JOIN (SELECT order_key, SUM(goods) goods, SUM(tax) tax, SUM(shipping) shipping FROM refunds
               WHERE kind = 'REFUND' AND state NOT IN ('FAILED', 'DROPPED', 'CANCELLED')
               AND COALESCE(settled_amount, 0) <= goods + tax + shipping + excess
               AND NOT (state = 'SETTLED' AND settled_amount < goods + tax + shipping + excess)
               GROUP BY order_key) r USING (order_key)
         WHERE r.goods > l.goods OR r.tax > l.tax + o.shipping_tax OR r.shipping > o.shipping",
    ),
    (
        "M1: a refund is negative or of nothing",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         WHERE LEAST(goods, tax, r.shipping, excess) < 0 OR goods + tax + r.shipping + excess = 0",
    ),
    (
        "M2: the shipments' shares are not the order's shipping charge",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(shipping) shipping, SUM(shipping_tax) tax FROM shipments GROUP BY order_key) s
         USING (order_key) WHERE s.shipping <> o.shipping OR s.tax <> o.shipping_tax",
    ),
    (
        "S2: the versions in an order's events are not 1 to its version",
        "SELECT o.order_id FROM orders o LEFT JOIN
         (SELECT order_key, COUNT(DISTINCT order_version) versions, MIN(order_version) least, MAX(order_version) greatest
          FROM all_events GROUP BY order_key) e USING (order_key)
         WHERE COALESCE(e.versions, 0) <> o.version OR e.least <> 1 OR e.greatest <> o.version",
    ),
    (
        "S3: a closed unpaid order keeps money",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(captured - returned_outside - disputed) kept FROM payments GROUP BY order_key) p USING (order_key)
         LEFT JOIN (SELECT order_key, SUM(COALESCE(settled_amount, goods + tax + shipping + excess)) total FROM refunds
                    WHERE kind = 'REFUND' AND state <> 'CANCELLED' GROUP BY order_key) r USING (order_key)
         WHERE o.state = 'CLOSED_UNPAID' AND p.kept > COALESCE(r.total, 0)",
    ),
    (
        "F1: the positions of a partition are not 1 to its head",
        "SELECT CONCAT('partition ', shard_partition) FROM
         (SELECT shard_partition, SUM(event_count) events, MAX(position) greatest FROM all_events GROUP BY shard_partition) e
         LEFT JOIN partition_heads h USING (shard_partition)
         WHERE greatest <> events OR greatest <> COALESCE(h.head, 0)",
    ),
    (
        "F1: a row of events does not begin where the one before it ends",
        "SELECT CONCAT('partition ', shard_partition, ', position ', position) FROM
         (SELECT shard_partition, position, event_count,
                 COALESCE(LAG(position) OVER (PARTITION BY shard_partition ORDER BY position), 0) before_it FROM all_events) e
         WHERE event_count = 0 OR position <> before_it + event_count",
    ),
    (
        "F1: an order's events are not in the order of its versions",
        "SELECT o.order_id FROM orders o JOIN all_events a USING (order_key) JOIN all_events b USING (order_key)
         WHERE a.position < b.position AND (a.order_version > b.order_version OR a.event_time > b.event_time) LIMIT 1",
    ),
    (
        "an order's counts are not those of its tables",
        "SELECT o.order_id FROM orders o WHERE
            o.line_count <> (SELECT COUNT(*) FROM order_lines c WHERE c.order_key = o.order_key)
         OR o.payment_count <> (SELECT COUNT(*) FROM payments c WHERE c.order_key = o.order_key)
         OR o.shipment_count <> (SELECT COUNT(*) FROM shipments c WHERE c.order_key = o.order_key)
         OR o.cancellation_count <> (SELECT COUNT(*) FROM cancellations c WHERE c.order_key = o.order_key)
         OR o.refund_count <> (SELECT COUNT(*) FROM refunds c WHERE c.order_key = o.order_key)
         OR o.incident_count <> (SELECT COUNT(*) FROM incidents c WHERE c.order_key = o.order_key)",
    ),
    (
        "K1: a balance of stock is not what its entries come to",
        "SELECT CONCAT_WS(' ', b.generation, b.warehouse_id, b.sku) FROM stock_balances b WHERE
             b.on_hand <> (SELECT COALESCE(SUM(IF(e.previous IS NULL, e.on_hand, e.quantity)), 0) FROM stock_entries e
                 WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku AND e.place >= b.set_place)
             OR b.reserved <> (SELECT COALESCE(SUM(e.reserved), 0) FROM stock_entries e WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku)
             OR b.set_place <> COALESCE((SELECT MAX(e.place) FROM stock_entries e
                 WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku AND e.previous IS NOT NULL), REPEAT(CHAR(0), 20))",
    ),
    (
        "K2: an entry of stock that says how much it is does not tell what was there before",
        "SELECT CONCAT_WS(' ', generation, warehouse_id, sku, HEX(place)) FROM (
             SELECT s.*, LAG(comes_to) OVER (PARTITION BY generation, store_id, warehouse_id, sku ORDER BY place) before_it FROM (
                 SELECT n.*, SUM(IF(previous IS NULL, on_hand, quantity))
                     OVER (PARTITION BY generation, store_id, warehouse_id, sku, said ORDER BY place) comes_to FROM (
                     SELECT e.*, SUM(previous IS NOT NULL)
                         OVER (PARTITION BY generation, store_id, warehouse_id, sku ORDER BY place) said FROM stock_entries e) n) s) f
         WHERE previous <> COALESCE(before_it, 0)",
    ),
    (
        "K3: what is reserved of a SKU is not what shipments have reserved",
        "SELECT CONCAT_WS(' ', b.generation, b.warehouse_id, b.sku) FROM stock_balances b
         LEFT JOIN (SELECT o.generation, o.store_id, h.warehouse_id, h.sku, SUM(h.reserved) reserved FROM stock_orders o,
             JSON_TABLE(o.holdings, '$[*]' COLUMNS (warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]' ERROR ON EMPTY ERROR ON ERROR,
                 sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]' ERROR ON EMPTY ERROR ON ERROR, reserved INT UNSIGNED PATH '$[6]' ERROR ON EMPTY ERROR ON ERROR)) h
             GROUP BY o.generation, o.store_id, h.warehouse_id, h.sku) s USING (generation, store_id, warehouse_id, sku)
         WHERE b.reserved <> COALESCE(s.reserved, 0)",
    ),
    (
        "K4: who waits for a SKU is not whose holdings are open",
        "SELECT CONCAT_WS(' ', generation, warehouse_id, sku, HEX(order_key), shipment) FROM (
             SELECT generation, store_id, warehouse_id, sku, order_key, shipment, 1 waits, 0 is_open FROM stock_holders
             UNION ALL SELECT o.generation, o.store_id, h.warehouse_id, h.sku, o.order_key, h.shipment, 0, 1 FROM stock_orders o,
             JSON_TABLE(o.holdings, '$[*]' COLUMNS (warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]' ERROR ON EMPTY ERROR ON ERROR,
                 sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]' ERROR ON EMPTY ERROR ON ERROR, shipment INT UNSIGNED PATH '$[0]' ERROR ON EMPTY ERROR ON ERROR,
                 stage VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin PATH '$[3]' ERROR ON EMPTY ERROR ON ERROR, live INT UNSIGNED PATH '$[5]' ERROR ON EMPTY ERROR ON ERROR)) h
             WHERE h.live > 0 AND h.stage IN ('UNRELEASED', 'PLANNED', 'PREPARING', 'READY')) both_sides
         GROUP BY generation, store_id, warehouse_id, sku, order_key, shipment HAVING SUM(waits) <> 1 OR SUM(is_open) <> 1",
    ),
];
