-- Shipments. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_shipments AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':s', s.number) AS shipment_id, s.seller_id, s.warehouse_id, s.carrier_id, s.stage,
    s.tracking_number, s.create_time, s.prepare_by, s.dispatch_time, s.deliver_time, s.update_time
FROM shipments s
JOIN orders o ON o.order_key = s.order_key
