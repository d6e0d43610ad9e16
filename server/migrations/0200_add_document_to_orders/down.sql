ALTER TABLE orders DROP COLUMN document
