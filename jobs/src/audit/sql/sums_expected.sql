-- What each rule gives, in all.
SELECT rule, CAST(count(*) AS BIGINT) AS periods, CAST(sum(points) AS BIGINT) AS points FROM expected
WHERE points <> 0 GROUP BY rule
