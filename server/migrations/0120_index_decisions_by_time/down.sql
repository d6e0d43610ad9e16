ALTER TABLE decisions DROP KEY decisions_by_time
