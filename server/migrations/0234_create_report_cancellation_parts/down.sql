DROP VIEW IF EXISTS report_cancellation_parts
