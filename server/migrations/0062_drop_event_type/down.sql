ALTER TABLE events ADD COLUMN event_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL AFTER order_version
