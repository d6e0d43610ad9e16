-- Orders whose buyer was erased, by `belay erase`: that it was done and when, and nothing about the buyer.
CREATE TABLE IF NOT EXISTS erasures (
    order_key BINARY(16) NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    erase_time DATETIME(6) NOT NULL,
    PRIMARY KEY (order_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
