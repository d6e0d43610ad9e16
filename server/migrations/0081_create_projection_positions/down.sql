DROP TABLE IF EXISTS projection_positions
