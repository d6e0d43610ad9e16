ALTER TABLE shipments DROP COLUMN units
