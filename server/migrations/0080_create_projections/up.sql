-- What is projected from the feed. Reads go by the generation serving; building is the one that a rebuild fills, NULL where none
-- does; is_replayed says that it has what was told beside the feed.
CREATE TABLE IF NOT EXISTS projections (
    projection VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    serving INT UNSIGNED NOT NULL,
    building INT UNSIGNED NULL,
    is_replayed TINYINT(1) NOT NULL,
    PRIMARY KEY (projection)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
