-- No DDL: a payload was one belay.v1.Event and becomes a sequence of one, with its length before it as protobuf writes it:
-- seven bits a byte, the lowest first, and the highest bit set in all bytes but the last.
UPDATE events SET
    payload = CONCAT(
        CASE
            WHEN LENGTH(payload) < 128 THEN CHAR(LENGTH(payload))
            WHEN LENGTH(payload) < 16384 THEN CHAR(LENGTH(payload) & 127 | 128, LENGTH(payload) >> 7)
            WHEN LENGTH(payload) < 2097152
                THEN CHAR(LENGTH(payload) & 127 | 128, LENGTH(payload) >> 7 & 127 | 128, LENGTH(payload) >> 14)
            ELSE CHAR(
                LENGTH(payload) & 127 | 128, LENGTH(payload) >> 7 & 127 | 128, LENGTH(payload) >> 14 & 127 | 128,
                LENGTH(payload) >> 21
            )
        END,
        payload
    ),
    -- After the payload: columns are set from the left, and so a row is packed once however often this runs.
    event_count = 1
    WHERE event_count = 0
