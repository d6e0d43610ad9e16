-- Incidents. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_incidents AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':i', i.number) AS incident_id, o.seller_id, i.kind, i.state, i.resolution,
    o.currency, i.amount, i.create_time, i.resolve_time
FROM incidents i
JOIN orders o ON o.order_key = i.order_key
