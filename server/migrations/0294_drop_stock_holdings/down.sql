CREATE TABLE IF NOT EXISTS stock_holdings (
    generation INT UNSIGNED NOT NULL,
    order_key BINARY(16) NOT NULL,
    shipment INT UNSIGNED NOT NULL,
    sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stage VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    units INT UNSIGNED NOT NULL,
    live INT UNSIGNED NOT NULL,
    reserved INT UNSIGNED NOT NULL,
    is_open TINYINT(1) NOT NULL,
    zeroed_by TEXT NOT NULL,
    PRIMARY KEY (generation, order_key, shipment, sku),
    KEY stock_holdings_open (generation, store_id, warehouse_id, sku, is_open, order_key, shipment)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
