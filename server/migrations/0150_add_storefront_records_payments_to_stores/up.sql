-- Whether the store's storefront may say what was paid. Who is not asked says no.
ALTER TABLE stores ADD COLUMN storefront_records_payments BOOLEAN NOT NULL DEFAULT FALSE
