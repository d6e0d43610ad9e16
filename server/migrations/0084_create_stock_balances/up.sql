-- What the ledger of a SKU comes to. set_place is the place of the last entry that says how much it is; told_place that of the
-- last one that somebody told. Both are zeros where there is none.
CREATE TABLE IF NOT EXISTS stock_balances (
    generation INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    is_archived TINYINT(1) NOT NULL,
    set_place BINARY(20) NOT NULL,
    told_place BINARY(20) NOT NULL,
    last_place BINARY(20) NOT NULL,
    PRIMARY KEY (generation, store_id, warehouse_id, sku)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
