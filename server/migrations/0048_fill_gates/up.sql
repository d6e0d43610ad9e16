-- No DDL: what 0047 added, for the rows that were there.
UPDATE gates AS gate
    JOIN cancellation_parts AS part ON part.order_key = gate.order_key
        AND part.cancellation_number = gate.cancellation_number AND part.part_number = gate.part_number
    JOIN shipments AS shipment ON shipment.order_key = part.order_key AND shipment.number = part.shipment_number
    SET gate.store_id = shipment.store_id, gate.seller_id = shipment.seller_id,
        gate.warehouse_id = shipment.warehouse_id, gate.carrier_id = shipment.carrier_id,
        gate.create_time = part.create_time,
        gate.awaiting = CASE WHEN gate.state <> 'OPEN' THEN NULL
            WHEN gate.kind = 'SELLER_CONSENT' THEN 'SELLER'
            WHEN gate.kind = 'SUPPORT_REVIEW' THEN 'SUPPORT'
            WHEN gate.kind = 'CARRIER_INTERCEPT' THEN 'CARRIER'
            ELSE 'WAREHOUSE' END
    WHERE gate.store_id IS NULL
