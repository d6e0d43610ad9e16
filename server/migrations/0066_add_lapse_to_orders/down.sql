ALTER TABLE orders DROP COLUMN lapse_time
