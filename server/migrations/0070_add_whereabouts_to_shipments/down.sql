ALTER TABLE shipments DROP COLUMN whereabouts
