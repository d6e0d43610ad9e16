DROP TABLE IF EXISTS stock_holdings
