-- For each filter of ListRefunds that leads to a page.
ALTER TABLE refunds
    ADD KEY refunds_by_state (store_id, state, create_time, order_key, number),
    ADD KEY refunds_by_seller (store_id, seller_id, create_time, order_key, number),
    ADD KEY refunds_by_seller_state (store_id, seller_id, state, create_time, order_key, number)
