-- What is asked of a shipment besides its way out. hold and customs_flag are the JSON of small records; the intercept_*
-- columns are all NULL or all there. split_from is the number of another shipment of the order.
ALTER TABLE shipments
    ADD COLUMN prepare_by DATETIME(6) NULL,
    ADD COLUMN preparation_overdue BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN hold TEXT NULL,
    ADD COLUMN intercept_state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN intercept_request_time DATETIME(6) NULL,
    ADD COLUMN intercept_update_time DATETIME(6) NULL,
    ADD COLUMN customs_flag TEXT NULL,
    ADD COLUMN split_from INT UNSIGNED NULL
