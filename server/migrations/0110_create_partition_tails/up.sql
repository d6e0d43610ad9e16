-- What each partition of the feed no longer holds. pruned is the last position that was taken out of it, 0 where none was;
-- expiring, never less, the last of those that go soon, behind which whoever asks for the oldest begins. A row beside that
-- of partition_heads, for every command waits for that one.
CREATE TABLE IF NOT EXISTS partition_tails (
    shard_partition SMALLINT UNSIGNED NOT NULL,
    pruned BIGINT UNSIGNED NOT NULL,
    expiring BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (shard_partition)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
