ALTER TABLE incidents DROP COLUMN cancellation_number, DROP COLUMN resolution, DROP COLUMN resolved_by_role, DROP COLUMN resolved_by_id, DROP COLUMN note
