-- Incidents: facts that contradict what was decided. store_id is the order's.
CREATE TABLE IF NOT EXISTS incidents (
    order_key BINARY(16) NOT NULL,
    number INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shipment_number INT UNSIGNED NULL,
    refund_number INT UNSIGNED NULL,
    create_time DATETIME(6) NOT NULL,
    resolve_time DATETIME(6) NULL,
    PRIMARY KEY (order_key, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
