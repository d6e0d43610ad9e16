-- The last position of each partition up to which a deliverer has nothing left but what held_events has. It moves from where it
-- stood, and only for the instance that holds the lease: the fence grows whenever the lease passes on. changes counts how often
-- somebody else has changed held events of the partition.
CREATE TABLE IF NOT EXISTS delivery_partitions (
    consumer_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shard_partition SMALLINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    instance_id BINARY(16) NOT NULL,
    fence BIGINT UNSIGNED NOT NULL,
    lease_until DATETIME(6) NOT NULL,
    changes INT UNSIGNED NOT NULL,
    PRIMARY KEY (consumer_id, shard_partition)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
