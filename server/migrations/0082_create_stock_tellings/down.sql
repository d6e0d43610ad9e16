DROP TABLE IF EXISTS stock_tellings
