-- The id of the caller who created the version. NULL where it had none, or an earlier release created it.
ALTER TABLE policies ADD COLUMN author_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL
