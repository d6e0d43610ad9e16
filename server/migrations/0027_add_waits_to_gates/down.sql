ALTER TABLE gates DROP COLUMN respond_within, DROP COLUMN remind_before_micros, DROP COLUMN escalate_within, DROP COLUMN remind_at, DROP COLUMN answer
