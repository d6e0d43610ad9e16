ALTER TABLE cancellations DROP KEY cancellations_by_seller, DROP KEY cancellations_by_seller_state, DROP KEY cancellations_by_state
