DROP VIEW IF EXISTS report_orders
