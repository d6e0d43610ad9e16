DROP VIEW IF EXISTS report_refunds
