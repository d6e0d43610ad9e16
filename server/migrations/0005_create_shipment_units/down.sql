DROP TABLE IF EXISTS shipment_units
