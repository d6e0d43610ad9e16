CREATE TABLE IF NOT EXISTS cancellation_units (
    order_key BINARY(16) NOT NULL,
    cancellation_number INT UNSIGNED NOT NULL,
    part_number INT UNSIGNED NOT NULL,
    line_number INT UNSIGNED NOT NULL,
    first_unit INT UNSIGNED NOT NULL,
    unit_count INT UNSIGNED NOT NULL,
    PRIMARY KEY (order_key, cancellation_number, part_number, line_number, first_unit)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
