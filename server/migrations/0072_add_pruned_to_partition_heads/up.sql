-- The last position that the feed no longer gives out. 0: all of it is there.
ALTER TABLE partition_heads ADD COLUMN pruned BIGINT UNSIGNED NOT NULL DEFAULT 0
