-- Entries of programmes whose rules are not recorded.
SELECT arrow_cast(programme, 'Utf8') AS programme, count(*) AS entries
FROM entries
WHERE programme NOT IN (SELECT programme FROM facts_programmes)
GROUP BY programme
ORDER BY 1
