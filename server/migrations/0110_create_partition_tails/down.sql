DROP TABLE IF EXISTS partition_tails
