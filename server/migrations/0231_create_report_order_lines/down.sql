DROP VIEW IF EXISTS report_order_lines
