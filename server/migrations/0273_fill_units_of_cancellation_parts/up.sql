-- No DDL: what 0271 added, for the rows that were there.
UPDATE cancellation_parts AS part
    SET part.units = (
        SELECT COALESCE(JSON_ARRAYAGG(JSON_ARRAY(of_it.line_number, of_it.first_unit, of_it.unit_count)), '[]')
        FROM cancellation_units AS of_it
        WHERE of_it.order_key = part.order_key AND of_it.cancellation_number = part.cancellation_number
            AND of_it.part_number = part.part_number AND of_it.unit_count > 0
    )
    WHERE part.units IS NULL
