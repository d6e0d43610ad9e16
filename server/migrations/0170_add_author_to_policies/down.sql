ALTER TABLE policies DROP COLUMN author_id
