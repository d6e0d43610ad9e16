-- The refund plan in full: plan is the share that comes back, outbound_shipping and return_shipping say who bears the two
-- ways (what stood before knew only the usual terms), deducted_* what was kept for it. receipt_condition and receive_time are
-- both NULL or both there. effects is a JSON list.
ALTER TABLE cancellation_parts
    ADD COLUMN outbound_shipping VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'BUYER',
    ADD COLUMN return_shipping VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'SELLER',
    ADD COLUMN deducted_outbound_shipping BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN deducted_return_shipping BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN deducted_by_schedule BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN label VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN receipt_condition VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN receive_time DATETIME(6) NULL,
    ADD COLUMN effects TEXT NOT NULL DEFAULT ('[]')
