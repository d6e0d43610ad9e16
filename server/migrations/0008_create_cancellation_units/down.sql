DROP TABLE IF EXISTS cancellation_units
