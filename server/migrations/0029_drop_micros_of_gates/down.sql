ALTER TABLE gates ADD COLUMN respond_within_micros BIGINT NULL AFTER state
