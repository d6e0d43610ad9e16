DROP VIEW IF EXISTS report_incidents
