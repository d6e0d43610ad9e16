ALTER TABLE incidents DROP COLUMN amount
