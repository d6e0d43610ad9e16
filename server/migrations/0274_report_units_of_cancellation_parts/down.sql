-- As 0234 made it.
CREATE OR REPLACE VIEW report_cancellation_parts AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':c', p.cancellation_number) AS cancellation_id, p.part_number,
    CONCAT(o.order_id, ':s', p.shipment_number) AS shipment_id, s.warehouse_id, s.carrier_id, p.path, p.state, p.rule, p.refused_reason,
    (SELECT COALESCE(SUM(u.unit_count), 0) FROM cancellation_units u WHERE u.order_key = p.order_key
        AND u.cancellation_number = p.cancellation_number AND u.part_number = p.part_number) AS units,
    o.currency, p.refund_goods, p.refund_tax, p.refund_shipping, p.receive_time
FROM cancellation_parts p
JOIN orders o ON o.order_key = p.order_key
JOIN shipments s ON s.order_key = p.order_key AND s.number = p.shipment_number
