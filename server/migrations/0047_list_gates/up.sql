-- Who is waited for: awaiting is the party of an open gate and NULL otherwise. The rest is repeated for the lists and never
-- changes: store_id and seller_id of the order, warehouse_id and carrier_id of the shipment, create_time of the
-- cancellation. NULL in rows of the release before, until the next migration fills them. Gates and not parts have it,
-- because most cancellations wait for nobody.
ALTER TABLE gates
    ADD COLUMN store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN warehouse_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN carrier_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN create_time DATETIME(6) NULL,
    ADD COLUMN awaiting VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD KEY gates_by_party (store_id, awaiting, create_time, order_key, cancellation_number, respond_by),
    ADD KEY gates_by_seller (store_id, awaiting, seller_id, create_time, order_key, cancellation_number, respond_by),
    ADD KEY gates_by_warehouse
        (store_id, awaiting, warehouse_id, create_time, order_key, cancellation_number, respond_by),
    ADD KEY gates_by_carrier (store_id, awaiting, carrier_id, create_time, order_key, cancellation_number, respond_by)
