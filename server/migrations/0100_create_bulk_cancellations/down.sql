DROP TABLE IF EXISTS bulk_cancellations
