-- store_id and create_time are the order's, repeated for the list by SKU; neither ever changes. NULL in rows of the release
-- before, until the next migration fills them.
ALTER TABLE order_lines
    ADD COLUMN store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN create_time DATETIME(6) NULL,
    ADD KEY order_lines_by_sku (store_id, sku, create_time, order_key)
