-- Generations count from 1.
INSERT IGNORE INTO projections (projection, serving, building, is_replayed) VALUES ('seller-quality', 1, NULL, FALSE)
