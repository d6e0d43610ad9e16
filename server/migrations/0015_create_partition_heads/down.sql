DROP TABLE IF EXISTS partition_heads
