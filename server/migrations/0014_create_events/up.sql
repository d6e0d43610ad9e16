-- The feed: the ordered log of each partition, positions 1, 2, 3 … without gaps.
CREATE TABLE IF NOT EXISTS events (
    shard_partition SMALLINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    order_key BINARY(16) NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_version BIGINT UNSIGNED NOT NULL,
    event_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_time DATETIME(6) NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (shard_partition, position),
    KEY events_by_order (order_key, shard_partition, position)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
