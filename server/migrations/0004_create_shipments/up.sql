-- Shipments: what one warehouse hands to one carrier. store_id, seller_id and create_time are the order's, repeated for
-- the lists; none of them ever changes. carrier_event_ids is a JSON list of the events that were counted.
CREATE TABLE IF NOT EXISTS shipments (
    order_key BINARY(16) NOT NULL,
    number INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    carrier_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stage VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fence INT UNSIGNED NOT NULL,
    shipping BIGINT NOT NULL,
    shipping_tax BIGINT NOT NULL,
    tracking_number VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
    create_time DATETIME(6) NOT NULL,
    update_time DATETIME(6) NOT NULL,
    dispatch_time DATETIME(6) NULL,
    deliver_time DATETIME(6) NULL,
    last_tracking_time DATETIME(6) NULL,
    carrier_event_ids TEXT NOT NULL,
    PRIMARY KEY (order_key, number),
    KEY shipments_by_warehouse (store_id, warehouse_id, create_time, order_key, number),
    KEY shipments_by_time (store_id, create_time, order_key, number),
    CHECK (fence > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
