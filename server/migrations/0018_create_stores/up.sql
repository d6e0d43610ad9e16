-- Sales channels. fingerprint is of the command that created the store.
CREATE TABLE IF NOT EXISTS stores (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    display_name VARCHAR(128) NOT NULL,
    time_zone VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    default_warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    default_carrier_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    version BIGINT UNSIGNED NOT NULL,
    create_time DATETIME(6) NOT NULL,
    update_time DATETIME(6) NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    PRIMARY KEY (store_id),
    CHECK (version > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
