-- The rows of the order's other tables once more, as one value that is read with the order's own row. Used where it is of the row's
-- version; a release that does not know it leaves it at the version before.
ALTER TABLE orders ADD COLUMN document BLOB NULL
