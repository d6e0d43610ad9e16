-- A row comes to hold all events of one command on one order: position is that of the last one, and event_count says how
-- many end there. 0 is a row of the time before, with one event, until the next migration packs it.
ALTER TABLE events ADD COLUMN event_count INT UNSIGNED NOT NULL DEFAULT 0 AFTER position
