ALTER TABLE cancellation_parts DROP KEY parts_by_warehouse, DROP KEY parts_by_carrier, DROP COLUMN store_id, DROP COLUMN warehouse_id, DROP COLUMN carrier_id, DROP COLUMN create_time
