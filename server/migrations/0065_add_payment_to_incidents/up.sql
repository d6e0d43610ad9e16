-- The payment that an incident is about.
ALTER TABLE incidents ADD COLUMN payment_number INT UNSIGNED NULL
