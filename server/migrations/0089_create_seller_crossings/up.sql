-- Each time that the rate of a seller has crossed a threshold. Never changes, and is no part of what is rebuilt.
CREATE TABLE IF NOT EXISTS seller_crossings (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number INT UNSIGNED NOT NULL,
    threshold VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    percent INT UNSIGNED NOT NULL,
    is_reached TINYINT(1) NOT NULL,
    numerator BIGINT UNSIGNED NOT NULL,
    denominator BIGINT UNSIGNED NOT NULL,
    cross_time DATETIME(6) NOT NULL,
    PRIMARY KEY (store_id, seller_id, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
