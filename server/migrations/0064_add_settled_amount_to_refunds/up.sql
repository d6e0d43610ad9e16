-- What the provider really paid; NULL in a settled row of the time before, which paid what was asked.
ALTER TABLE refunds ADD COLUMN settled_amount BIGINT NULL
