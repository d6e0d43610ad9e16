DROP TABLE IF EXISTS delivery_partitions
