-- Which commands were decided and what their callers were answered, so that a repeated one gets the same answer.
CREATE TABLE IF NOT EXISTS requests (
    order_key BINARY(16) NOT NULL,
    request_id BINARY(16) NOT NULL,
    caller VARCHAR(80) NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    answer MEDIUMBLOB NOT NULL,
    create_time DATETIME(6) NOT NULL,
    PRIMARY KEY (order_key, request_id, caller)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
