ALTER TABLE orders DROP KEY orders_by_email, DROP KEY orders_by_id
