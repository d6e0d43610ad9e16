-- From when which version decides. A version may be activated again after another one, so this is no column of policies.
CREATE TABLE IF NOT EXISTS policy_activations (
    store_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    effective_time DATETIME(6) NOT NULL,
    version INT UNSIGNED NOT NULL,
    PRIMARY KEY (store_id, effective_time)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
