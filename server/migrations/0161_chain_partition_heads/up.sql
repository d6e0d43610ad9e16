-- The state of the partition's chain behind its last row; NULL where no row has one.
ALTER TABLE partition_heads ADD COLUMN chain BINARY(32) NULL
