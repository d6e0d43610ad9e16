-- For each filter of ListShipments that leads to a page, alone and with the stage: what is at one stage now is little beside
-- what ever was shipped.
ALTER TABLE shipments
    ADD KEY shipments_by_warehouse_stage (store_id, warehouse_id, stage, create_time, order_key, number),
    ADD KEY shipments_by_carrier (store_id, carrier_id, create_time, order_key, number),
    ADD KEY shipments_by_carrier_stage (store_id, carrier_id, stage, create_time, order_key, number),
    ADD KEY shipments_by_seller (store_id, seller_id, create_time, order_key, number),
    ADD KEY shipments_by_seller_stage (store_id, seller_id, stage, create_time, order_key, number),
    ADD KEY shipments_by_stage (store_id, stage, create_time, order_key, number)
