-- respond_within and escalate_within are the JSON of a domain Period: time by the clock, calendar days or working days.
-- answer is the JSON of who closed the gate and what they said.
ALTER TABLE gates
    ADD COLUMN respond_within VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN remind_before_micros BIGINT NULL,
    ADD COLUMN escalate_within VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN remind_at DATETIME(6) NULL,
    ADD COLUMN answer TEXT NULL
