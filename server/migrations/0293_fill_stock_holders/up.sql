-- No DDL: what 0291 added, of the holdings that were there.
INSERT IGNORE INTO stock_holders (generation, store_id, warehouse_id, sku, order_key, shipment)
    SELECT held.generation, held.store_id, held.warehouse_id, held.sku, held.order_key, held.shipment
    FROM stock_holdings AS held
    WHERE held.is_open
