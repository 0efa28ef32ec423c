-- Members whose sequence does not run from 1 without a gap or a repeat.
SELECT arrow_cast(programme, 'Utf8') AS programme, arrow_cast(member, 'Utf8') AS member,
       CAST(min(sequence) AS BIGINT) AS first, CAST(max(sequence) AS BIGINT) AS last,
       count(*) AS entries, count(DISTINCT sequence) AS numbers
FROM entries
GROUP BY programme, member
HAVING CAST(min(sequence) AS BIGINT) <> 1 OR CAST(max(sequence) AS BIGINT) <> count(*)
    OR count(DISTINCT sequence) <> count(*)
ORDER BY 1, 2
