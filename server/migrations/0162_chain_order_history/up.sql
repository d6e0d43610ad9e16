-- As in events. The chain is followed partition by partition.
ALTER TABLE order_history
    ADD COLUMN chain BINARY(32) NULL,
    ADD COLUMN erased_digest BINARY(32) NULL,
    ADD COLUMN erased_seal BINARY(32) NULL,
    ADD KEY order_history_by_partition (shard_partition, position)
