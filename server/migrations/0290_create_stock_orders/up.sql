-- What stock keeps of an order. holdings is a JSON list, by shipment and SKU, of lists: shipment, SKU, warehouse, stage, units (in the
-- shipment, cancelled or not), those that are not cancelled, those that are reserved, and where there are any a list of the cancellations
-- that have zeroed the stock by it.
CREATE TABLE IF NOT EXISTS stock_orders (
    generation INT UNSIGNED NOT NULL,
    order_key BINARY(16) NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    holdings MEDIUMTEXT NOT NULL,
    PRIMARY KEY (generation, order_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
