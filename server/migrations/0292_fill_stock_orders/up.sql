-- No DDL: what 0290 added, of the holdings that were there. The first one of an order brings all of them, so that no order is cut in two.
INSERT IGNORE INTO stock_orders (generation, order_key, store_id, order_id, seller_id, holdings)
    SELECT held.generation, held.order_key, held.store_id, held.order_id, held.seller_id,
        (SELECT JSON_ARRAYAGG(JSON_MERGE_PRESERVE(
                JSON_ARRAY(one.shipment, one.sku, one.warehouse_id, one.stage, one.units, one.live, one.reserved),
                -- A list that is empty is left out.
                IF(one.zeroed_by = '[]', '[]', CONCAT('[', one.zeroed_by, ']'))))
            FROM stock_holdings AS one FORCE INDEX (PRIMARY)
            WHERE one.generation = held.generation AND one.order_key = held.order_key)
    FROM stock_holdings AS held
    WHERE (held.shipment, held.sku) = (SELECT one.shipment, one.sku FROM stock_holdings AS one FORCE INDEX (PRIMARY)
        WHERE one.generation = held.generation AND one.order_key = held.order_key
        ORDER BY one.generation, one.order_key, one.shipment, one.sku LIMIT 1)
