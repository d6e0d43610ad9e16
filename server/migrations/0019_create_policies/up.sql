-- A store's policy documents; a version never changes.
CREATE TABLE IF NOT EXISTS policies (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version INT UNSIGNED NOT NULL,
    name VARCHAR(255) NOT NULL,
    document MEDIUMTEXT NOT NULL,
    create_time DATETIME(6) NOT NULL,
    PRIMARY KEY (store_id, version),
    CHECK (version > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
