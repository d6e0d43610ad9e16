ALTER TABLE orders DROP KEY orders_by_buyer_state, DROP KEY orders_by_seller, DROP KEY orders_by_seller_state, DROP KEY orders_by_state, DROP KEY orders_by_country, DROP KEY orders_by_city
