DROP TABLE IF EXISTS seller_crossings
