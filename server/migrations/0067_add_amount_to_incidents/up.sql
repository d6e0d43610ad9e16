-- How much money an incident is about, in minor units.
ALTER TABLE incidents ADD COLUMN amount BIGINT NULL
