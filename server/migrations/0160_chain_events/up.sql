-- chain is the mark of the row in the chain of its partition (belay_domain::chain); NULL of rows that were written before there
-- was one. Of a row whose buyer was erased, erased_digest is that of the payload before, and erased_seal says who replaced it.
ALTER TABLE events
    ADD COLUMN chain BINARY(32) NULL,
    ADD COLUMN erased_digest BINARY(32) NULL,
    ADD COLUMN erased_seal BINARY(32) NULL
