DROP TABLE IF EXISTS stock_holders
