-- facts is a JSON list of what the provider told, from which all else about a payment is folded; NULL in rows of the time
-- before, which are read as if one fact had told each amount. held is what is still authorised, unconfirmed what was told as
-- captured above all authorisations, disputed what was charged back and not won back.
ALTER TABLE payments
    ADD COLUMN held BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN unconfirmed BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN disputed BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN facts MEDIUMTEXT NULL
