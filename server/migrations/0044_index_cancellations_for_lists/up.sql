-- For each filter of ListCancellations that leads to a page of cancellations. requester_role is for SummarizeActions, which
-- counts what buyers asked for without looking at the rows.
ALTER TABLE cancellations
    ADD KEY cancellations_by_seller (store_id, seller_id, create_time, order_key, number),
    ADD KEY cancellations_by_seller_state (store_id, seller_id, state, create_time, order_key, number, requester_role),
    ADD KEY cancellations_by_state (store_id, state, create_time, order_key, number, requester_role)
