-- What the requester should do afterwards: a JSON list.
ALTER TABLE cancellations
    ADD COLUMN next_actions TEXT NOT NULL DEFAULT ('[]')
