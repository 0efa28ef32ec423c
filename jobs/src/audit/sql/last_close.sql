-- The last closed day, by number. Facts that arrived later are not yet due to have had their effect.
SELECT max(c.day) AS day, max(c.day_name) AS day_name
FROM facts_clocks f
JOIN calendar c ON c.day = CAST(CAST(f.date AS INT) AS BIGINT)
