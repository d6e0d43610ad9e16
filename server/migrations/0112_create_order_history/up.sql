-- Rows of events that the feed no longer holds, by the order that they are about: with those that it holds they are the whole
-- life of the order. They come here in the transaction that takes them out of events, and stay.
CREATE TABLE IF NOT EXISTS order_history (
    order_key BINARY(16) NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    shard_partition SMALLINT UNSIGNED NOT NULL,
    event_count INT UNSIGNED NOT NULL,
    order_version BIGINT UNSIGNED NOT NULL,
    event_time DATETIME(6) NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (order_key, position)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
