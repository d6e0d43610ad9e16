-- Refunds, and releases of authorisations. Amounts are in minor units of the currency of the order. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_refunds AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':r', r.number) AS refund_id,
    CONCAT(o.order_id, ':c', r.cancellation_number) AS cancellation_id, r.seller_id, r.kind, r.state, o.currency, r.goods, r.tax, r.shipping,
    r.excess, r.settled_amount, r.due_by, r.overdue, r.create_time, r.settle_time
FROM refunds r
JOIN orders o ON o.order_key = r.order_key
