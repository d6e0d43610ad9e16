ALTER TABLE incidents DROP COLUMN payment_number
