-- Generations count from 1.
INSERT IGNORE INTO projections (projection, serving, building, is_replayed) VALUES ('stock', 1, NULL, FALSE)
