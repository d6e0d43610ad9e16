DROP TABLE IF EXISTS seller_standings
