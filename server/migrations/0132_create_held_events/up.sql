-- Events that a deliverer's position has passed and its receiver has not taken: those that are sent again, those behind them in
-- their order, and dead letters. attempt_time is when to send it again, or when it became a dead letter; payload is the whole
-- event, for the feed may have been pruned.
CREATE TABLE IF NOT EXISTS held_events (
    consumer_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shard_partition SMALLINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    order_key BINARY(16) NOT NULL,
    state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts INT UNSIGNED NOT NULL,
    attempt_time DATETIME(6) NOT NULL,
    failure TEXT NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (consumer_id, shard_partition, position),
    KEY held_events_by_state (consumer_id, state, shard_partition, position)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
