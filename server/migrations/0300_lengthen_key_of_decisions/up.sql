-- One request may be decided more than once: the answer to a repetition is remembered for less time than decisions are
-- kept, and a request that was refused and is not remembered, such as for an etag, may come again. entry tells its
-- decisions apart.
ALTER TABLE decisions
    ADD COLUMN entry INT UNSIGNED NOT NULL DEFAULT 0,
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (order_key, request_id, caller, entry)
