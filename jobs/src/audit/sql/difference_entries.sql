-- What the rules give and what the ledger has posted for it, wherever the two differ.
WITH posted AS (
  SELECT e.member, e.rule, e.period, sum(e.points) AS points
  FROM entries e
  WHERE e.programme = $programme AND e.member >= $member_from AND e.member < $member_below
    AND CAST(CAST(e.arrival_date AS INT) AS BIGINT) <= $closed_on
    AND e.rule NOT IN (SELECT rule FROM rules_not_audited)
  GROUP BY e.member, e.rule, e.period
)
SELECT arrow_cast(coalesce(x.member, p.member), 'Utf8') AS member, arrow_cast(coalesce(x.rule, p.rule), 'Utf8') AS rule,
       arrow_cast(coalesce(x.period, p.period), 'Utf8') AS period,
       coalesce(x.points, 0) AS expected, coalesce(p.points, 0) AS posted
FROM expected x
FULL OUTER JOIN posted p ON p.member = x.member AND p.rule = x.rule AND p.period = x.period
WHERE coalesce(x.points, 0) <> coalesce(p.points, 0)
ORDER BY 1, 2, 3
