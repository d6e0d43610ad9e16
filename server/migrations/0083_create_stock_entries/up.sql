-- The ledger of stock, in the order of its places: see EntryPlace. previous is what lay there before an entry that says how
-- much it is; NULL of those that add. Either shipment, with its cancellation where one is the cause, or role and actor_id say
-- what caused it.
CREATE TABLE IF NOT EXISTS stock_entries (
    generation INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    place BINARY(20) NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quantity INT UNSIGNED NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    previous BIGINT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    shipment INT UNSIGNED NULL,
    cancellation INT UNSIGNED NULL,
    role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    actor_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (generation, store_id, warehouse_id, sku, place)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
