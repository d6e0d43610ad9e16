-- Cancellations. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_cancellations AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':c', c.number) AS cancellation_id, c.seller_id, c.requester_role, c.reason, c.fault,
    c.counted, c.state, c.outcome, c.policy_version, c.create_time, c.close_time
FROM cancellations c
JOIN orders o ON o.order_key = c.order_key
