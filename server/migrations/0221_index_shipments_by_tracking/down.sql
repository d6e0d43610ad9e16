ALTER TABLE shipments DROP KEY shipments_by_tracking
