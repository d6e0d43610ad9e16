DROP TABLE IF EXISTS stock_balances
