-- The last position taken in each partition of the feed.
CREATE TABLE IF NOT EXISTS partition_heads (
    shard_partition SMALLINT UNSIGNED NOT NULL,
    head BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (shard_partition)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
