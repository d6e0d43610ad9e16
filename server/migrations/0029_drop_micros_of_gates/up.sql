-- respond_within stands in its place. No release has written it.
ALTER TABLE gates
    DROP COLUMN respond_within_micros
