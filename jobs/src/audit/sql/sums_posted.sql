-- What the ledger has posted for each rule, in all.
SELECT arrow_cast(rule, 'Utf8') AS rule, CAST(count(*) AS BIGINT) AS periods, CAST(sum(points) AS BIGINT) AS points
FROM entries
WHERE programme = $programme AND member >= $member_from AND member < $member_below
  AND CAST(CAST(arrival_date AS INT) AS BIGINT) <= $closed_on
GROUP BY rule
