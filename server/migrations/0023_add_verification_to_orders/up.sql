-- While a payment is verified: until when.
ALTER TABLE orders
    ADD COLUMN verified_at DATETIME(6) NULL
