-- The oldest are deleted by their age.
ALTER TABLE requests ADD KEY requests_by_age (create_time)
