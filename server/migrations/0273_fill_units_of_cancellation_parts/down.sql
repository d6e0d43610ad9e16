-- No DDL: the ranges as rows again.
INSERT IGNORE INTO cancellation_units (order_key, cancellation_number, part_number, line_number, first_unit, unit_count)
SELECT part.order_key, part.cancellation_number, part.part_number, of_it.line_number, of_it.first_unit, of_it.unit_count
FROM cancellation_parts AS part
JOIN JSON_TABLE(part.units, '$[*]' COLUMNS (line_number INT UNSIGNED PATH '$[0]', first_unit INT UNSIGNED PATH '$[1]',
    unit_count INT UNSIGNED PATH '$[2]')) AS of_it
