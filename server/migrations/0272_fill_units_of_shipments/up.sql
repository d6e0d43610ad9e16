-- No DDL: what 0270 added, for the rows that were there. JSON_ARRAYAGG promises no order of the ranges, and whoever reads them sorts;
-- GROUP_CONCAT has an order, and cuts its text at group_concat_max_len.
UPDATE shipments AS shipment
    SET shipment.units = (
        SELECT COALESCE(JSON_ARRAYAGG(JSON_ARRAY(of_it.line_number, of_it.first_unit, of_it.unit_count)), '[]')
        FROM shipment_units AS of_it
        WHERE of_it.order_key = shipment.order_key AND of_it.shipment_number = shipment.number AND of_it.unit_count > 0
    )
    WHERE shipment.units IS NULL
