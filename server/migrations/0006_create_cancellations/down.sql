DROP TABLE IF EXISTS cancellations
