-- Orders, one a row. For reports: see docs/reports.md.
CREATE OR REPLACE VIEW report_orders AS
SELECT o.store_id, o.order_id, o.seller_id, o.buyer_id, o.state, o.currency, o.country_code, o.city,
    o.policy_version, o.version, o.create_time, o.pay_by, o.paid_time, o.update_time
FROM orders o
