-- Where a warehouse stands and when nobody works there: JSON lists of the names of days of the week and of dates. What stood
-- before has the usual weekend.
ALTER TABLE warehouses
    ADD COLUMN country_code VARCHAR(2) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN weekend VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '["SATURDAY","SUNDAY"]',
    ADD COLUMN holidays TEXT NOT NULL DEFAULT ('[]')
