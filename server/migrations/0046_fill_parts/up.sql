-- No DDL: what 0045 added, for the rows that were there.
UPDATE cancellation_parts AS part
    JOIN shipments AS shipment ON shipment.order_key = part.order_key AND shipment.number = part.shipment_number
    JOIN cancellations AS cancellation
        ON cancellation.order_key = part.order_key AND cancellation.number = part.cancellation_number
    SET part.store_id = shipment.store_id, part.warehouse_id = shipment.warehouse_id,
        part.carrier_id = shipment.carrier_id, part.create_time = cancellation.create_time
    WHERE part.store_id IS NULL
