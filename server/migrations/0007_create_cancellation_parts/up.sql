-- The parts of a cancellation, each inside one shipment. next_actions is a JSON list.
CREATE TABLE IF NOT EXISTS cancellation_parts (
    order_key BINARY(16) NOT NULL,
    cancellation_number INT UNSIGNED NOT NULL,
    part_number INT UNSIGNED NOT NULL,
    shipment_number INT UNSIGNED NOT NULL,
    path VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rule VARCHAR(64) NULL,
    plan VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    refused_reason VARCHAR(64) NULL,
    next_actions TEXT NOT NULL,
    refund_goods BIGINT NOT NULL,
    refund_tax BIGINT NOT NULL,
    refund_shipping BIGINT NOT NULL,
    refund_excess BIGINT NOT NULL,
    PRIMARY KEY (order_key, cancellation_number, part_number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
