-- How support settled an incident. The resolved_by_* columns are both NULL or both there.
ALTER TABLE incidents
    ADD COLUMN cancellation_number INT UNSIGNED NULL,
    ADD COLUMN resolution VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN resolved_by_role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN resolved_by_id VARCHAR(255) NULL,
    ADD COLUMN note TEXT NULL
