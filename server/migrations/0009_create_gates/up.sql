-- The gates of a part: what it waits for, with the terms copied from the policy when the gate opened.
CREATE TABLE IF NOT EXISTS gates (
    order_key BINARY(16) NOT NULL,
    cancellation_number INT UNSIGNED NOT NULL,
    part_number INT UNSIGNED NOT NULL,
    gate_number INT UNSIGNED NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    respond_within_micros BIGINT NULL,
    on_timeout VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    on_dispatch VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    on_lost VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    open_time DATETIME(6) NULL,
    respond_by DATETIME(6) NULL,
    close_time DATETIME(6) NULL,
    PRIMARY KEY (order_key, cancellation_number, part_number, gate_number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
