-- No DDL: what 0041 added, for the rows that were there.
UPDATE order_lines JOIN orders ON orders.order_key = order_lines.order_key
    SET order_lines.store_id = orders.store_id, order_lines.create_time = orders.create_time
    WHERE order_lines.store_id IS NULL
