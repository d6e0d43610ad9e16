ALTER TABLE warehouses DROP COLUMN country_code, DROP COLUMN weekend, DROP COLUMN holidays
