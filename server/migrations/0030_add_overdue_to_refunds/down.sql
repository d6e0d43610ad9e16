ALTER TABLE refunds DROP COLUMN overdue_at, DROP COLUMN overdue, DROP COLUMN retry_of
