-- The types of a row's events are in its payload.
ALTER TABLE events DROP COLUMN event_type
