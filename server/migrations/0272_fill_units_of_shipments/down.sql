-- No DDL: the ranges as rows again.
INSERT IGNORE INTO shipment_units (order_key, shipment_number, line_number, first_unit, unit_count)
SELECT shipment.order_key, shipment.number, of_it.line_number, of_it.first_unit, of_it.unit_count
FROM shipments AS shipment
JOIN JSON_TABLE(shipment.units, '$[*]' COLUMNS (line_number INT UNSIGNED PATH '$[0]', first_unit INT UNSIGNED PATH '$[1]',
    unit_count INT UNSIGNED PATH '$[2]')) AS of_it
