ALTER TABLE requests DROP KEY requests_by_age
