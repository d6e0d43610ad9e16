DROP TABLE IF EXISTS manual_clock
