ALTER TABLE cancellations DROP COLUMN next_actions
