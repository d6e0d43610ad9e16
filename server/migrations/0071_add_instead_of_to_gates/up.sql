-- Of a review by support: the kind of the gate in whose place support is asked. NULL of all other gates, and of reviews that
-- opened before this column: those go on as consents, and goods that are home when they fall silent open an incident.
ALTER TABLE gates ADD COLUMN instead_of VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL
