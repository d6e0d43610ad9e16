-- Where the rate of a seller stands: the names of the thresholds that it has reached, a JSON list, and how often it has crossed
-- one. It is looked at again at evaluate_time.
CREATE TABLE IF NOT EXISTS seller_standings (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seller_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    evaluate_time DATETIME(6) NOT NULL,
    reached TEXT NOT NULL,
    crossings INT UNSIGNED NOT NULL,
    PRIMARY KEY (store_id, seller_id),
    KEY seller_standings_due (evaluate_time)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
