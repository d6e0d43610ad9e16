-- It is a row of its own in partition_tails. Nothing ever wrote it, and no release read it.
ALTER TABLE partition_heads DROP COLUMN pruned
