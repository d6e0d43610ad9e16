DROP TABLE IF EXISTS seller_facts
