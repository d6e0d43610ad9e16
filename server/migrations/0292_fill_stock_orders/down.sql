-- No DDL: the holdings as rows again. 0293 has nothing to put back, for is_open follows from the rest.
INSERT IGNORE INTO stock_holdings (generation, order_key, shipment, sku, store_id, order_id, seller_id, warehouse_id, stage, units, live,
    reserved, is_open, zeroed_by)
SELECT kept.generation, kept.order_key, held.shipment, held.sku, kept.store_id, kept.order_id, kept.seller_id, held.warehouse_id, held.stage,
    held.units, held.live, held.reserved, held.live > 0 AND held.stage IN ('UNRELEASED', 'PLANNED', 'PREPARING', 'READY'),
    COALESCE(held.zeroed_by, '[]')
FROM stock_orders AS kept
JOIN JSON_TABLE(kept.holdings, '$[*]' COLUMNS (shipment INT UNSIGNED PATH '$[0]', sku VARCHAR(128) PATH '$[1]',
    warehouse_id VARCHAR(64) PATH '$[2]', stage VARCHAR(32) PATH '$[3]', units INT UNSIGNED PATH '$[4]', live INT UNSIGNED PATH '$[5]',
    reserved INT UNSIGNED PATH '$[6]', zeroed_by JSON PATH '$[7]')) AS held
