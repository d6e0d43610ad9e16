-- The last position of each partition whose effect a generation of a projection holds. It moves in the transaction of the
-- effect, from where it stood.
CREATE TABLE IF NOT EXISTS projection_positions (
    projection VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    generation INT UNSIGNED NOT NULL,
    shard_partition SMALLINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (projection, generation, shard_partition)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
