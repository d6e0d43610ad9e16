-- The time of a server that runs with a manual clock: one row, or none.
CREATE TABLE IF NOT EXISTS manual_clock (
    id TINYINT UNSIGNED NOT NULL,
    `now` DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
