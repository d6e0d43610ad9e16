-- They are in cancellation_parts. No release wrote or read them: there is none before 0.1.0, which has the column.
DROP TABLE IF EXISTS cancellation_units
