-- respond_within_micros could only say time by the clock. A division would round to four decimals.
UPDATE gates
    SET respond_within = CONCAT('{"Time":"PT', respond_within_micros * 0.000001, 'S"}')
    WHERE respond_within IS NULL AND respond_within_micros IS NOT NULL
