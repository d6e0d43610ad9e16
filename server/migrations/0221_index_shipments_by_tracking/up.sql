-- For FindOrders. A shipment has no tracking number until it is dispatched.
ALTER TABLE shipments
    ADD KEY shipments_by_tracking (store_id, tracking_number, create_time, order_key)
