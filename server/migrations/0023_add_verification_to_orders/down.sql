ALTER TABLE orders DROP COLUMN verified_at
