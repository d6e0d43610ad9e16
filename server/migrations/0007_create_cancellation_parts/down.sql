DROP TABLE IF EXISTS cancellation_parts
