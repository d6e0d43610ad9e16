ALTER TABLE payments DROP COLUMN held, DROP COLUMN unconfirmed, DROP COLUMN disputed, DROP COLUMN facts
