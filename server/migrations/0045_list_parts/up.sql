-- Whose parcel a part is about, for ListCancellations by warehouse and carrier: store_id is the order's, warehouse_id and
-- carrier_id are the shipment's, create_time is the cancellation's; none of them ever changes. NULL in rows of the release
-- before, until the next migration fills them.
ALTER TABLE cancellation_parts
    ADD COLUMN store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN carrier_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN create_time DATETIME(6) NULL,
    ADD KEY parts_by_warehouse (store_id, warehouse_id, create_time, order_key, cancellation_number),
    ADD KEY parts_by_carrier (store_id, carrier_id, create_time, order_key, cancellation_number)
