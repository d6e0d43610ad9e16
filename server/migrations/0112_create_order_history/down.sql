DROP TABLE IF EXISTS order_history
