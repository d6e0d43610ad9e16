DROP TABLE IF EXISTS stock_entries
