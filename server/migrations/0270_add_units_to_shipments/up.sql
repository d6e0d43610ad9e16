-- Which units it holds, as ranges: a JSON list of [line, first unit, count]. Every shipment is written with them; NULL is a row that
-- 0272 has not come to. As many ranges as a shipment of 200 lines may fall into need more than a TEXT.
ALTER TABLE shipments ADD COLUMN units MEDIUMTEXT NULL
