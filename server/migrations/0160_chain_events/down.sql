ALTER TABLE events DROP COLUMN chain, DROP COLUMN erased_digest, DROP COLUMN erased_seal
