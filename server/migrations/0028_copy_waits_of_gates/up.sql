-- respond_within_micros could only say time by the clock.
UPDATE gates
    SET respond_within = CONCAT('{"Time":"PT', CAST(respond_within_micros / 1000000 AS DECIMAL(20, 6)), 'S"}')
    WHERE respond_within IS NULL AND respond_within_micros IS NOT NULL
