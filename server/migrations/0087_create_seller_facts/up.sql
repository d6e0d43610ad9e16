-- What is counted of a seller: see FactKind. number is that of the shipment or cancellation in its order, 0 for the order.
CREATE TABLE IF NOT EXISTS seller_facts (
    generation INT UNSIGNED NOT NULL,
    order_key BINARY(16) NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number INT UNSIGNED NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cancellation INT UNSIGNED NULL,
    fact_time DATETIME(6) NOT NULL,
    PRIMARY KEY (generation, order_key, kind, number),
    KEY seller_facts_by_seller (generation, store_id, seller_id, kind, fact_time, order_key, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
