-- What stood before is never called overdue. retry_of is the number of another refund of the order.
ALTER TABLE refunds
    ADD COLUMN overdue_at DATETIME(6) NOT NULL DEFAULT '9999-12-30 00:00:00',
    ADD COLUMN overdue BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN retry_of INT UNSIGNED NULL
