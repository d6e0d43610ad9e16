ALTER TABLE cancellation_parts DROP COLUMN units
