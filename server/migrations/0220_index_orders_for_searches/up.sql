-- For FindOrders. Both are written when an order is created, and once more where its buyer is erased.
ALTER TABLE orders
    ADD KEY orders_by_email (store_id, buyer_email_hash, create_time, order_key),
    ADD KEY orders_by_id (store_id, order_id, create_time)
