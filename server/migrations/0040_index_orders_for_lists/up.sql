-- For each filter of ListOrders that leads to a page, alone and with the state; the counts of SummarizeOrders walk those with
-- the state.
ALTER TABLE orders
    ADD KEY orders_by_buyer_state (store_id, buyer_id, state, create_time, order_key),
    ADD KEY orders_by_seller (store_id, seller_id, create_time, order_key),
    ADD KEY orders_by_seller_state (store_id, seller_id, state, create_time, order_key),
    ADD KEY orders_by_state (store_id, state, create_time, order_key),
    ADD KEY orders_by_country (store_id, country_code, create_time, order_key),
    ADD KEY orders_by_city (store_id, country_code, city, create_time, order_key)
