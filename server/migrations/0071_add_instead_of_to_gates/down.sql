ALTER TABLE gates DROP COLUMN instead_of
