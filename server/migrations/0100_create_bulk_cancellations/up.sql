-- Bulk cancellations. job_key is a hash of store_id and bulk_id; scope, selection, command and refunds are JSON;
-- selected_through is the place of the last order that a filter gave, while the state is SELECTING. owner is the server that
-- works at it, until owned_until by the database's own clock.
CREATE TABLE IF NOT EXISTS bulk_cancellations (
    job_key BINARY(16) NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    bulk_id BINARY(16) NOT NULL,
    role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    scope TEXT NOT NULL,
    selection TEXT NOT NULL,
    command MEDIUMTEXT NOT NULL,
    is_dry_run TINYINT(1) NOT NULL,
    orders_per_second SMALLINT UNSIGNED NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    selected_through TEXT NULL,
    total INT UNSIGNED NOT NULL,
    completed INT UNSIGNED NOT NULL,
    pending INT UNSIGNED NOT NULL,
    rejected INT UNSIGNED NOT NULL,
    failed INT UNSIGNED NOT NULL,
    refunds TEXT NOT NULL,
    failure VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    create_time DATETIME(6) NOT NULL,
    end_time DATETIME(6) NULL,
    owner BINARY(16) NULL,
    owned_until DATETIME(6) NULL,
    PRIMARY KEY (job_key),
    KEY bulk_cancellations_by_time (store_id, create_time, job_key),
    KEY bulk_cancellations_by_state (state, store_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
