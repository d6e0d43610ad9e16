ALTER TABLE refunds DROP KEY refunds_by_state, DROP KEY refunds_by_seller, DROP KEY refunds_by_seller_state
