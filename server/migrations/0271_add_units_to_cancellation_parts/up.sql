-- Which units it is about, in the form of those of a shipment; NULL is a row that 0273 has not come to.
ALTER TABLE cancellation_parts ADD COLUMN units MEDIUMTEXT NULL
