-- How far named readers of the feed are. store_id is empty where a consumer is not narrowed to one store; positions is a JSON
-- list of the last position handled in each partition, in their order; filter is the hash of the filter that it reads with.
CREATE TABLE IF NOT EXISTS consumers (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    consumer_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    filter BINARY(16) NOT NULL,
    positions TEXT NOT NULL,
    commit_time DATETIME(6) NOT NULL,
    PRIMARY KEY (store_id, consumer_id, role, actor_id),
    KEY consumers_by_owner (role, actor_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
