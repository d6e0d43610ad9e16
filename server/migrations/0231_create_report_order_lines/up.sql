-- What was bought: lines of orders. Amounts are in minor units of the currency of the order. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_order_lines AS
SELECT o.store_id, o.order_id, CONCAT(o.order_id, ':l', l.number) AS line_id, l.sku, l.title, l.quantity, o.currency,
    l.goods, l.discount, l.tax
FROM order_lines l
JOIN orders o ON o.order_key = l.order_key
