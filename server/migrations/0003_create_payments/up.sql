-- Payments: what the payment provider reported, added up. provider_event_ids is a JSON list of the events that were
-- counted.
CREATE TABLE IF NOT EXISTS payments (
    order_key BINARY(16) NOT NULL,
    number INT UNSIGNED NOT NULL,
    provider_payment_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    method VARCHAR(64) NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    authorized BIGINT NOT NULL,
    captured BIGINT NOT NULL,
    returned_outside BIGINT NOT NULL,
    create_time DATETIME(6) NOT NULL,
    update_time DATETIME(6) NOT NULL,
    capture_time DATETIME(6) NULL,
    provider_event_ids TEXT NOT NULL,
    PRIMARY KEY (order_key, number),
    CHECK (authorized >= 0),
    CHECK (captured >= 0),
    CHECK (returned_outside >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
