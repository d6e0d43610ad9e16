ALTER TABLE order_lines DROP KEY order_lines_by_sku, DROP COLUMN store_id, DROP COLUMN create_time
