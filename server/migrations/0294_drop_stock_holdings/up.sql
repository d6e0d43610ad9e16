-- It is stock_orders and stock_holders. No release read or wrote it.
DROP TABLE IF EXISTS stock_holdings
