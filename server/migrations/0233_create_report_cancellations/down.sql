DROP VIEW IF EXISTS report_cancellations
