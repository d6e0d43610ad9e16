-- The record of one request to cancel. state, outcome and close_reason follow from its parts and are written for the
-- lists. store_id and seller_id are the order's. effects and evidence are JSON lists.
CREATE TABLE IF NOT EXISTS cancellations (
    order_key BINARY(16) NOT NULL,
    number INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    outcome VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    close_reason VARCHAR(64) NULL,
    reason VARCHAR(64) NOT NULL,
    fault VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    note TEXT NULL,
    evidence TEXT NOT NULL,
    counted BOOLEAN NOT NULL,
    effects TEXT NOT NULL,
    requester_role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    requester_id VARCHAR(255) NOT NULL,
    submitted_by_role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    submitted_by_id VARCHAR(255) NOT NULL,
    policy_version INT UNSIGNED NOT NULL,
    create_time DATETIME(6) NOT NULL,
    close_time DATETIME(6) NULL,
    PRIMARY KEY (order_key, number),
    KEY cancellations_by_time (store_id, create_time, order_key, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
