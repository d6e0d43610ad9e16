ALTER TABLE orders
    DROP COLUMN annotations,
    DROP COLUMN note_count
