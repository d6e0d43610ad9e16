DROP TABLE IF EXISTS stock_orders
