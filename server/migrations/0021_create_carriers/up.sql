-- What the carriers of a store can do.
CREATE TABLE IF NOT EXISTS carriers (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    carrier_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    display_name VARCHAR(128) NOT NULL,
    in_transit_cancel BOOLEAN NOT NULL,
    partner_delivery BOOLEAN NOT NULL,
    version BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (store_id, carrier_id),
    CHECK (version > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
