-- Processes that deliver events, by the name that they share. One whose lease is over is gone.
CREATE TABLE IF NOT EXISTS delivery_instances (
    consumer_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    instance_id BINARY(16) NOT NULL,
    lease_until DATETIME(6) NOT NULL,
    PRIMARY KEY (consumer_id, instance_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
