-- The lines of an order: what was bought. Amounts are for the whole line, in minor units.
CREATE TABLE IF NOT EXISTS order_lines (
    order_key BINARY(16) NOT NULL,
    number INT UNSIGNED NOT NULL,
    sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    title VARCHAR(256) NOT NULL,
    quantity INT UNSIGNED NOT NULL,
    goods BIGINT NOT NULL,
    discount BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    PRIMARY KEY (order_key, number),
    CHECK (quantity > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
