-- The decision log: the questions to a policy about a cancellation and its answers, rejections included. record is the
-- JSON of a domain DecisionLog.
CREATE TABLE IF NOT EXISTS decisions (
    order_key BINARY(16) NOT NULL,
    request_id BINARY(16) NOT NULL,
    caller VARCHAR(80) NOT NULL,
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    decision_time DATETIME(6) NOT NULL,
    policy_version INT UNSIGNED NOT NULL,
    accepted BOOLEAN NOT NULL,
    record MEDIUMTEXT NOT NULL,
    PRIMARY KEY (order_key, request_id, caller)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
