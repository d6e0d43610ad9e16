ALTER TABLE order_history
    DROP KEY order_history_by_partition,
    DROP COLUMN chain,
    DROP COLUMN erased_digest,
    DROP COLUMN erased_seal
