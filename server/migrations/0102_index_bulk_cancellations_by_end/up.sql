-- The oldest that have ended are deleted.
ALTER TABLE bulk_cancellations ADD KEY bulk_cancellations_by_end (end_time)
