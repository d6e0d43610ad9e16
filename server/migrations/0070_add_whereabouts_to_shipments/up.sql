-- Which units have left, which of them are home, and the ids of the receipts that were counted: the JSON of a domain
-- Whereabouts. NULL where nothing has left, and in rows from before this column; of those that have left, it is presumed from
-- stages, receipts and cancellations. As many ranges as a shipment of 200 lines may fall into need more than a TEXT.
ALTER TABLE shipments ADD COLUMN whereabouts MEDIUMTEXT NULL
