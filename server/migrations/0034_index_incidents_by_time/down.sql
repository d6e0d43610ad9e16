ALTER TABLE incidents DROP KEY incidents_by_time
