-- The holdings of stock_orders that are open, for the list of who waits for a SKU. A row ends with its wait.
CREATE TABLE IF NOT EXISTS stock_holders (
    generation INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_key BINARY(16) NOT NULL,
    shipment INT UNSIGNED NOT NULL,
    PRIMARY KEY (generation, store_id, warehouse_id, sku, order_key, shipment)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
