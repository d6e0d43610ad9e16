-- What is kept with the order and with its cancellations, and its notes: JSON, and NULL where there is none of it. How many notes
-- there are says how heavy an order is before it is loaded.
ALTER TABLE orders
    ADD COLUMN annotations MEDIUMTEXT NULL,
    ADD COLUMN note_count INT UNSIGNED NOT NULL DEFAULT 0
