-- They are in shipments. No release wrote or read them: there is none before 0.1.0, which has the column.
DROP TABLE IF EXISTS shipment_units
