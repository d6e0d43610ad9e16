-- A simulation reads what a store decided in a time range. The time leads, so that whoever looks for the oldest of all
-- stores needs no index of its own.
ALTER TABLE decisions
    ADD KEY decisions_by_time (decision_time, store_id)
