-- The orders of bulk cancellations, and what came of each. rejection is JSON, of those that were rejected; reason says why one
-- could not be asked.
CREATE TABLE IF NOT EXISTS bulk_orders (
    job_key BINARY(16) NOT NULL,
    order_key BINARY(16) NOT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    outcome VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cancellation INT UNSIGNED NULL,
    currency VARCHAR(3) CHARACTER SET ascii COLLATE ascii_bin NULL,
    refund BIGINT NULL,
    rejection MEDIUMTEXT NULL,
    reason VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (job_key, order_key),
    KEY bulk_orders_by_outcome (job_key, outcome, order_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
