-- Prepaid labels for the way back: a JSON object, prices by country.
ALTER TABLE carriers
    ADD COLUMN return_labels TEXT NOT NULL DEFAULT ('{}')
