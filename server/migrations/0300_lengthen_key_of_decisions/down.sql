ALTER TABLE decisions
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (order_key, request_id, caller),
    DROP COLUMN entry
