-- For the list of a store's incidents.
ALTER TABLE incidents
    ADD KEY incidents_by_time (store_id, create_time, order_key, number)
