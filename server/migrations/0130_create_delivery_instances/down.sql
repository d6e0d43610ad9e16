DROP TABLE IF EXISTS delivery_instances
