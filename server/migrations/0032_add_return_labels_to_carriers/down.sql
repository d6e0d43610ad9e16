ALTER TABLE carriers DROP COLUMN return_labels
