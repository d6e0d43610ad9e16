-- What servers write again and again while they read from secondaries: a beat that a secondary shows says how far it is. A row
-- for each server, which it alone writes.
CREATE TABLE IF NOT EXISTS heartbeats (
    server_id BINARY(16) NOT NULL,
    beat BIGINT UNSIGNED NOT NULL,
    beat_time DATETIME(6) NOT NULL,
    PRIMARY KEY (server_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
