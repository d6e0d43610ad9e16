DROP VIEW IF EXISTS report_shipments
