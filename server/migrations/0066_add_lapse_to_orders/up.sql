-- Since when what the order was paid with does not cover what is due any more.
ALTER TABLE orders ADD COLUMN lapse_time DATETIME(6) NULL
